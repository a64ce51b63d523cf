/* The parts of the kernel and of the driver that several units of the driver lean on, for native tests of one
 * thread: locks do nothing, memory is counted and can be refused.  Included once, by the test's own source.
 */
#pragma once

#include "adapter.h"
#include "driver.h"
#include "epoch.h"
#include "memory.h"
#include "nt/ke.h"

#include <stdlib.h>
#include <string.h>

static int memory_live;           /* allocations that were not given back */
static int memory_refuse_in = -1; /* the allocation after so many fails, once; -1: none */

void *memory_allocate_uninitialized(enum memory_kind kind, size_t bytes)
{
    (void)kind;
    if (memory_refuse_in >= 0 && memory_refuse_in-- == 0)
        return NULL;
    memory_live++;
    return malloc(bytes);
}

void *memory_allocate(enum memory_kind kind, size_t bytes)
{
    void *memory = memory_allocate_uninitialized(kind, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void memory_free(enum memory_kind kind, void *memory, size_t bytes)
{
    (void)kind, (void)bytes;
    memory_live -= memory != NULL;
    free(memory);
}

VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK lock)
{
    *lock = 0;
}

KIRQL FASTCALL KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK lock)
{
    (void)lock;
    return 0;
}

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK lock, KIRQL irql)
{
    (void)lock, (void)irql;
}

void log_line(struct adapter *adapter, enum log_level level, const char *format, ...)
{
    (void)adapter, (void)level, (void)format;
}
