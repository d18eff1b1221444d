/* The functions that serverless-wasm offers to a guest: contract "env" (docs/abi/env.md).
 *
 * Sizes are 64 bits wide and pointers 32, whatever the language. Where a function fills a buffer it
 * returns the full length and writes at most the buffer's size, so a first call with size 0 asks
 * "how long is it?"; -1 means that there is no such thing. A window outside the guest's memory
 * ends the guest.
 */
#ifndef SERVERLESS_WASM_H
#define SERVERLESS_WASM_H

#include <stdint.h>

#define SWASM_IMPORT(name) __attribute__((import_module("env"), import_name(name)))
/* Marks an entry, the function that `function = "..."` names in the configuration: void f(void). */
#define SWASM_EXPORT(name) __attribute__((export_name(name)))
/* A string literal as the two arguments that the host takes: where it is, how long it is. */
#define SWASM_TEXT(literal) (literal), (uint64_t)(sizeof(literal) - 1)

/* One record in the service's log. Not called log() here: C keeps that name for logarithms, and
 * the compiler would quietly give it another type. */
SWASM_IMPORT("log") void log_message(const char *text, uint64_t size);

/* The response. The last status and the last body win; headers add up. */
SWASM_IMPORT("response_set_status_line")
void response_set_status_line(int32_t status, const char *reason, uint64_t size);
SWASM_IMPORT("response_set_header")
void response_set_header(const char *name, uint64_t name_size, const char *value, uint64_t value_size);
SWASM_IMPORT("response_set_body") void response_set_body(const char *body, uint64_t size);

/* The request. Several headers of one name come joined by ", ". */
SWASM_IMPORT("request_get_method") int64_t request_get_method(char *buffer, uint64_t size);
SWASM_IMPORT("request_get_path") int64_t request_get_path(char *buffer, uint64_t size);
SWASM_IMPORT("request_get_query") int64_t request_get_query(char *buffer, uint64_t size);
SWASM_IMPORT("request_get_header")
int64_t request_get_header(const char *name, uint64_t name_size, char *buffer, uint64_t size);
SWASM_IMPORT("request_get_param")
int64_t request_get_param(const char *name, uint64_t name_size, char *buffer, uint64_t size);
/* Copies from `offset` on; returns the length of the whole body, and waits until it has arrived. */
SWASM_IMPORT("request_get_body")
int64_t request_get_body(uint64_t offset, char *buffer, uint64_t size);

/* A variable of the application: its `env` table in the configuration. */
SWASM_IMPORT("db_get")
int64_t db_get(const char *key, uint64_t key_size, char *value, uint64_t value_size);

/* Sockets. The address is "host:port". tcp_connect returns a descriptor, -1 when the connection
 * failed or was refused, -2 when too many are open. tcp_read waits for at least one byte and
 * returns how many it wrote, 0 at the end, -1 on error; tcp_write may take less than it is given. */
SWASM_IMPORT("tcp_connect") int32_t tcp_connect(const char *address, uint64_t size);
SWASM_IMPORT("tcp_read") int64_t tcp_read(int32_t descriptor, char *buffer, uint64_t size);
SWASM_IMPORT("tcp_write") int64_t tcp_write(int32_t descriptor, const char *bytes, uint64_t size);
SWASM_IMPORT("tcp_close") int32_t tcp_close(int32_t descriptor);

/* Files of the places that `files` grants. -1 there is none, -2 not permitted, -3 no room, -4 failed. */
SWASM_IMPORT("file_get")
int64_t file_get(const char *path, uint64_t path_size, uint64_t offset, char *buffer, uint64_t size);
SWASM_IMPORT("file_put")
int32_t file_put(const char *path, uint64_t path_size, const char *data, uint64_t size);
SWASM_IMPORT("file_delete") int32_t file_delete(const char *path, uint64_t size);
/* Paths that begin so, each with a line feed behind it. */
SWASM_IMPORT("file_list")
int64_t file_list(const char *prefix, uint64_t prefix_size, char *buffer, uint64_t size);

/* Keys and values of the first store that `key_value` grants; errors as those of files. */
SWASM_IMPORT("kv_get")
int64_t kv_get(const char *key, uint64_t key_size, char *value, uint64_t size);
SWASM_IMPORT("kv_set")
int32_t kv_set(const char *key, uint64_t key_size, const char *value, uint64_t size);
SWASM_IMPORT("kv_set_ttl")
int32_t kv_set_ttl(const char *key, uint64_t key_size, const char *value, uint64_t size, uint64_t ms);
SWASM_IMPORT("kv_delete") int32_t kv_delete(const char *key, uint64_t size);
/* The sum, or INT64_MIN for every error. */
SWASM_IMPORT("kv_increment") int64_t kv_increment(const char *key, uint64_t size, int64_t delta);
/* 1 if the value was the expected one, and is the other now; an empty expectation is that of none. */
SWASM_IMPORT("kv_swap")
int32_t kv_swap(const char *key, uint64_t key_size, const char *expected, uint64_t expected_size,
                const char *value, uint64_t size);
SWASM_IMPORT("kv_list")
int64_t kv_list(const char *prefix, uint64_t prefix_size, char *buffer, uint64_t size);

/* Unpredictable bytes, and milliseconds since 1970 (UTC). */
SWASM_IMPORT("random_get") void random_get(char *buffer, uint64_t size);
SWASM_IMPORT("clock_now_ms") int64_t clock_now_ms(void);

#endif
