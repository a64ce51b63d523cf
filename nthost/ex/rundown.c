/* Rundown protection.  Count: bit 0 clear - references in steps of EX_RUNDOWN_COUNT_INC; bit 0 set - rundown
 * has begun (the rest is the address of the waiter's block while somebody waits) or is over (exactly
 * EX_RUNDOWN_ACTIVE). Microsoft's page title: "Run-Down Protection". */
#include "ke/dispatcher.h"
#include "nt/ex.h"

#include "host.h"
#include "verify/verify.h"

struct rundown_wait {
    uintptr_t references; /* not yet released */
    KEVENT event;
};

static void misuse(const char *function, const void *reference, const char *what)
{
    if (host_options.verify)
        verify_report(RULE_RUNDOWN_MISUSE, "%s: %p: %s", function, reference, what);
    KeBugCheckEx(0x18 /* REFERENCE_BY_POINTER */, 0, (ULONG_PTR)reference, 0, 0);
}

VOID FASTCALL ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    __atomic_store_n(&RunRef->Count, 0, __ATOMIC_RELEASE);
}

VOID FASTCALL ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    if (__atomic_load_n(&RunRef->Count, __ATOMIC_RELAXED) != EX_RUNDOWN_ACTIVE)
        misuse("ExReInitializeRundownProtection", RunRef, "its rundown is not over");
    __atomic_store_n(&RunRef->Count, 0, __ATOMIC_RELEASE);
}

BOOLEAN FASTCALL ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    uintptr_t value = __atomic_load_n(&RunRef->Count, __ATOMIC_RELAXED);
    do {
        if ((value & EX_RUNDOWN_ACTIVE) != 0)
            return FALSE;
    } while (!__atomic_compare_exchange_n(&RunRef->Count, &value,
                                          value + (uintptr_t)Count * EX_RUNDOWN_COUNT_INC, true,
                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    return TRUE;
}

BOOLEAN FASTCALL ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    return ExAcquireRundownProtectionEx(RunRef, 1);
}

__attribute__((ms_abi, noinline)) static void release_during_rundown(PEX_RUNDOWN_REF reference,
                                                                     uintptr_t value, ULONG count)
{
    struct rundown_wait *wait = (struct rundown_wait *)(value & ~(uintptr_t)EX_RUNDOWN_ACTIVE);
    if (wait == NULL)
        misuse("ExReleaseRundownProtection", reference, "released after its rundown was over");
    uintptr_t before = __atomic_fetch_sub(&wait->references, count, __ATOMIC_ACQ_REL);
    if (before < count)
        misuse("ExReleaseRundownProtection", reference, "released more often than acquired");
    if (before == count)
        KeSetEvent(&wait->event, IO_NO_INCREMENT, FALSE);
}

VOID FASTCALL ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    uintptr_t value = __atomic_load_n(&RunRef->Count, __ATOMIC_ACQUIRE);
    do {
        if ((value & EX_RUNDOWN_ACTIVE) != 0) {
            release_during_rundown(RunRef, value, Count);
            return;
        }
        if (value < (uintptr_t)Count * EX_RUNDOWN_COUNT_INC) {
            misuse("ExReleaseRundownProtection", RunRef, "released more often than acquired");
            return;
        }
    } while (!__atomic_compare_exchange_n(&RunRef->Count, &value,
                                          value - (uintptr_t)Count * EX_RUNDOWN_COUNT_INC, true,
                                          __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
}

VOID FASTCALL ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    ExReleaseRundownProtectionEx(RunRef, 1);
}

VOID FASTCALL ExRundownCompleted(PEX_RUNDOWN_REF RunRef)
{
    __atomic_store_n(&RunRef->Count, EX_RUNDOWN_ACTIVE, __ATOMIC_RELEASE);
}

VOID FASTCALL ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef)
{
    struct rundown_wait wait;
    uintptr_t value = __atomic_load_n(&RunRef->Count, __ATOMIC_ACQUIRE);
    KeInitializeEvent(&wait.event, NotificationEvent, FALSE);
    for (;;) {
        if (value == EX_RUNDOWN_ACTIVE)
            return; /* over already */
        if ((value & EX_RUNDOWN_ACTIVE) != 0)
            misuse("ExWaitForRundownProtectionRelease", RunRef, "another thread is waiting for its rundown");
        __atomic_store_n(&wait.references, value / EX_RUNDOWN_COUNT_INC, __ATOMIC_RELAXED);
        uintptr_t waiting = value == 0 ? EX_RUNDOWN_ACTIVE : (uintptr_t)&wait | EX_RUNDOWN_ACTIVE;
        if (__atomic_compare_exchange_n(&RunRef->Count, &value, waiting, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            break;
    }
    if (value == 0)
        return;
    KeWaitForSingleObject(&wait.event, Executive, KernelMode, FALSE, NULL);
    __atomic_store_n(&RunRef->Count, EX_RUNDOWN_ACTIVE, __ATOMIC_RELEASE);
}
