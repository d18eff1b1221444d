// Runs a JavaScript file with QuickJS, and gives it of QuickJS's own module std what a CGI program needs:
// std.getenv(name), std.in.readAsString(), std.out.puts(text) and std.err.puts(text).
#include <stdio.h>
#include <stdlib.h>
#include "quickjs.h"

enum { OUT, ERR };

// All of a file with a 0 behind it, to be freed; NULL when there is no room.
static char *whole(FILE *file, size_t *size) {
    size_t room = 4096;
    char *text = malloc(room);
    *size = 0;
    while (text) {
        *size += fread(text + *size, 1, room - *size - 1, file);
        if (*size < room - 1) break;
        char *larger = realloc(text, room *= 2);
        if (!larger) free(text);
        text = larger;
    }
    if (text) text[*size] = 0;
    return text;
}

static JSValue std_getenv(JSContext *js, JSValueConst self, int count, JSValueConst *arguments) {
    const char *name = JS_ToCString(js, arguments[0]);
    if (!name) return JS_EXCEPTION;
    const char *value = getenv(name);
    JS_FreeCString(js, name);
    return value ? JS_NewString(js, value) : JS_UNDEFINED;
}

static JSValue std_read(JSContext *js, JSValueConst self, int count, JSValueConst *arguments) {
    size_t size;
    char *text = whole(stdin, &size);
    if (!text) return JS_ThrowOutOfMemory(js);
    JSValue string = JS_NewStringLen(js, text, size);
    free(text);
    return string;
}

static JSValue std_puts(JSContext *js, JSValueConst self, int count, JSValueConst *arguments, int stream) {
    size_t size;
    const char *text = JS_ToCStringLen(js, &size, arguments[0]);
    if (!text) return JS_EXCEPTION;
    fwrite(text, 1, size, stream == OUT ? stdout : stderr);
    JS_FreeCString(js, text);
    return JS_UNDEFINED;
}

static JSValue stream(JSContext *js, JSValue function, const char *name) {
    JSValue object = JS_NewObject(js);
    JS_SetPropertyStr(js, object, name, function);
    return object;
}

static void add_std(JSContext *js) {
    JSValue global = JS_GetGlobalObject(js), std = JS_NewObject(js);
    JS_SetPropertyStr(js, std, "getenv", JS_NewCFunction(js, std_getenv, "getenv", 1));
    JS_SetPropertyStr(js, std, "in", stream(js, JS_NewCFunction(js, std_read, "readAsString", 0), "readAsString"));
    JS_SetPropertyStr(js, std, "out", stream(js, JS_NewCFunctionMagic(js, std_puts, "puts", 1, JS_CFUNC_generic_magic, OUT), "puts"));
    JS_SetPropertyStr(js, std, "err", stream(js, JS_NewCFunctionMagic(js, std_puts, "puts", 1, JS_CFUNC_generic_magic, ERR), "puts"));
    JS_SetPropertyStr(js, global, "std", std);
    JS_FreeValue(js, global);
}

static int failed(JSContext *js) {
    JSValue error = JS_GetException(js), stack = JS_GetPropertyStr(js, error, "stack");
    const char *text = JS_ToCString(js, error), *where = JS_ToCString(js, stack);
    fprintf(stderr, "%s\n%s", text ? text : "error", where ? where : "");
    return 1;
}

// The process ends with the request: nothing is freed that the end frees anyway.
int main(int count, char **arguments) {
    FILE *file = count > 1 ? fopen(arguments[1], "rb") : NULL;
    size_t size = 0;
    char *script = file ? whole(file, &size) : NULL;
    if (!script) {
        fprintf(stderr, "found no script %s: name it in arguments, and its folder in mounts\n", count > 1 ? arguments[1] : "");
        return 2;
    }
    JSContext *js = JS_NewContext(JS_NewRuntime());
    add_std(js);
    if (JS_IsException(JS_Eval(js, script, size, arguments[1], JS_EVAL_TYPE_GLOBAL))) return failed(js);
    for (JSContext *job; ;) {
        int done = JS_ExecutePendingJob(JS_GetRuntime(js), &job);
        if (done < 0) return failed(job);
        if (done == 0) return 0;
    }
}
