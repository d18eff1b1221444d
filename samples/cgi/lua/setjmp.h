// Lua's errors without setjmp and longjmp: they take exceptions of WebAssembly, which the service leaves off.
// Instead Binaryen's pass asyncify lets every function that an error may cross return early. It was made to resume a stack that
// was left; here the stack is only left. The function that tries is not changed by the pass, because it stops the unwinding.
#ifndef SETJMP_H
#define SETJMP_H

struct unwound { char *next, *end; };  // where the functions that return early save what resuming them would need

__attribute__((import_module("asyncify"), import_name("start_unwind"))) void start_unwind(struct unwound *);
__attribute__((import_module("asyncify"), import_name("stop_unwind"))) void stop_unwind(void);

static char saved[256 * 1024];
static struct unwound unwound;
static int unwinding;
__asm__(".globaltype __stack_pointer, i32");

#define luai_jmpbuf char
#define LUAI_THROW(L, c)                                                                    \
    unwound.next = saved, unwound.end = saved + sizeof saved;                               \
    unwinding = 1;                                                                          \
    start_unwind(&unwound);
#define LUAI_TRY(L, c, a)                                                                   \
    char *stack;                                                                            \
    __asm__ volatile("global.get __stack_pointer\n local.set %0" : "=r"(stack));            \
    a                                                                                       \
    if (unwinding) {                                                                        \
        unwinding = 0;                                                                      \
        stop_unwind();                                                                      \
        __asm__ volatile("local.get %0\n global.set __stack_pointer" : : "r"(stack));       \
    }

#endif
