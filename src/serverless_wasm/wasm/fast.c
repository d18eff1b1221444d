/* The compiled path: what pure.py does call by call, in one call, and the host functions that guests call most.
 *
 * Built by hatch_build.py where there is a C compiler; fast.py loads it. It knows nothing of Python: a host
 * function that has anything to refuse, or is asked for more than it does, calls the Python one that it stands
 * for, which is the one that says what a guest may do and how it ends. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "capi.h"
#include "guest.h"

#define EXPORT __attribute__((visibility("default")))
enum { WAITS, OVER, FAILED, LOST, ANSWERED };    /* pure.py */
enum { EXTERN_FUNC = 0, EXTERN_MEMORY = 3 };     /* wasmtime/extern.h */
enum { NAME_LIMIT = 65536, REASON_LIMIT = 256 }; /* abi/env.py, abi/response.py */

EXPORT const char fast_sources[] = SOURCES;      /* the digest of these files, from hatch_build.py */
EXPORT const size_t fast_sizes[] = {sizeof(plan_t), sizeof(answer_t), sizeof(guest_t),
                                    sizeof(allocation_t), sizeof(import_t), sizeof(wiring_t)};

/* A guest's steps */

static void make(guest_t *guest) {
  const plan_t *plan = guest->plan;
  guest->store = wasmtime_store_new(plan->engine, guest, NULL);
  guest->context = wasmtime_store_context(guest->store);
  wasmtime_store_limiter(guest->store, plan->memory, plan->table_elements, 1, -1, 1);
  wasmtime_context_epoch_deadline_async_yield_and_update(guest->context, 1);
  wasmtime_context_set_epoch_deadline(guest->context, plan->slice);
  if (plan->counts_fuel) wasmtime_context_set_fuel(guest->context, plan->fuel);
  guest->future = wasmtime_instance_pre_instantiate_async(
      plan->recipe, guest->context, &guest->instance, &guest->trap, &guest->error);
}

static void look(guest_t *guest);

/* Begins the next call; how it is over already, WAITS if it is not. */
static int call(guest_t *guest) {
  if (!guest->has_memory) look(guest);
  if (guest->next == guest->plan->call_count) return OVER;
  const call_t *call = &guest->plan->calls[guest->next++];
  if (!wasmtime_instance_export_get(guest->context, &guest->instance, call->function.data,
                                    call->function.size, &guest->function) ||
      guest->function.kind != EXTERN_FUNC)
    return LOST;
  guest->future = wasmtime_func_call_async(guest->context, &guest->function.of.func, call->values,
                                           call->count, NULL, 0, &guest->trap, &guest->error);
  return WAITS;
}

static int step(guest_t *guest) {
  if (!guest->store) make(guest);
  int how = guest->future ? WAITS : call(guest); /* without a future it has answered before (reuse.py) */
  while (how == WAITS && wasmtime_call_future_poll(guest->future)) {
    wasmtime_call_future_delete(guest->future);
    guest->future = NULL;
    how = guest->trap || guest->error || guest->failed ? FAILED : call(guest);
  }
  return how;
}

static void look(guest_t *guest) {
  if (!guest->has_memory && guest->instance.store_id)
    guest->has_memory = wasmtime_instance_export_get(guest->context, &guest->instance, "memory", 6,
                                                     &guest->memory) &&
                        guest->memory.kind == EXTERN_MEMORY;
  if (!guest->has_memory) return;
  guest->size = wasmtime_memory_data_size(guest->context, &guest->memory.of.memory);
  guest->data = wasmtime_memory_data(guest->context, &guest->memory.of.memory);
}

/* Runs the guest until its calls are over, or it waits, or has used its slice, or has failed. */
EXPORT int guest_go(guest_t *guest) {
  answer_t *answer = guest->answer;
  answer->touched = answer->has_body = false;
  answer->status = answer->fields = answer->used = 0;
  answer->header_bytes = 0;
  int how = step(guest);
  look(guest);
  return how;
}

static void put(answer_t *answer, const void *data, size_t size) {
  memcpy(answer->wire + answer->wire_size, data, size);
  answer->wire_size += (uint32_t)size;
}

/* A field's name in lower case; false if it is one that the door sets itself (OURS of server/wire.py). */
static bool put_name(answer_t *answer, span_t span) {
  static const char ours[] = "|connection|content-length|date|keep-alive|proxy-authenticate|proxy-authentication-info"
                             "|proxy-authorization|proxy-connection|server|te|trailer|transfer-encoding|upgrade|";
  char *name = answer->wire + answer->wire_size, sought[32];
  put(answer, answer->arena + span.at, span.size);
  for (uint32_t at = 0; at < span.size; at++)
    if (name[at] >= 'A' && name[at] <= 'Z') name[at] |= 0x20;
  if (span.size > sizeof sought - 3) return true;
  sought[0] = '|';
  memcpy(sought + 1, name, span.size);
  memcpy(sought + 1 + span.size, "|", 2);
  return !strstr(ours, sought);
}

/* Writes an answer as it goes out behind the first lines of its response; false if that is for Python to do. */
static bool write_answer(answer_t *answer) {
  uint32_t status = answer->status;
  if (!answer->touched || status == 204 || status == 205 || status == 304) return false;
  answer->wire_size = 0;
  for (uint32_t at = 0; at < answer->fields; at++) {
    if (!put_name(answer, answer->names[at])) return false;
    put(answer, ": ", 2);
    put(answer, answer->arena + answer->values[at].at, answer->values[at].size);
    put(answer, "\r\n", 2);
  }
  uint32_t size = answer->has_body ? answer->body.size : 0;
  answer->wire_size += (uint32_t)sprintf(answer->wire + answer->wire_size, "content-length: %u\r\n\r\n", size);
  put(answer, answer->arena + answer->body.at, size);
  return true;
}

/* The same for a guest that is new; ANSWERED if nothing in Python has to see it any more. */
EXPORT int guest_answer(guest_t *guest) {
  int how = guest_go(guest);
  return how == OVER && !guest->attended && write_answer(guest->answer) ? ANSWERED : how;
}

/* Calls a guest's allocator, which never gives the loop away; how it ended, WAITS being that it takes too long. */
EXPORT int guest_allocate(wasmtime_context_t *context, const wasmtime_func_t *function, allocation_t *wanted) {
  wasmtime_val_t result, values[4] = {{.kind = 0}, {.kind = 0}, {.kind = 0}, {.kind = 0}};
  values[2].of.i32 = (int32_t)wanted->align;
  values[3].of.i32 = (int32_t)wanted->size;
  wanted->trap = NULL;
  wanted->error = NULL;
  wasmtime_call_future_t *future =
      wasmtime_func_call_async(context, function, values, 4, &result, 1, &wanted->trap, &wanted->error);
  bool over = false;
  for (uint32_t tick = 0; tick < wanted->patience && !over; tick++) over = wasmtime_call_future_poll(future);
  wasmtime_call_future_delete(future);
  if (!over) return WAITS;
  if (wanted->trap || wanted->error) return FAILED;
  wanted->place = (uint32_t)result.of.i32;
  return OVER;
}

/* Tells a linker all that a module of a component imports; OVER, LOST if there is no such export, or FAILED. */
EXPORT int guest_define(wasmtime_linker_t *linker, wasmtime_context_t *context, wiring_t *wiring) {
  for (size_t at = 0; at < wiring->count; at++) {
    const import_t *import = &wiring->imports[at];
    const text_t *source = &import->source;
    wasmtime_extern_t item;
    bool found = import->instance < 0
                     ? wasmtime_linker_get(wiring->host, context, "host", 4, source->data, source->size, &item)
                     : wasmtime_instance_export_get(context, &wiring->instances[import->instance],
                                                    source->data, source->size, &item);
    if (!found) return LOST;
    wiring->error = wasmtime_linker_define(linker, context, import->module.data, import->module.size,
                                           import->name.data, import->name.size, &item);
    if (wiring->error) return FAILED;
  }
  return OVER;
}

/* Host functions */

/* The guest that called, if its host function may answer here: within its budget, its memory known. */
static guest_t *caller_of(wasmtime_caller_t *caller) {
  guest_t *guest = wasmtime_context_get_data(wasmtime_caller_context(caller));
  if (guest->host_calls >= guest->plan->host_calls) return NULL;
  if (guest->has_memory) return guest;
  if (!wasmtime_caller_export_get(caller, "memory", 6, &guest->memory) || guest->memory.kind != EXTERN_MEMORY)
    return NULL;
  guest->has_memory = true;
  look(guest);
  return guest;
}

/* The bytes of a window, or NULL if they are not all inside. A memory never shrinks, and one of the pool never
 * moves (memory.py), so the engine is asked only when a window does not fit into what is known. */
static uint8_t *window(guest_t *guest, const wasmtime_val_raw_t *pointer, uint64_t size) {
  uint64_t start = (uint32_t)pointer->i32;
  if (size > guest->size || start > guest->size - size) {
    look(guest);
    if (size > guest->size || start > guest->size - size) return NULL;
  }
  return guest->data + start;
}

/* A copy in the arena; false if there is no room. */
static bool note(answer_t *answer, span_t *span, const uint8_t *data, uint64_t size) {
  if (size > sizeof answer->arena - answer->used) return false;
  memcpy(answer->arena + answer->used, data, size);
  *span = (span_t){answer->used, (uint32_t)size};
  answer->used += (uint32_t)size;
  return answer->touched = true;
}

/* RFC 9110 section 5.6.2, token. */
static bool is_token(const uint8_t *text, uint64_t size) {
  for (uint64_t at = 0; at < size; at++) {
    uint8_t byte = text[at], letter = byte | 0x20;
    bool alphanumeric = (letter >= 'a' && letter <= 'z') || (byte >= '0' && byte <= '9');
    if (!alphanumeric && (!byte || !strchr("!#$%&'*+-.^_`|~", byte))) return false;
  }
  return size > 0;
}

/* RFC 9110 section 5.5, field-value. */
static bool is_text(const uint8_t *text, uint64_t size) {
  for (uint64_t at = 0; at < size; at++)
    if ((text[at] < 0x20 && text[at] != '\t') || text[at] == 0x7f) return false;
  return true;
}

static bool set_body(guest_t *guest, wasmtime_val_raw_t *values) {
  uint64_t size = (uint64_t)values[1].i64;
  uint8_t *body = window(guest, &values[0], size);
  if (!guest->answers || !body || size > guest->plan->response_body) return false;
  if (!note(guest->answer, &guest->answer->body, body, size)) return false;
  guest->answer->has_body = true;
  return true;
}

static bool set_status(guest_t *guest, wasmtime_val_raw_t *values) {
  uint32_t status = (uint32_t)values[0].i32;
  uint64_t size = (uint64_t)values[2].i64;
  uint8_t *reason = window(guest, &values[1], size);
  if (!guest->answers || !reason || status < 200 || status > 599 || size > REASON_LIMIT) return false;
  if (!is_text(reason, size) || !note(guest->answer, &guest->answer->reason, reason, size)) return false;
  guest->answer->status = status;
  return true;
}

static bool set_header(guest_t *guest, wasmtime_val_raw_t *values) {
  const plan_t *plan = guest->plan;
  answer_t *answer = guest->answer;
  uint32_t at = answer->fields;
  uint64_t name_size = (uint64_t)values[1].i64, size = (uint64_t)values[3].i64;
  uint8_t *name = window(guest, &values[0], name_size), *value = window(guest, &values[2], size);
  /* What the limits refuse is for Python to count, which does not count fields that the door sets itself. */
  if (!guest->answers || !name || !value || at >= plan->response_headers ||
      at >= sizeof answer->names / sizeof *answer->names || name_size > plan->response_header_bytes ||
      size > plan->response_header_bytes)
    return false;
  for (; size && (*value == ' ' || *value == '\t'); size--) value++;
  for (; size && (value[size - 1] == ' ' || value[size - 1] == '\t'); size--) continue;
  uint64_t bytes = answer->header_bytes + name_size + size;
  if (bytes > plan->response_header_bytes || !is_token(name, name_size) || !is_text(value, size) ||
      name_size + size > sizeof answer->arena - answer->used)
    return false;
  note(answer, &answer->names[at], name, name_size);
  note(answer, &answer->values[at], value, size);
  answer->header_bytes = bytes;
  answer->fields++;
  return true;
}

/* Less than, equal to or greater than 0, in the order of a plan's variables. */
static int compare(const text_t *name, const uint8_t *key, uint64_t size) {
  if (name->size != size) return name->size < size ? -1 : 1;
  return memcmp(name->data, key, size);
}

static bool db_get(guest_t *guest, wasmtime_val_raw_t *values) {
  uint64_t key_size = (uint64_t)values[1].i64, room = (uint64_t)values[3].i64;
  uint8_t *key = window(guest, &values[0], key_size), *buffer = window(guest, &values[2], room);
  if (!key || !buffer || key_size > NAME_LIMIT) return false;
  const variable_t *variables = guest->plan->variables;
  size_t low = 0, high = guest->plan->variable_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (compare(&variables[middle].name, key, key_size) < 0) low = middle + 1;
    else high = middle;
  }
  if (low == guest->plan->variable_count || compare(&variables[low].name, key, key_size)) {
    values[0].i64 = -1;
    return true;
  }
  const text_t *value = &variables[low].value;
  memcpy(buffer, value->data, value->size < room ? value->size : room);
  values[0].i64 = (int64_t)value->size;
  return true;
}

/* What a guest may read of its request (guest.h). */
enum { METHOD, PATH, QUERY, PARAMETERS, FIELDS, PARTS };

static text_t part(const guest_t *guest, int number) {
  uint32_t sizes[PARTS];
  memcpy(sizes, guest->request, sizeof sizes);
  const char *data = guest->request + sizeof sizes;
  for (int at = 0; at < number; at++) data += sizes[at];
  return (text_t){data, sizes[number]};
}

/* As much of a text as there is room for at `place`, and its whole size. */
static bool give(guest_t *guest, const wasmtime_val_raw_t *place, text_t text, wasmtime_val_raw_t *result) {
  uint64_t room = (uint64_t)place[1].i64;
  uint8_t *buffer = window(guest, place, room);
  if (!buffer) return false;
  memcpy(buffer, text.data, text.size < room ? text.size : room);
  result->i64 = (int64_t)text.size;
  return true;
}

static bool get_method(guest_t *guest, wasmtime_val_raw_t *values) {
  return guest->request && give(guest, values, part(guest, METHOD), values);
}

static bool get_path(guest_t *guest, wasmtime_val_raw_t *values) {
  return guest->request && give(guest, values, part(guest, PATH), values);
}

static bool get_query(guest_t *guest, wasmtime_val_raw_t *values) {
  return guest->request && give(guest, values, part(guest, QUERY), values);
}

/* Whether a name is the guest's key; header fields have theirs in lower case, and are asked for in any. */
static bool is_name(const char *name, const uint8_t *key, uint64_t size, bool any_case) {
  for (uint64_t at = 0; at < size; at++) {
    uint8_t byte = key[at];
    if (any_case && byte >= 'A' && byte <= 'Z') byte |= 0x20;
    if ((uint8_t)name[at] != byte) return false;
  }
  return true;
}

static bool get_named(guest_t *guest, wasmtime_val_raw_t *values, int number) {
  uint64_t size = (uint64_t)values[1].i64;
  uint8_t *key = window(guest, &values[0], size);
  if (!guest->request || !key || size > NAME_LIMIT) return false;
  if (!window(guest, &values[2], (uint64_t)values[3].i64)) return false;
  text_t pairs = part(guest, number), found = {.data = NULL};
  for (const char *name = pairs.data, *end = name + pairs.size; name < end;) {
    size_t name_size = strlen(name);
    const char *value = name + name_size + 1;
    size_t value_size = strlen(value);
    if (name_size == size && is_name(name, key, size, number == FIELDS)) {
      if (found.data) return false; /* several are one, which Python makes of them */
      found = (text_t){value, value_size};
    }
    name = value + value_size + 1;
  }
  if (found.data) return give(guest, &values[2], found, values);
  values[0].i64 = -1;
  return true;
}

static bool get_parameter(guest_t *guest, wasmtime_val_raw_t *values) {
  return get_named(guest, values, PARAMETERS);
}

static bool get_header(guest_t *guest, wasmtime_val_raw_t *values) {
  return get_named(guest, values, FIELDS);
}

/* Each of the above as the engine calls it: what it does not answer, `python` does, the function it stands for. */
#define HOST_FUNCTION(exported, answer)                                                                    \
  EXPORT wasm_trap_t *exported(void *python, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,         \
                               size_t count) {                                                             \
    guest_t *guest = caller_of(caller);                                                                    \
    if (!guest || !answer(guest, values))                                                                  \
      return ((wasmtime_func_unchecked_callback_t)python)(NULL, caller, values, count);                    \
    guest->host_calls++;                                                                                   \
    return NULL;                                                                                           \
  }

HOST_FUNCTION(fast_set_body, set_body)
HOST_FUNCTION(fast_set_status, set_status)
HOST_FUNCTION(fast_set_header, set_header)
HOST_FUNCTION(fast_db_get, db_get)
HOST_FUNCTION(fast_get_method, get_method)
HOST_FUNCTION(fast_get_path, get_path)
HOST_FUNCTION(fast_get_query, get_query)
HOST_FUNCTION(fast_get_parameter, get_parameter)
HOST_FUNCTION(fast_get_header, get_header)
