/* What the host keeps of one guest, and how it is to be run. Read by capi.py, through cffi, and by fast.c. */

typedef struct { const char *data; size_t size; } text_t;
typedef struct { text_t name, value; } variable_t;
typedef struct { text_t function; const wasmtime_val_t *values; size_t count; } call_t;

/* How an application's guests are run: the same for all of them, and kept as long as one of them lives. */
typedef struct {
  wasm_engine_t *engine;
  const wasmtime_instance_pre_t *recipe;
  int64_t memory, table_elements;
  uint64_t slice;                 /* ticks of the epoch */
  uint64_t fuel;
  bool counts_fuel;
  uint64_t host_calls;
  size_t response_body, response_headers, response_header_bytes;
  const call_t *calls;
  size_t call_count;
  const variable_t *variables;    /* by the size of the name, then by its bytes */
  size_t variable_count;
} plan_t;

typedef struct { uint32_t at, size; } span_t;

/* What compiled host functions have noted of a guest's answer, in one stretch of one guest. */
typedef struct {
  bool touched, has_body;
  uint32_t status;                /* 0: not set */
  uint32_t fields, used;
  uint64_t header_bytes;
  span_t reason, body;
  span_t names[64], values[64];
  uint8_t arena[65536];
  uint32_t wire_size;             /* of the whole answer as a client is sent it, once it is known to be whole */
  char wire[65536 + 64 * 4 + 64];
} answer_t;

/* One guest; all zero but for `plan`, `answer` and `answers` before its first step. */
typedef struct {
  const plan_t *plan;
  answer_t *answer;
  const char *request;            /* five sizes of 4 bytes, and what they are of: method, path, query, parameters,
                                     header fields, of both a name and a value that end with a NUL each; or NULL */
  bool answers;                   /* whether compiled host functions may note what it answers */
  bool failed;                    /* a host function has failed, but could not trap */
  bool attended;                  /* something in Python knows of it, and is to see how it ends */
  bool has_memory;
  wasmtime_store_t *store;
  wasmtime_context_t *context;
  wasmtime_call_future_t *future;
  wasm_trap_t *trap;
  wasmtime_error_t *error;
  wasmtime_instance_t instance;
  wasmtime_extern_t function, memory;
  uint8_t *data;                  /* its memory, as large as it was when last looked at */
  size_t size;
  uint64_t host_calls;
  size_t next;                    /* of the plan's calls */
} guest_t;

/* A call of a guest's allocator within one of its host calls (components/crossing.py). */
typedef struct {
  uint32_t align, size;
  uint32_t patience;              /* ticks of the epoch that it may take */
  uint32_t place;                 /* what it returned */
  wasm_trap_t *trap;
  wasmtime_error_t *error;
} allocation_t;

/* One import of a module of a component, and where it comes from (components/assembly.py). */
typedef struct {
  text_t module, name;            /* as its module has it */
  text_t source;                  /* what it is called there */
  int64_t instance;               /* which of the instances exports it; -1: it is the host's */
} import_t;

/* What one module of a component is to be given, in one guest. */
typedef struct {
  const import_t *imports;
  size_t count;
  const wasmtime_linker_t *host;  /* the host's functions, in the module "host" */
  const wasmtime_instance_t *instances;
  wasmtime_error_t *error;
} wiring_t;
