/* Talks to Redis in its own protocol, RESP, over a TCP connection of the guest's own.
 *
 * Everything that arrives is a stranger's: the key and the value come from the client, the reply
 * from the network. A word goes to Redis with its length in front, so no key can smuggle in a
 * second command; a reply is read into room of a known size, and what does not fit is a 502.
 */
#include "serverless_wasm.h"

enum { LARGEST_ADDRESS = 256, LARGEST_KEY = 256, LARGEST_VALUE = 64 * 1024, LARGEST_LINE = 512 };

typedef struct { const char *bytes; uint64_t size; } Text;
#define TEXT(literal) ((Text){SWASM_TEXT(literal)})

typedef enum { SIMPLE, NUMBER, BULK, NIL, REFUSED, BROKEN } Kind;
typedef struct { Kind kind; Text text; } Reply;

/* ---- the answer to the client ---- */

static void answer(int32_t status, Text reason, Text body) {
    response_set_status_line(status, reason.bytes, reason.size);
    response_set_header(SWASM_TEXT("content-type"), SWASM_TEXT("text/plain; charset=utf-8"));
    response_set_header(SWASM_TEXT("x-content-type-options"), SWASM_TEXT("nosniff"));
    response_set_body(body.bytes, body.size);
}

static void ok(Text body) { answer(200, TEXT("OK"), body); }

/* ---- the connection: one for each invocation, closed with it ---- */

static int32_t redis = -1;

/* The address is a variable of the application, which is also what permits the connection. */
static int open_connection(void) {
    char address[LARGEST_ADDRESS];
    int64_t size = db_get(SWASM_TEXT("backend"), address, sizeof address);
    if (size < 0 || size > LARGEST_ADDRESS) return 0;
    redis = tcp_connect(address, (uint64_t)size);
    return redis >= 0;
}

/* tcp_write may take less than it is given: go on with the rest. */
static int send_all(Text text) {
    while (text.size > 0) {
        int64_t sent = tcp_write(redis, text.bytes, text.size);
        if (sent <= 0) return 0;
        text.bytes += sent;
        text.size -= (uint64_t)sent;
    }
    return 1;
}

/* The next byte of the reply, however the network cut it into pieces; -1 when no more will come. */
static int next_byte(void) {
    static char arrived[4096];
    static int64_t count, taken;
    if (taken == count) {
        taken = 0;
        count = tcp_read(redis, arrived, sizeof arrived);
        if (count <= 0) return count = 0, -1;
    }
    return (unsigned char)arrived[taken++];
}

/* ---- RESP: https://redis.io/docs/latest/develop/reference/protocol-spec/ ---- */

/* The words of a command are joined here and leave in one piece. */
static char command[LARGEST_KEY + LARGEST_VALUE + LARGEST_LINE];
static uint64_t command_size;

static void put(Text text) {
    if (text.size > sizeof command - command_size) __builtin_trap();
    for (uint64_t i = 0; i < text.size; i++) command[command_size++] = text.bytes[i];
}

/* A count as RESP writes it: a sign that says of what, decimal digits, the end of the line. */
static void put_count(char sign, uint64_t count) {
    char digits[24];
    uint64_t first = sizeof digits;
    digits[--first] = '\n';
    digits[--first] = '\r';
    do digits[--first] = (char)('0' + count % 10);
    while (count /= 10);
    digits[--first] = sign;
    put((Text){digits + first, sizeof digits - first});
}

static void put_command(const Text *words, uint64_t count) {
    command_size = 0;
    put_count('*', count);
    for (uint64_t i = 0; i < count; i++) {
        put_count('$', words[i].size);
        put(words[i]);
        put(TEXT("\r\n"));
    }
}

/* A line without its end; 0 when the connection ends first or the line is too long. */
static int read_line(Text *line) {
    static char room[LARGEST_LINE];
    line->bytes = room;
    line->size = 0;
    for (;;) {
        int byte = next_byte();
        if (byte == '\r') return next_byte() == '\n';
        if (byte < 0 || line->size == sizeof room) return 0;
        room[line->size++] = (char)byte;
    }
}

/* A length as Redis writes it; -1 for its own "-1", which means nil; -2 for anything unusable. */
static int64_t length_of(Text digits) {
    int64_t length = 0;
    if (digits.size == 2 && digits.bytes[0] == '-' && digits.bytes[1] == '1') return -1;
    if (digits.size == 0 || digits.size > 9) return -2;
    for (uint64_t i = 0; i < digits.size; i++) {
        if (digits.bytes[i] < '0' || digits.bytes[i] > '9') return -2;
        length = length * 10 + (digits.bytes[i] - '0');
    }
    return length;
}

static Reply read_bulk(Text digits) {
    static char value[LARGEST_VALUE];
    int64_t size = length_of(digits);
    if (size == -1) return (Reply){NIL, TEXT("")};
    if (size < 0 || size > LARGEST_VALUE) return (Reply){BROKEN, TEXT("")};
    for (int64_t i = 0; i < size; i++) {
        int byte = next_byte();
        if (byte < 0) return (Reply){BROKEN, TEXT("")};
        value[i] = (char)byte;
    }
    if (next_byte() != '\r' || next_byte() != '\n') return (Reply){BROKEN, TEXT("")};
    return (Reply){BULK, {value, (uint64_t)size}};
}

static Reply read_reply(void) {
    int sign = next_byte();
    Text line;
    if (sign < 0 || !read_line(&line)) return (Reply){BROKEN, TEXT("")};
    switch (sign) {
    case '+': return (Reply){SIMPLE, line};
    case ':': return (Reply){NUMBER, line};
    case '-': return (Reply){REFUSED, line};
    case '$': return read_bulk(line);
    default: return (Reply){BROKEN, TEXT("")};
    }
}

/* Sends one command and reads its reply. When that is not of a kind the caller knows, says so to
 * the client (502: the fault lies behind us) and to the log, and returns 0. */
static int ask(Reply *reply, Kind wanted, const Text *words, uint64_t count) {
    if (!open_connection()) {
        answer(502, TEXT("Bad Gateway"), TEXT("cannot connect to Redis\n"));
        return 0;
    }
    put_command(words, count);
    *reply = send_all((Text){command, command_size}) ? read_reply() : (Reply){BROKEN, TEXT("")};
    tcp_close(redis);
    if (reply->kind == wanted || (wanted == BULK && reply->kind == NIL)) return 1;
    if (reply->kind == REFUSED) log_message(reply->text.bytes, reply->text.size);
    answer(502, TEXT("Bad Gateway"), reply->kind == REFUSED ? TEXT("Redis refused the command\n")
                                                           : TEXT("no usable reply from Redis\n"));
    return 0;
}
#define ASK(reply, wanted, ...) \
    ask(reply, wanted, (Text[]){__VA_ARGS__}, sizeof((Text[]){__VA_ARGS__}) / sizeof(Text))

/* ---- what the client may ask for ---- */

/* The key of the route "/redis/keys/:key", under a prefix that keeps it away from other keys. */
static int read_key(Text *key) {
    static const char prefix[] = "sample:key:";
    static char room[sizeof prefix - 1 + LARGEST_KEY];
    for (uint64_t i = 0; i < sizeof prefix - 1; i++) room[i] = prefix[i];
    int64_t size = request_get_param(SWASM_TEXT("key"), room + sizeof prefix - 1, LARGEST_KEY);
    if (size < 1 || size > LARGEST_KEY) {
        answer(400, TEXT("Bad Request"), TEXT("a key has 1 to 256 bytes\n"));
        return 0;
    }
    *key = (Text){room, sizeof prefix - 1 + (uint64_t)size};
    return 1;
}

SWASM_EXPORT("ping")
void ping(void) {
    Reply reply;
    if (ASK(&reply, SIMPLE, TEXT("PING"))) ok(TEXT("PONG\n"));
}

SWASM_EXPORT("counter")
void counter(void) {
    Reply reply;
    if (ASK(&reply, NUMBER, TEXT("INCR"), TEXT("sample:counter"))) ok(reply.text);
}

SWASM_EXPORT("put_key")
void put_key(void) {
    static char value[LARGEST_VALUE];
    Text key;
    Reply reply;
    if (!read_key(&key)) return;
    int64_t size = request_get_body(0, value, sizeof value);
    if (size < 0 || size > LARGEST_VALUE) {
        answer(413, TEXT("Content Too Large"), TEXT("a value has at most 65536 bytes\n"));
        return;
    }
    if (ASK(&reply, SIMPLE, TEXT("SET"), key, {value, (uint64_t)size})) ok(TEXT("OK\n"));
}

SWASM_EXPORT("get_key")
void get_key(void) {
    Text key;
    Reply reply;
    if (!read_key(&key) || !ASK(&reply, BULK, TEXT("GET"), key)) return;
    if (reply.kind == NIL) answer(404, TEXT("Not Found"), TEXT("no such key\n"));
    else ok(reply.text);
}
