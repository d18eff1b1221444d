// A component of wasi:http in C, without a library: greets whom the query names, and answers POST with the body in capitals
// as it arrives. Below its path, /ticks answers in parts, /dice shows clock and random, /backend calls $BACKEND.
#include "wasi.h"

enum { MOST = 4096 };     // bytes that one `blocking-write-and-flush` may have
enum { PAGE = 65536 };
extern char __heap_base;
static size_t used;       // address of the first free byte: memory is given back by setting it back

// Called by the host, for what it passes.
EXPORT("cabi_realloc") void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    if (!used) used = (size_t)&__heap_base;
    size_t start = (used + align - 1) / align * align;
    used = start + size;
    size_t there = __builtin_wasm_memory_size(0) * PAGE;
    if (used > there && __builtin_wasm_memory_grow(0, (used - there + PAGE - 1) / PAGE) == (size_t)-1) __builtin_trap();
    for (size_t at = 0; at < old_size; at++) ((char *)start)[at] = ((char *)old)[at];
    return (void *)start;
}

#define TEXT(literal) ((text){literal, sizeof literal - 1})

static bool begins(text whole, text part) {
    if (whole.size < part.size) return false;
    for (size_t at = 0; at < part.size; at++)
        if (whole.start[at] != part.start[at]) return false;
    return true;
}

static text behind(text whole, size_t size) {
    return (text){whole.start + size, whole.size - size};
}

static text until(text whole, char end) {
    size_t size = 0;
    while (size < whole.size && whole.start[size] != end) size++;
    return (text){whole.start, size};
}

static bool ends(text whole, text part) {
    return whole.size >= part.size && begins(behind(whole, whole.size - part.size), part);
}

// Decimal digits; the buffer has room for 20.
static text decimal(uint64_t number, char *buffer) {
    size_t at = 20;
    do buffer[--at] = (char)('0' + number % 10);
    while (number /= 10);
    return (text){buffer + at, 20 - at};
}

// False once nobody reads any more.
static bool put(handle stream, text data) {
    stream_result result;
    for (; data.size; data = behind(data, data.size < MOST ? data.size : MOST)) {
        write_and_flush(stream, data.start, data.size < MOST ? data.size : MOST, &result);
        if (result.failed) return false;
    }
    return true;
}

static handle valid(handle_or_error result) {
    if (result.failed) __builtin_trap();
    return result.value;
}

// What is under way between `begin` and `end`.
typedef struct { handle body, stream; } answer;

static answer begin(handle out, uint32_t status) {
    answer made;
    handle_or_error result;
    handle headers = new_fields();
    text name = TEXT("content-type"), value = TEXT("text/plain; charset=utf-8");
    char error[8];
    fields_append(headers, name.start, name.size, value.start, value.size, error);
    handle response = new_response(headers);
    set_status(response, status);
    response_body(response, &result);
    made.body = valid(result);
    outgoing_stream(made.body, &result);
    made.stream = valid(result);
    set_response(out, false, response, 0, 0, 0, 0, 0, 0);
    return made;
}

static void end(answer made) {
    struct { uint64_t failed; error_code error; } result;
    drop_output(made.stream);
    finish_body(made.body, false, 0, &result);
}

static void greet(handle out, text query) {
    text name = TEXT("world");
    for (text part; query.size; query = behind(query, part.size + (part.size < query.size))) {
        part = until(query, '&');
        if (begins(part, TEXT("name="))) name = behind(part, 5);
    }
    answer made = begin(out, 200);
    (void)(put(made.stream, TEXT("Hello, ")) && put(made.stream, name) && put(made.stream, TEXT(", from C")));
    end(made);
}

// Passes a body on, in parts as they come.
static void copy(handle body, handle to, bool capitals) {
    handle_or_error result;
    data_or_error part;
    incoming_stream(body, &result);
    handle stream = valid(result);
    for (size_t mark = used;; used = mark) {
        blocking_read(stream, 65536, &part);
        char *data = (char *)part.data.start;
        for (size_t at = 0; capitals && !part.failed && at < part.data.size; at++)
            if (data[at] >= 'a' && data[at] <= 'z') data[at] -= 'a' - 'A';
        if (part.failed || !put(to, part.data)) break;
    }
    drop_input(stream);
    drop_incoming_body(body);
}

static void capitals(handle out, handle request) {
    handle_or_error result;
    answer made = begin(out, 200);
    request_consume(request, &result);
    copy(valid(result), made.stream, true);
    end(made);
}

static void wait(handle pollable) {
    block(pollable);
    drop_pollable(pollable);
}

static void ticks(handle out) {
    char digits[20];
    answer made = begin(out, 200);
    for (int count = 1; count <= 3; count++) {
        if (!(put(made.stream, TEXT("tick ")) && put(made.stream, decimal(count, digits)) && put(made.stream, TEXT("\n")))) break;
        wait(subscribe_duration(100000000));
    }
    end(made);
}

static void dice(handle out) {
    char digits[20];
    datetime now;
    wall_clock_now(&now);
    answer made = begin(out, 200);
    (void)(put(made.stream, TEXT("second ")) && put(made.stream, decimal(now.seconds, digits)));
    (void)(put(made.stream, TEXT(", a ")) && put(made.stream, decimal(random_u64() % 6 + 1, digits)));
    end(made);
}

static text variable(text name) {
    pairs all;
    get_environment(&all);
    for (const pair *each = all.start; each < all.start + all.size; each++)
        if (each->name.size == name.size && begins(each->name, name)) return each->value;
    return TEXT("");
}

// Sends a GET and waits for the head of the answer; false when there is none.
static bool fetch(text url, handle *response) {
    handle_or_code sent;
    maybe_response got;
    text rest = behind(url, TEXT("http://").size), authority = until(rest, '/'), path = behind(rest, authority.size);
    handle request = new_request(new_fields());
    set_scheme(request, true, HTTP, NULL, 0);
    set_authority(request, true, authority.start, authority.size);
    set_path(request, true, path.start, path.size);
    send_request(request, false, 0, &sent);
    if (sent.failed) return false;
    wait(subscribe_response(sent.value));
    get_response(sent.value, &got);
    drop_future(sent.value);
    *response = got.response.value;
    return !got.response.failed;
}

static void backend(handle out) {
    handle response;
    handle_or_error result;
    text url = variable(TEXT("BACKEND"));
    if (!begins(url, TEXT("http://")) || !fetch(url, &response)) {
        answer made = begin(out, 502);
        put(made.stream, TEXT("no answer of the backend"));
        end(made);
        return;
    }
    answer made = begin(out, response_status(response));
    response_consume(response, &result);
    copy(valid(result), made.stream, false);
    end(made);
}

EXPORT("wasi:http/incoming-handler@0.2.0#handle") void handle_request(handle request, handle out) {
    maybe_text path;
    method verb;
    request_path(request, &path);
    request_method(request, &verb);
    text before = until(path.value, '?');
    put(get_stderr(), verb.kind == POST ? TEXT("C answers POST\n") : TEXT("C answers GET\n"));
    if (verb.kind == POST) capitals(out, request);
    else if (ends(before, TEXT("/ticks"))) ticks(out);
    else if (ends(before, TEXT("/dice"))) dice(out);
    else if (ends(before, TEXT("/backend"))) backend(out);
    else greet(out, before.size < path.value.size ? behind(path.value, before.size + 1) : TEXT(""));
}
