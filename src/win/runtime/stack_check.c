/* The stack protector's cookie and what happens when it was overwritten.  The loader replaces the initial
 * value, which it recognises, before any code of the image runs (see load_config.S). */
#include "stack_cookie.h"

extern uintptr_t __stack_chk_guard;
uintptr_t __stack_chk_guard = STACK_COOKIE_INITIAL;

_Noreturn void __stack_chk_fail(void);

_Noreturn void __stack_chk_fail(void)
{
    stack_is_broken();
}
