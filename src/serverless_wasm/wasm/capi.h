/* The C declarations of wasmtime's library that we use, and nothing else: read from its headers, 50.0.1.
   Read by capi.py, through cffi, and by fast.c; a wrong line here kills the process. tests/wasm/test_capi.py
   compares each with the wheel's own bindings. */

typedef struct wasm_config_t wasm_config_t;
typedef struct wasm_engine_t wasm_engine_t;
typedef struct wasm_functype_t wasm_functype_t;
typedef struct wasm_valtype_t wasm_valtype_t;
typedef struct wasm_trap_t wasm_trap_t;
typedef struct wasmtime_call_future wasmtime_call_future_t;
typedef struct wasmtime_caller wasmtime_caller_t;
typedef struct wasmtime_context wasmtime_context_t;
typedef struct wasmtime_error wasmtime_error_t;
typedef struct wasmtime_instance_pre wasmtime_instance_pre_t;
typedef struct wasmtime_linker wasmtime_linker_t;
typedef struct wasmtime_module wasmtime_module_t;
typedef struct wasmtime_pooling_allocation_config_t wasmtime_pooling_allocation_config_t;
typedef wasmtime_pooling_allocation_config_t pool_t;
typedef struct wasmtime_store wasmtime_store_t;

typedef struct { size_t size; uint8_t *data; } wasm_byte_vec_t;
typedef struct { size_t size; wasm_valtype_t **data; } wasm_valtype_vec_t;
typedef struct { uint64_t store_id; size_t private; } wasmtime_instance_t;
typedef struct { uint64_t store_id; void *private; } wasmtime_func_t;
typedef struct { struct { uint64_t store_id; uint32_t private1; }; uint32_t private2; } wasmtime_memory_t;
typedef struct {
  uint8_t kind;
  union { wasmtime_func_t func; wasmtime_memory_t memory; } of;
} wasmtime_extern_t;
typedef struct {
  uint8_t kind;
  union { int32_t i32; int64_t i64; float f32; double f64; uint64_t words[3]; } of;
} wasmtime_val_t;
typedef union { int32_t i32; int64_t i64; float f32; double f64; uint64_t words[2]; } wasmtime_val_raw_t;
typedef struct {
  bool (*callback)(void *);
  void *env;
  void (*finalizer)(void *);
} wasmtime_async_continuation_t;

typedef wasm_trap_t *(*wasmtime_func_unchecked_callback_t)(
    void *env, wasmtime_caller_t *, wasmtime_val_raw_t *args_and_results, size_t count);
typedef void (*wasmtime_func_async_callback_t)(
    void *env, wasmtime_caller_t *, const wasmtime_val_t *args, size_t nargs,
    wasmtime_val_t *results, size_t nresults, wasm_trap_t **trap_ret,
    wasmtime_async_continuation_t *continuation_ret);

void wasm_byte_vec_delete(wasm_byte_vec_t *);
wasm_valtype_t *wasm_valtype_new(uint8_t);
void wasm_valtype_vec_new(wasm_valtype_vec_t *, size_t, wasm_valtype_t *const *);
wasm_functype_t *wasm_functype_new(wasm_valtype_vec_t *, wasm_valtype_vec_t *);
void wasm_functype_delete(wasm_functype_t *);

void wasmtime_config_async_stack_size_set(wasm_config_t *, size_t);
pool_t *wasmtime_pooling_allocation_config_new(void);
void wasmtime_pooling_allocation_config_delete(pool_t *);
void wasmtime_pooling_allocation_config_total_core_instances_set(pool_t *, uint32_t);
void wasmtime_pooling_allocation_config_total_memories_set(pool_t *, uint32_t);
void wasmtime_pooling_allocation_config_total_tables_set(pool_t *, uint32_t);
void wasmtime_pooling_allocation_config_total_stacks_set(pool_t *, uint32_t);
void wasmtime_pooling_allocation_config_max_memory_size_set(pool_t *, size_t);
void wasmtime_pooling_allocation_config_table_elements_set(pool_t *, size_t);
void wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool_t *, size_t);
void wasmtime_pooling_allocation_strategy_set(wasm_config_t *, const pool_t *);
void wasmtime_engine_increment_epoch(wasm_engine_t *);

void wasmtime_error_message(const wasmtime_error_t *, wasm_byte_vec_t *);
void wasmtime_error_delete(wasmtime_error_t *);
wasm_trap_t *wasmtime_trap_new(const char *, size_t);
bool wasmtime_trap_code(const wasm_trap_t *, uint8_t *);
void wasm_trap_message(const wasm_trap_t *, wasm_byte_vec_t *);
void wasm_trap_delete(wasm_trap_t *);

wasmtime_linker_t *wasmtime_linker_new(wasm_engine_t *);
void wasmtime_linker_delete(wasmtime_linker_t *);
wasmtime_error_t *wasmtime_linker_define_func_unchecked(
    wasmtime_linker_t *, const char *module, size_t, const char *name, size_t, const wasm_functype_t *,
    wasmtime_func_unchecked_callback_t, void *data, void (*finalizer)(void *));
wasmtime_error_t *wasmtime_linker_define_async_func(
    wasmtime_linker_t *, const char *module, size_t, const char *name, size_t, const wasm_functype_t *,
    wasmtime_func_async_callback_t, void *data, void (*finalizer)(void *));
wasmtime_error_t *wasmtime_linker_define(
    wasmtime_linker_t *, wasmtime_context_t *, const char *module, size_t, const char *name, size_t,
    const wasmtime_extern_t *);
bool wasmtime_linker_get(
    const wasmtime_linker_t *, wasmtime_context_t *, const char *module, size_t, const char *name, size_t,
    wasmtime_extern_t *);
wasmtime_call_future_t *wasmtime_linker_instantiate_async(
    const wasmtime_linker_t *, wasmtime_context_t *, const wasmtime_module_t *, wasmtime_instance_t *,
    wasm_trap_t **, wasmtime_error_t **);
wasmtime_error_t *wasmtime_linker_instantiate_pre(
    const wasmtime_linker_t *, const wasmtime_module_t *, wasmtime_instance_pre_t **);
void wasmtime_instance_pre_delete(wasmtime_instance_pre_t *);

wasmtime_store_t *wasmtime_store_new(wasm_engine_t *, void *data, void (*finalizer)(void *));
void wasmtime_store_delete(wasmtime_store_t *);
wasmtime_context_t *wasmtime_store_context(wasmtime_store_t *);
void wasmtime_store_limiter(wasmtime_store_t *,
    int64_t memory_size, int64_t table_elements, int64_t instances, int64_t tables, int64_t memories);
void wasmtime_context_set_epoch_deadline(wasmtime_context_t *, uint64_t ticks_beyond_current);
wasmtime_error_t *wasmtime_context_set_fuel(wasmtime_context_t *, uint64_t);
wasmtime_error_t *wasmtime_context_epoch_deadline_async_yield_and_update(
    wasmtime_context_t *, uint64_t delta);

wasmtime_call_future_t *wasmtime_instance_pre_instantiate_async(
    const wasmtime_instance_pre_t *, wasmtime_context_t *, wasmtime_instance_t *,
    wasm_trap_t **, wasmtime_error_t **);
wasmtime_call_future_t *wasmtime_func_call_async(
    wasmtime_context_t *, const wasmtime_func_t *, const wasmtime_val_t *args, size_t,
    wasmtime_val_t *results, size_t, wasm_trap_t **, wasmtime_error_t **);
bool wasmtime_call_future_poll(wasmtime_call_future_t *);
void wasmtime_call_future_delete(wasmtime_call_future_t *);
bool wasmtime_instance_export_get(
    wasmtime_context_t *, const wasmtime_instance_t *, const char *, size_t, wasmtime_extern_t *);
wasmtime_context_t *wasmtime_caller_context(wasmtime_caller_t *);
void *wasmtime_context_get_data(const wasmtime_context_t *);
bool wasmtime_caller_export_get(wasmtime_caller_t *, const char *, size_t, wasmtime_extern_t *);
uint8_t *wasmtime_memory_data(const wasmtime_context_t *, const wasmtime_memory_t *);
size_t wasmtime_memory_data_size(const wasmtime_context_t *, const wasmtime_memory_t *);
