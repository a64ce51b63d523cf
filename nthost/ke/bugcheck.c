/* The end: what the driver, or the host on its behalf, cannot survive. */
#include "dispatcher.h"

#include "exports.h"
#include "host.h"
#include "imports/imports.h"
#include "loader/image.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_FRAMES 32

/* Weak: the unit tests have no loader. */
#pragma weak image_symbol
#pragma weak image_print_stack
#pragma weak import_driver_stack

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
    if (import_driver_stack != NULL && image_print_stack != NULL) { /* known in verify mode */
        uint64_t frames[MAX_FRAMES];
        image_print_stack(stderr, frames, import_driver_stack(frames, MAX_FRAMES));
    }
    abort();
}

VOID __attribute__((noreturn)) NTAPI KeBugCheck(ULONG BugCheckCode)
{
    KeBugCheckEx(BugCheckCode, 0, 0, 0, 0);
}
