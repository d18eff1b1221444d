/* Two functions in one module: the configuration gives each a route of its own. */
#include "serverless_wasm.h"

SWASM_EXPORT("hello")
void hello(void) {
    log_message(SWASM_TEXT("somebody said hello"));
    response_set_status_line(200, SWASM_TEXT("OK"));
    response_set_header(SWASM_TEXT("content-type"), SWASM_TEXT("text/plain"));
    response_set_body(SWASM_TEXT("Hello, world!\n"));
}

SWASM_EXPORT("bonjour")
void bonjour(void) {
    log_message(SWASM_TEXT("quelqu'un a dit bonjour"));
    response_set_status_line(200, SWASM_TEXT("OK"));
    response_set_header(SWASM_TEXT("content-type"), SWASM_TEXT("text/plain; charset=utf-8"));
    response_set_body(SWASM_TEXT("Bonjour à tous !\n"));
}
