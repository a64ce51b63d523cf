/*
 * The stack protector's cookie and check, in the shape that the MSVC ABI of clang calls.  The kernel's loader
 * replaces the initial value (it recognises exactly this one) before DriverEntry runs; on 64-bit systems the
 * top 16 bits stay zero.
 */
#include "stack_cookie.h"

#if UINTPTR_MAX > 0xffffffffu
#define COOKIE_TOP_BITS(c) ((c) >> 48)
#else
#define COOKIE_TOP_BITS(c) 0
#endif
#if defined(__i386__)
#define CHECK_CALL __attribute__((fastcall))
#else
#define CHECK_CALL
#endif

uintptr_t __security_cookie = STACK_COOKIE_INITIAL;
/* Referenced by objects that use floating point or vectors. */
int _fltused = 0x9875;

void CHECK_CALL __security_check_cookie(uintptr_t cookie);

void CHECK_CALL __security_check_cookie(uintptr_t cookie)
{
    if (__builtin_expect(cookie == __security_cookie && COOKIE_TOP_BITS(cookie) == 0, 1)) {
        return;
    }
    stack_is_broken();
}
