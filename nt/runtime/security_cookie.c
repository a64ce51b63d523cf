/*
 * The stack protector's cookie and check, in the shape that the MSVC ABI of clang calls.  The kernel's loader
 * replaces the initial value (it recognises exactly this one) before DriverEntry runs; on 64-bit systems the
 * top 16 bits stay zero.
 */
#include <stdint.h>

#if UINTPTR_MAX > 0xffffffffu
#define COOKIE_INITIAL     0x00002B992DDFA232ULL
#define COOKIE_TOP_BITS(c) ((c) >> 48)
#else
#define COOKIE_INITIAL     0xBB40E64EU
#define COOKIE_TOP_BITS(c) 0
#endif
#if defined(__i386__)
#define CHECK_CALL __attribute__((fastcall))
#else
#define CHECK_CALL
#endif
#define FAST_FAIL_STACK_COOKIE_CHECK 2

uintptr_t __security_cookie = COOKIE_INITIAL;
/* Referenced by objects that use floating point or vectors. */
int _fltused = 0x9875;

void CHECK_CALL __security_check_cookie(uintptr_t cookie);

void CHECK_CALL __security_check_cookie(uintptr_t cookie)
{
    if (__builtin_expect(cookie == __security_cookie && COOKIE_TOP_BITS(cookie) == 0, 1)) {
        return;
    }
    /* __fastfail: the kernel stops with KERNEL_SECURITY_CHECK_FAILURE; no stack can be trusted any more. */
#if defined(__aarch64__)
    register uint64_t code __asm__("x0") = FAST_FAIL_STACK_COOKIE_CHECK;
    __asm__ volatile("brk #0xf003" : : "r"(code) : "memory");
#else
    __asm__ volatile("int $0x29" : : "c"(FAST_FAIL_STACK_COOKIE_CHECK) : "memory");
#endif
    __builtin_unreachable();
}
