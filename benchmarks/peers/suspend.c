// suspend GUESTS STACK MODULE: what a guest that waits costs at least. So many instances of MODULE, each called on a
// fiber until it waits in a host function, then all resumed; one line of JSON says what they held and took.
// The prototypes and layouts are those of the C API of wasmtime 50.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct handle handle;  // every opaque type of the API
typedef struct { uint64_t store; void *item; } function;
typedef struct { uint64_t store; size_t item; } instance;
typedef struct { uint8_t kind; union { function function; uint8_t raw[24]; } of; } export;
typedef struct { size_t size; handle **items; } types;
typedef struct { bool (*ready)(void *); void *environment; void (*free)(void *); } continuation;
_Static_assert(sizeof(function) == 16 && sizeof(export) == 32, "layout");

handle *wasm_config_new(void);
handle *wasm_engine_new_with_config(handle *);
handle *wasm_functype_new(types *, types *);
void wasmtime_config_async_stack_size_set(handle *, uint64_t);
void wasmtime_config_max_wasm_stack_set(handle *, size_t);
handle *wasmtime_pooling_allocation_config_new(void);
void wasmtime_pooling_allocation_config_total_memories_set(handle *, uint32_t);
void wasmtime_pooling_allocation_config_total_core_instances_set(handle *, uint32_t);
void wasmtime_pooling_allocation_config_total_stacks_set(handle *, uint32_t);
void wasmtime_pooling_allocation_config_max_memory_size_set(handle *, size_t);
void wasmtime_pooling_allocation_strategy_set(handle *, handle *);
handle *wasmtime_module_new(handle *, const uint8_t *, size_t, handle **);
handle *wasmtime_linker_new(handle *);
handle *wasmtime_linker_define_async_func(
    handle *, const char *, size_t, const char *, size_t, handle *, void *, void *, void (*)(void *));
handle *wasmtime_linker_instantiate_pre(handle *, handle *, handle **);
handle *wasmtime_store_new(handle *, void *, void (*)(void *));
handle *wasmtime_store_context(handle *);
handle *wasmtime_instance_pre_instantiate_async(handle *, handle *, instance *, handle **, handle **);
bool wasmtime_instance_export_get(handle *, instance *, const char *, size_t, export *);
handle *wasmtime_func_call_async(
    handle *, function *, void *, size_t, void *, size_t, handle **, handle **);
bool wasmtime_call_future_poll(handle *);
void wasmtime_call_future_delete(handle *);

enum { SPARE = 8, GIB = 1 << 30 };
typedef struct { long pss, page_tables, mappings; double cpu; } bill;
typedef struct { handle *future, *trap, *error; } guest;
static bool answered;

static void need(bool good, const char *what, long number) {
    if (good) return;
    fprintf(stderr, "suspend: %s (guest %ld)\n", what, number);
    exit(1);
}

static bool is_answered(void *environment) { (void)environment; return answered; }

static void wait_for_answer(void *environment, handle *caller, const void *arguments, size_t given, void *results,
                            size_t wanted, handle **trap, continuation *next) {
    (void)environment, (void)caller, (void)arguments, (void)given, (void)results, (void)wanted, (void)trap;
    *next = (continuation){.ready = is_answered};
}

static long kib(const char *file, const char *key) {
    char line[256];
    long found = 0;
    FILE *lines = fopen(file, "r");
    need(lines != NULL, file, 0);
    while (fgets(line, sizeof line, lines))
        if (!strncmp(line, key, strlen(key))) found = atol(line + strlen(key));
    fclose(lines);
    return found;
}

static long mappings(void) {
    long found = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    need(file != NULL, "maps", 0);
    for (int next; (next = fgetc(file)) != EOF;) found += next == '\n';
    fclose(file);
    return found;
}

static bill now(void) {
    struct timespec clock;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &clock);
    double cpu = clock.tv_sec * 1e6 + clock.tv_nsec / 1e3;  // first: the rest costs some itself
    return (bill){.pss = kib("/proc/self/smaps_rollup", "Pss:"), .page_tables = kib("/proc/self/status", "VmPTE:"),
                  .mappings = mappings(), .cpu = cpu};
}

static handle *engine_for(long guests, long stack) {
    handle *config = wasm_config_new(), *pool = wasmtime_pooling_allocation_config_new();
    wasmtime_config_max_wasm_stack_set(config, stack / 2);
    wasmtime_config_async_stack_size_set(config, stack);
    wasmtime_pooling_allocation_config_total_memories_set(pool, guests + SPARE);
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, guests + SPARE);
    wasmtime_pooling_allocation_config_total_stacks_set(pool, guests + SPARE);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool, 4ul * GIB);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    return wasm_engine_new_with_config(config);
}

static handle *prepared(handle *engine, const char *path) {
    static uint8_t bytes[1 << 16];
    handle *module, *linker = wasmtime_linker_new(engine), *made;
    types none = {0}, nothing = {0};
    FILE *file = fopen(path, "rb");
    need(file != NULL, "no such module", 0);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    need(!wasmtime_module_new(engine, bytes, size, &module), "module", 0);
    need(!wasmtime_linker_define_async_func(linker, "host", 4, "wait", 4, wasm_functype_new(&none, &nothing),
                                            wait_for_answer, NULL, NULL), "define", 0);
    need(!wasmtime_linker_instantiate_pre(linker, module, &made), "link", 0);
    return made;
}

static void suspend(handle *engine, handle *made, guest *guest, long number) {
    instance self;
    export run;
    handle *context = wasmtime_store_context(wasmtime_store_new(engine, NULL, NULL));
    handle *begin = wasmtime_instance_pre_instantiate_async(made, context, &self, &guest->trap, &guest->error);
    while (!wasmtime_call_future_poll(begin)) continue;
    wasmtime_call_future_delete(begin);
    need(!guest->trap && !guest->error, "instantiate", number);
    need(wasmtime_instance_export_get(context, &self, "run", 3, &run), "run", number);
    guest->future = wasmtime_func_call_async(
        context, &run.of.function, NULL, 0, NULL, 0, &guest->trap, &guest->error);
    need(!wasmtime_call_future_poll(guest->future), "did not wait", number);
}

int main(int count, char **arguments) {
    need(count == 4, "suspend GUESTS STACK MODULE", 0);
    long guests = atol(arguments[1]), done = 0;
    handle *engine = engine_for(guests, atol(arguments[2])), *made = prepared(engine, arguments[3]);
    guest *all = calloc(guests, sizeof *all);
    bill before = now(), begin = now();
    for (long i = 0; i < guests; i++) suspend(engine, made, &all[i], i);
    bill held = now(), resume = now();
    answered = true;
    for (long i = 0; i < guests; i++) done += wasmtime_call_future_poll(all[i].future);
    bill after = now();
    need(done == guests, "not all came back", done);
    printf("{\"pss\": %ld, \"page_tables\": %ld, \"mappings\": %ld, \"suspend\": %.3f, \"resume\": %.3f}\n",
           held.pss - before.pss, held.page_tables - before.page_tables, held.mappings - before.mappings,
           (held.cpu - begin.cpu) / guests, (after.cpu - resume.cpu) / guests);
}
