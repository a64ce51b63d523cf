/* What the kernel's and the user-mode images' stack protectors share: the cookie's value in the image, which
 * the loader recognises and replaces, and the end of what has a broken stack. */
#pragma once

#include <stdint.h>

#if UINTPTR_MAX > 0xffffffffu
#define STACK_COOKIE_INITIAL 0x00002B992DDFA232u
#else
#define STACK_COOKIE_INITIAL 0xBB40E64Eu
#endif

/* __fastfail(FAST_FAIL_STACK_COOKIE_CHECK_FAILURE): nothing may run any more on a stack that cannot be
 * trusted; the kernel stops with KERNEL_SECURITY_CHECK_FAILURE, a process without its handlers. */
_Noreturn static inline void stack_is_broken(void)
{
    enum { FAST_FAIL_STACK_COOKIE_CHECK_FAILURE = 2 };
#if defined(__aarch64__)
    register uint64_t code __asm__("x0") = FAST_FAIL_STACK_COOKIE_CHECK_FAILURE;
    __asm__ volatile("brk #0xf003" : : "r"(code) : "memory");
#else
    __asm__ volatile("int $0x29" : : "c"(FAST_FAIL_STACK_COOKIE_CHECK_FAILURE) : "memory");
#endif
    __builtin_unreachable();
}
