/* The stack protector's cookie and what happens when it was overwritten.  The loader replaces the initial
 * value, which it recognises, before any code of the image runs (see load_config.S). */
#include <stdint.h>

#if UINTPTR_MAX > 0xffffffffu
#define COOKIE_INITIAL 0x00002B992DDFA232u
#else
#define COOKIE_INITIAL 0xBB40E64Eu
#endif
#define FAST_FAIL_STACK_COOKIE_CHECK 2

extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard = COOKIE_INITIAL;

_Noreturn void __stack_chk_fail(void);

/* __fastfail: no handler of a process whose stack cannot be trusted may run any more. */
_Noreturn void __stack_chk_fail(void)
{
#if defined(__aarch64__)
    register uint64_t code __asm__("x0") = FAST_FAIL_STACK_COOKIE_CHECK;
    __asm__ volatile("brk #0xf003" : : "r"(code) : "memory");
#else
    __asm__ volatile("int $0x29" : : "c"(FAST_FAIL_STACK_COOKIE_CHECK) : "memory");
#endif
    __builtin_unreachable();
}
