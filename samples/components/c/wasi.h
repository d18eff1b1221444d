// What hello.c calls of WASI 0.2, as the canonical ABI lays it out; a generator writes the same for larger programs.
// A function that gives more than one number writes it to where its last parameter points.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t handle;
typedef struct { const char *start; size_t size; } text;            // `string`, and `list<u8>`
typedef struct { uint8_t failed; handle value; } handle_or_error;   // `result<own<..>>`
typedef struct { uint8_t failed; union { text data; uint8_t closed; }; } data_or_error;     // `result<list<u8>, stream-error>`
typedef struct { uint8_t failed; uint8_t closed; handle error; } stream_result;             // `result<_, stream-error>`
typedef struct { uint8_t there; text value; } maybe_text;           // `option<string>`
typedef struct { uint8_t kind; text other; } method;
typedef struct { text name, value; } pair;
typedef struct { const pair *start; size_t size; } pairs;
typedef struct { uint64_t seconds; uint32_t nanoseconds; } datetime;

// `error-code`: what its cases carry has 24 bytes at most.
typedef struct { uint8_t kind; uint64_t payload[3]; } error_code;
typedef struct { uint8_t failed; union { handle value; error_code error; }; } handle_or_code;
// `option<result<result<own<incoming-response>, error-code>>>`
typedef struct { uint64_t there, taken; handle_or_code response; } maybe_response;

enum { GET = 0, POST = 2, HTTP = 0, HTTPS = 1 };

#define WASI(interface, name) __attribute__((import_module("wasi:" interface "@0.2.0"), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

#define HTTP_TYPE(name) WASI("http/types", name)
HTTP_TYPE("[method]incoming-request.method") void request_method(handle request, method *gives);
HTTP_TYPE("[method]incoming-request.path-with-query") void request_path(handle request, maybe_text *gives);
HTTP_TYPE("[method]incoming-request.consume") void request_consume(handle request, handle_or_error *gives);
HTTP_TYPE("[method]incoming-body.stream") void incoming_stream(handle body, handle_or_error *gives);
HTTP_TYPE("[resource-drop]incoming-body") void drop_incoming_body(handle body);
HTTP_TYPE("[constructor]fields") handle new_fields(void);
HTTP_TYPE("[method]fields.append")
void fields_append(handle fields, const char *name, size_t name_size, const char *value, size_t value_size, void *gives);
HTTP_TYPE("[constructor]outgoing-response") handle new_response(handle headers);
HTTP_TYPE("[method]outgoing-response.set-status-code") bool set_status(handle response, uint32_t status);
HTTP_TYPE("[method]outgoing-response.body") void response_body(handle response, handle_or_error *gives);
HTTP_TYPE("[method]outgoing-body.write") void outgoing_stream(handle body, handle_or_error *gives);
HTTP_TYPE("[static]outgoing-body.finish")
void finish_body(handle body, bool has_trailers, handle trailers, void *gives);
HTTP_TYPE("[static]response-outparam.set")
void set_response(handle out, bool failed, handle response, uint32_t, uint64_t, uint32_t, uint32_t, uint32_t, uint32_t);

HTTP_TYPE("[constructor]outgoing-request") handle new_request(handle headers);
HTTP_TYPE("[method]outgoing-request.set-scheme")
bool set_scheme(handle request, bool there, uint32_t scheme, const char *other, size_t other_size);
HTTP_TYPE("[method]outgoing-request.set-authority")
bool set_authority(handle request, bool there, const char *value, size_t size);
HTTP_TYPE("[method]outgoing-request.set-path-with-query")
bool set_path(handle request, bool there, const char *value, size_t size);
WASI("http/outgoing-handler", "handle")
void send_request(handle request, bool has_options, handle options, handle_or_code *gives);
HTTP_TYPE("[method]future-incoming-response.subscribe") handle subscribe_response(handle future);
HTTP_TYPE("[method]future-incoming-response.get") void get_response(handle future, maybe_response *gives);
HTTP_TYPE("[resource-drop]future-incoming-response") void drop_future(handle future);
HTTP_TYPE("[method]incoming-response.status") uint32_t response_status(handle response);
HTTP_TYPE("[method]incoming-response.consume") void response_consume(handle response, handle_or_error *gives);

#define STREAM(name) WASI("io/streams", name)
STREAM("[method]input-stream.blocking-read") void blocking_read(handle stream, uint64_t most, data_or_error *gives);
STREAM("[resource-drop]input-stream") void drop_input(handle stream);
STREAM("[method]output-stream.blocking-write-and-flush")
void write_and_flush(handle stream, const char *data, size_t size, stream_result *gives);
STREAM("[resource-drop]output-stream") void drop_output(handle stream);
WASI("io/poll", "[method]pollable.block") void block(handle pollable);
WASI("io/poll", "[resource-drop]pollable") void drop_pollable(handle pollable);

WASI("cli/environment", "get-environment") void get_environment(pairs *gives);
WASI("cli/stderr", "get-stderr") handle get_stderr(void);
WASI("clocks/monotonic-clock", "subscribe-duration") handle subscribe_duration(uint64_t nanoseconds);
WASI("clocks/wall-clock", "now") void wall_clock_now(datetime *gives);
WASI("random/random", "get-random-u64") uint64_t random_u64(void);
