/*
 * The stack protector's cookie and check, in the shape that the MSVC ABI of clang calls.  The kernel's loader
 * replaces the initial value (it recognises exactly this one) before DriverEntry runs; the top 16 bits stay
 * zero.
 */
#include <stdint.h>

#define COOKIE_INITIAL               0x00002B992DDFA232ULL
#define FAST_FAIL_STACK_COOKIE_CHECK 2

uintptr_t __security_cookie = COOKIE_INITIAL;
/* Referenced by objects that use floating point or vectors. */
int _fltused = 0x9875;

void __security_check_cookie(uintptr_t cookie);

void __security_check_cookie(uintptr_t cookie)
{
    if (__builtin_expect(cookie == __security_cookie && cookie >> 48 == 0, 1)) {
        return;
    }
    /* __fastfail: the kernel stops with KERNEL_SECURITY_CHECK_FAILURE; no stack can be trusted any more. */
    __asm__ volatile("int $0x29" : : "c"(FAST_FAIL_STACK_COOKIE_CHECK) : "memory");
    __builtin_unreachable();
}
