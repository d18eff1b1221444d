/* Notes that outlive their request: PUT, GET and DELETE /notes/NAME; GET /notes lists their names. */
#include "serverless_wasm.h"

#define ROOM 65536
static char path[1025], text[ROOM];

static int is(const char *method, int64_t size, const char *wanted) {
    for (int64_t at = 0; at < size; at++)
        if (!wanted[at] || method[at] != wanted[at]) return 0;
    return !wanted[size];
}

static void answer(int32_t status, const char *body, int64_t size) {
    response_set_status_line(status, SWASM_TEXT(""));
    response_set_header(SWASM_TEXT("content-type"), SWASM_TEXT("text/plain; charset=utf-8"));
    response_set_body(body, size > ROOM ? ROOM : (uint64_t)size);
}

/* What a store answered in place of a length. */
static void refuse(int64_t code) {
    if (code == -1) answer(404, SWASM_TEXT("no such note\n"));
    else if (code == -3) answer(507, SWASM_TEXT("no room\n"));
    else answer(502, SWASM_TEXT("the store does not answer\n"));
}

/* A file of the application's, then the name of every note. */
static void list(void) {
    int64_t head = file_get(SWASM_TEXT("/assets/index.txt"), 0, text, ROOM);
    if (head < 0) head = 0;
    int64_t size = kv_list(SWASM_TEXT(""), text + head, ROOM - (uint64_t)head);
    if (size < 0) refuse(size);
    else answer(200, text, head + size);
}

SWASM_EXPORT("handle") void handle(void) {
    char method[16];
    int64_t verb = request_get_method(method, sizeof method);
    int64_t size = request_get_param(SWASM_TEXT("..."), path, sizeof path) - 1; /* without its slash */
    const char *name = path + 1;
    int64_t done;
    if (size <= 0) {
        if (is(method, verb, "GET")) list();
        else answer(405, SWASM_TEXT("a note needs a name\n"));
    } else if (size >= (int64_t)sizeof path) {
        answer(414, SWASM_TEXT("a name has at most 1024 bytes\n"));
    } else if (is(method, verb, "PUT")) {
        int64_t length = request_get_body(0, text, ROOM);
        done = length > ROOM ? -3 : kv_set(name, (uint64_t)size, text, (uint64_t)length);
        if (done < 0) refuse(done);
        else answer(204, "", 0);
    } else if (is(method, verb, "DELETE")) {
        done = kv_delete(name, (uint64_t)size);
        if (done < 0) refuse(done);
        else answer(204, "", 0);
    } else {
        done = kv_get(name, (uint64_t)size, text, ROOM);
        if (done < 0) refuse(done);
        else answer(200, text, done);
    }
}
