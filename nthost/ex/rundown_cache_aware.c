/* Cache-aware rundown protection: one counter per virtual CPU, each in its own cache line.  A reference taken
 * on one CPU may be released on another, so that single counters may wrap; only their sum means something.
 * When a rundown begins each counter is exchanged for "active" plus the waiter's block, which then collects
 * the sum.  Microsoft's page title: "Run-Down Protection" (cache-aware functions). */
#include "ke/dispatcher.h"
#include "nt/ex.h"

#include "host.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_AWARE_LINE 64u
#define MAXIMUM_COUNTERS 64u
#define COLLECTING       (INT64_C(1) << 60)

struct cache_aware_wait {
    int64_t
        references; /* plus COLLECTING while the counters are being collected: no release sees zero then */
    KEVENT event;
};

struct counter {
    _Alignas(CACHE_AWARE_LINE)
        uint64_t count; /* bit 0: rundown active; else 2 * (acquired - released here), mod 2^64 */
};

/* The caller's memory may be aligned to 16 only, so the counters start at the next cache line of the space
 * after it. */
struct _EX_RUNDOWN_REF_CACHE_AWARE {
    struct counter *counters;
    uint32_t number;
    bool allocated; /* by ExAllocateCacheAwareRundownProtection */
};

SIZE_T NTAPI ExSizeOfRundownProtectionCacheAware(VOID)
{
    return sizeof(struct _EX_RUNDOWN_REF_CACHE_AWARE) + CACHE_AWARE_LINE +
           sched_cpu_count() * sizeof(struct counter);
}

VOID NTAPI ExInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware,
                                                   SIZE_T RunRefSize)
{
    uintptr_t start = (uintptr_t)(RunRefCacheAware + 1);
    start = (start + CACHE_AWARE_LINE - 1) & ~(uintptr_t)(CACHE_AWARE_LINE - 1);
    size_t room = (uintptr_t)RunRefCacheAware + RunRefSize - start;
    size_t number =
        RunRefSize < sizeof(*RunRefCacheAware) + CACHE_AWARE_LINE ? 0 : room / sizeof(struct counter);
    if (number == 0) {
        if (host_options.verify)
            verify_report(RULE_RUNDOWN_MISUSE,
                          "ExInitializeRundownProtectionCacheAware: %llu bytes are too few",
                          (unsigned long long)RunRefSize);
        KeBugCheckEx(0x18 /* REFERENCE_BY_POINTER */, 0, (ULONG_PTR)RunRefCacheAware, RunRefSize, 0);
    }
    RunRefCacheAware->counters = (struct counter *)start;
    RunRefCacheAware->number = (uint32_t)(number < MAXIMUM_COUNTERS ? number : MAXIMUM_COUNTERS);
    RunRefCacheAware->allocated = false;
    for (uint32_t i = 0; i < RunRefCacheAware->number; i++)
        RunRefCacheAware->counters[i].count = 0;
}

PEX_RUNDOWN_REF_CACHE_AWARE NTAPI ExAllocateCacheAwareRundownProtection(POOL_TYPE PoolType, ULONG PoolTag)
{
    size_t bytes = ExSizeOfRundownProtectionCacheAware();
    PEX_RUNDOWN_REF_CACHE_AWARE reference = malloc(bytes);
    if (reference == NULL)
        return NULL;
    ExInitializeRundownProtectionCacheAware(reference, bytes);
    reference->allocated = true;
    host_count_add(HOST_POOL, 1); /* it is pool memory of the driver's on Windows */
    return reference;
}

VOID NTAPI ExFreeCacheAwareRundownProtection(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    host_count_add(HOST_POOL, -1);
    free(RunRefCacheAware);
}

static uint64_t *counter_here(PEX_RUNDOWN_REF_CACHE_AWARE reference)
{
    return &reference->counters[sched_self_fast()->cpu % reference->number].count;
}

BOOLEAN FASTCALL ExAcquireRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware,
                                                        ULONG Count)
{
    uint64_t *counter = counter_here(RunRefCacheAware);
    uint64_t value = __atomic_load_n(counter, __ATOMIC_RELAXED);
    do {
        if ((value & EX_RUNDOWN_ACTIVE) != 0)
            return FALSE;
    } while (!__atomic_compare_exchange_n(counter, &value, value + (uint64_t)Count * EX_RUNDOWN_COUNT_INC,
                                          true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    return TRUE;
}

BOOLEAN FASTCALL ExAcquireRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    return ExAcquireRundownProtectionCacheAwareEx(RunRefCacheAware, 1);
}

__attribute__((ms_abi, noinline)) static void release_during_rundown(PEX_RUNDOWN_REF_CACHE_AWARE reference,
                                                                     uint64_t value, ULONG count)
{
    struct cache_aware_wait *wait =
        (struct cache_aware_wait *)(uintptr_t)(value & ~(uint64_t)EX_RUNDOWN_ACTIVE);
    if (wait == NULL) {
        if (host_options.verify)
            verify_report(RULE_RUNDOWN_MISUSE,
                          "ExReleaseRundownProtectionCacheAware: %p: its rundown is over", (void *)reference);
        KeBugCheckEx(0x18 /* REFERENCE_BY_POINTER */, 0, (ULONG_PTR)reference, 0, 0);
    }
    if (__atomic_sub_fetch(&wait->references, count, __ATOMIC_ACQ_REL) == 0)
        KeSetEvent(&wait->event, IO_NO_INCREMENT, FALSE);
}

VOID FASTCALL ExReleaseRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware,
                                                     ULONG Count)
{
    uint64_t *counter = counter_here(RunRefCacheAware);
    uint64_t value = __atomic_load_n(counter, __ATOMIC_ACQUIRE);
    do {
        if ((value & EX_RUNDOWN_ACTIVE) != 0) {
            release_during_rundown(RunRefCacheAware, value, Count);
            return;
        }
    } while (!__atomic_compare_exchange_n(counter, &value, value - (uint64_t)Count * EX_RUNDOWN_COUNT_INC,
                                          true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

VOID FASTCALL ExReleaseRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    ExReleaseRundownProtectionCacheAwareEx(RunRefCacheAware, 1);
}

VOID FASTCALL ExRundownCompletedCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    for (uint32_t i = 0; i < RunRefCacheAware->number; i++)
        __atomic_store_n(&RunRefCacheAware->counters[i].count, EX_RUNDOWN_ACTIVE, __ATOMIC_RELEASE);
}

VOID FASTCALL ExReInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    for (uint32_t i = 0; i < RunRefCacheAware->number; i++)
        __atomic_store_n(&RunRefCacheAware->counters[i].count, 0, __ATOMIC_RELEASE);
}

VOID FASTCALL ExWaitForRundownProtectionReleaseCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware)
{
    struct cache_aware_wait wait = {.references = COLLECTING};
    KeInitializeEvent(&wait.event, NotificationEvent, FALSE);
    uint64_t active = (uint64_t)(uintptr_t)&wait | EX_RUNDOWN_ACTIVE;
    for (uint32_t i = 0; i < RunRefCacheAware->number; i++) {
        uint64_t value = __atomic_load_n(&RunRefCacheAware->counters[i].count, __ATOMIC_ACQUIRE);
        if (i == 0 && value == EX_RUNDOWN_ACTIVE)
            return; /* over already */
        value = __atomic_exchange_n(&RunRefCacheAware->counters[i].count, active, __ATOMIC_ACQ_REL);
        __atomic_add_fetch(&wait.references, (int64_t)value / EX_RUNDOWN_COUNT_INC, __ATOMIC_ACQ_REL);
    }
    if (__atomic_sub_fetch(&wait.references, COLLECTING, __ATOMIC_ACQ_REL) != 0)
        KeWaitForSingleObject(&wait.event, Executive, KernelMode, FALSE, NULL);
    ExRundownCompletedCacheAware(RunRefCacheAware);
}
