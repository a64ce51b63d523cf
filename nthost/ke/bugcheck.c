/* The end: what the driver, or the host on its behalf, cannot survive. */
#include "dispatcher.h"

#include "exports.h"
#include "host.h"
#include "loader/image.h"

#include <stdlib.h>

/* Weak: the unit tests have no loader. */
#pragma weak image_symbol

VOID __attribute__((noreturn)) NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1,
                                                  ULONG_PTR BugCheckParameter2, ULONG_PTR BugCheckParameter3,
                                                  ULONG_PTR BugCheckParameter4)
{
    void *caller = __builtin_return_address(0);
    const char *name = "";
    size_t offset = 0;
    if (image_symbol == NULL || !image_symbol(caller, &name, &offset))
        name = "the host";
    host_warn("*** STOP: 0x%08X (0x%016lX, 0x%016lX, 0x%016lX, 0x%016lX), called from %p (%s+0x%zx)",
              BugCheckCode, BugCheckParameter1, BugCheckParameter2, BugCheckParameter3, BugCheckParameter4,
              caller, name, offset);
    abort();
}

VOID __attribute__((noreturn)) NTAPI KeBugCheck(ULONG BugCheckCode)
{
    KeBugCheckEx(BugCheckCode, 0, 0, 0, 0);
}
