// floor PORT MODE MODULE: the least that a host over the wheel's own libwasmtime can cost. A control, not a server.
// MODE is "plain" (no WebAssembly) or "fresh" (a new instance for each request, pooled, 64 KiB kept resident).
// One thread, one epoll loop, GET only, no parsing beyond the blank line, no time limits.
// The prototypes and layouts are those of the C API of wasmtime 50.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct handle handle;  // every opaque type of the API
typedef struct { uint64_t store; void *item; } function;
typedef struct { uint64_t store; uint32_t a, pad, b, pad2; } memory;
typedef struct { uint64_t store; size_t item; } instance;
typedef struct {
    uint8_t kind;
    union { function function; memory memory; uint8_t raw[24]; } of;
} export;
typedef union { int32_t i32; int64_t i64; uint8_t raw[16]; } __attribute__((aligned(8))) value;
_Static_assert(sizeof(function) == 16 && sizeof(memory) == 24, "layout");
_Static_assert(sizeof(export) == 32 && sizeof(value) == 16, "layout");

handle *wasm_config_new(void);
handle *wasm_engine_new_with_config(handle *);
handle *wasmtime_pooling_allocation_config_new(void);
void wasmtime_pooling_allocation_config_total_memories_set(handle *, uint32_t);
void wasmtime_pooling_allocation_config_total_core_instances_set(handle *, uint32_t);
void wasmtime_pooling_allocation_config_max_memory_size_set(handle *, size_t);
void wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(handle *, size_t);
void wasmtime_pooling_allocation_strategy_set(handle *, handle *);
handle *wasmtime_module_new(handle *, const uint8_t *, size_t, handle **);
handle *wasmtime_linker_new(handle *);
handle *wasmtime_linker_instantiate_pre(handle *, handle *, handle **);
handle *wasmtime_store_new(handle *, void *, void (*)(void *));
handle *wasmtime_store_context(handle *);
void wasmtime_store_delete(handle *);
handle *wasmtime_instance_pre_instantiate(handle *, handle *, instance *, handle **);
bool wasmtime_instance_export_get(handle *, instance *, const char *, size_t, export *);
handle *wasmtime_func_call_unchecked(handle *, function *, value *, size_t, handle **);
uint8_t *wasmtime_memory_data(handle *, memory *);

enum { REQUEST = 4096, BODY = 256, ANSWER = 512, EVENTS = 256, BACKLOG = 4096 };
static const char HELLO[] = "Hello, world!\n";
static handle *engine, *prepared;  // NULL in plain mode

static void need(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "floor: %s\n", what);
    exit(1);
}

static void load(const char *path) {
    handle *pool = wasmtime_pooling_allocation_config_new(), *config = wasm_config_new(), *module;
    wasmtime_pooling_allocation_config_total_memories_set(pool, 1000);
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, 1000);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool, 16 << 20);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, 64 << 10);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    engine = wasm_engine_new_with_config(config);
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    need(file != NULL, "no such module");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    need(!wasmtime_module_new(engine, bytes, size, &module), "module");
    need(!wasmtime_linker_instantiate_pre(wasmtime_linker_new(engine), module, &prepared), "link");
}

static void lookup(handle *context, instance *guest, const char *name, export *found) {
    need(wasmtime_instance_export_get(context, guest, name, strlen(name), found), name);
}

static void call(handle *context, export *callee, value *slot) {
    handle *trap = NULL;
    need(!wasmtime_func_call_unchecked(context, &callee->of.function, slot, 1, &trap) && !trap, "call");
}

static int run(char *body, const char *request) {
    handle *trap = NULL, *store = wasmtime_store_new(engine, NULL, NULL), *context = wasmtime_store_context(store);
    instance guest;
    export callee, pages;
    value slot[1];
    int size;
    need(!wasmtime_instance_pre_instantiate(prepared, context, &guest, &trap) && !trap, "instantiate");
    if (!strncmp(request, "GET /work/", 10)) {
        slot[0].i32 = atoi(request + 10);
        lookup(context, &guest, "work", &callee);
        call(context, &callee, slot);
        size = snprintf(body, BODY, "%d\n", slot[0].i32);
    } else {
        lookup(context, &guest, "handle", &callee);
        lookup(context, &guest, "memory", &pages);
        call(context, &callee, slot);
        size = (int)(uint32_t)slot[0].i64;
        need(size <= BODY, "body");
        memcpy(body, wasmtime_memory_data(context, &pages.of.memory) + ((uint64_t)slot[0].i64 >> 32), size);
    }
    wasmtime_store_delete(store);
    return size;
}

static int answer(char *out, const char *request) {
    char body[BODY];
    int size = sizeof HELLO - 1;
    if (prepared) size = run(body, request);
    else memcpy(body, HELLO, size);
    int head = snprintf(out, ANSWER, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n", size);
    memcpy(out + head, body, size);
    return head + size;
}

static void admit(int poll, int door) {
    int client, on = 1;
    while ((client = accept4(door, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = client};
        setsockopt(client, SOL_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
    }
}

static void serve(int client) {
    char request[REQUEST], out[ANSWER];
    ssize_t size = read(client, request, sizeof request - 1);
    if (size == 0 || (size < 0 && errno != EAGAIN)) close(client);
    if (size < 4 || memcmp(request + size - 4, "\r\n\r\n", 4)) return;
    request[size] = 0;
    if (write(client, out, answer(out, request)) < 0) close(client);
}

static int listening(int port) {
    int door = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    need(!bind(door, (void *)&address, sizeof address) && !listen(door, BACKLOG), "bind");
    return door;
}

int main(int count, char **arguments) {
    need(count == 4, "floor PORT plain|fresh MODULE");
    if (!strcmp(arguments[2], "fresh")) load(arguments[3]);
    int door = listening(atoi(arguments[1])), poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = door}, events[EVENTS];
    epoll_ctl(poll, EPOLL_CTL_ADD, door, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd == door) admit(poll, door);
            else serve(events[i].data.fd);
        }
    }
}
