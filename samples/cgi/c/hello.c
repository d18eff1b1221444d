// A CGI program in C: greets whom the query names, and answers POST with the body in capitals.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

// The value of a parameter as it stands in the query, and its length.
static const char *parameter(const char *name, int *length) {
    size_t size = strlen(name);
    for (const char *at = variable("QUERY_STRING"); *at; at += *at == '&') {
        size_t end = strcspn(at, "&");
        if (end > size && !strncmp(at, name, size) && at[size] == '=') {
            *length = (int)(end - size - 1);
            return at + size + 1;
        }
        at += end;
    }
    *length = (int)strlen("world");
    return "world";
}

int main(void) {
    fprintf(stderr, "C answers %s\n", variable("REQUEST_METHOD"));
    puts("Content-Type: text/plain; charset=utf-8\n");
    if (strcmp(variable("REQUEST_METHOD"), "POST") == 0) {
        for (int byte; (byte = getchar()) != EOF;) putchar(toupper(byte));
    } else {
        int length;
        const char *name = parameter("name", &length);
        printf("Hello, %.*s, from C", length, name);
    }
    return 0;
}
