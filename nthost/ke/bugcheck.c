/* The end: what the driver, or the host on its behalf, cannot survive. */
#include "dispatcher.h"

#include "exports.h"
#include "host.h"

#include <stdlib.h>

VOID __attribute__((noreturn)) NTAPI KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1,
                                                  ULONG_PTR BugCheckParameter2, ULONG_PTR BugCheckParameter3,
                                                  ULONG_PTR BugCheckParameter4)
{
    host_warn("*** STOP: 0x%08X (0x%016lX, 0x%016lX, 0x%016lX, 0x%016lX), called from %p", BugCheckCode,
              BugCheckParameter1, BugCheckParameter2, BugCheckParameter3, BugCheckParameter4,
              __builtin_return_address(0));
    abort();
}

VOID __attribute__((noreturn)) NTAPI KeBugCheck(ULONG BugCheckCode)
{
    KeBugCheckEx(BugCheckCode, 0, 0, 0, 0);
}
