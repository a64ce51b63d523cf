/* Extended processor state.  In this host every caller of the driver was compiled for user mode, where the
 * upper halves of the vector registers belong to nobody across a call; a thread's state is Linux' to keep. So
 * the pair has nothing to protect: fast mode only checks that it is used as a pair.  Verify mode really saves
 * and restores (XSAVE, without the legacy components, whose XMM6-15 the caller keeps itself), so that a
 * driver that goes on using vector registers after the restore sees what it would see on Windows. Microsoft's
 * page title: "KeSaveExtendedProcessorState". */
#include "dispatcher.h"

#include "exports.h"
#include "host.h"
#include "verify/verify.h"

#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#define XSAVE_LEAF        0xdu
#define XSAVE_ALIGNMENT   64u
#define CPUID_1_ECX_XSAVE (1u << 27) /* OSXSAVE: XGETBV may be used */

static uint64_t enabled_features(void)
{
    unsigned eax, ebx, ecx, edx, low, high;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & CPUID_1_ECX_XSAVE) == 0)
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static size_t area_bytes(void)
{
    unsigned eax, ebx, ecx, edx;
    __cpuid_count(XSAVE_LEAF, 0, eax, ebx, ecx, edx);
    return (ebx + XSAVE_ALIGNMENT - 1) & ~(size_t)(XSAVE_ALIGNMENT - 1);
}

__attribute__((target("xsave"))) static void save(void *area, uint64_t mask)
{
    __builtin_ia32_xsave64(area, (long long)mask);
}

__attribute__((target("xsave"))) static void restore(void *area, uint64_t mask)
{
    __builtin_ia32_xrstor64(area, (long long)mask);
}

NTSTATUS NTAPI KeSaveExtendedProcessorState(ULONG64 Mask, PXSTATE_SAVE XStateSave)
{
    PKTHREAD thread = ke_current_thread();
    XStateSave->XStateContext = (XSTATE_CONTEXT){.Mask = Mask};
    if (host_options.verify) {
        Mask &= enabled_features() & ~(uint64_t)XSTATE_MASK_LEGACY;
        XStateSave->XStateContext.Mask = Mask;
        if (Mask != 0) {
            size_t bytes = area_bytes();
            void *area = aligned_alloc(XSAVE_ALIGNMENT, bytes);
            if (area == NULL)
                return STATUS_INSUFFICIENT_RESOURCES;
            memset(area, 0, bytes);
            save(area, Mask);
            XStateSave->XStateContext.Length = (ULONG)bytes;
            XStateSave->XStateContext.Buffer = area;
        }
    }
    XStateSave->Level = sched_self_fast()->irql;
    XStateSave->Thread = thread;
    XStateSave->Prev = thread->xstate_saves;
    thread->xstate_saves = XStateSave;
    return STATUS_SUCCESS;
}

VOID NTAPI KeRestoreExtendedProcessorState(PXSTATE_SAVE XStateSave)
{
    PKTHREAD thread = ke_current_thread();
    if (XStateSave->Thread != thread || thread->xstate_saves != XStateSave)
        KeBugCheckEx(0x131 /* INVALID_EXTENDED_PROCESSOR_STATE */, 0, (ULONG_PTR)XStateSave,
                     (ULONG_PTR)thread, (ULONG_PTR)thread->xstate_saves);
    thread->xstate_saves = XStateSave->Prev;
    XStateSave->Thread = NULL;
    if (XStateSave->XStateContext.Buffer != NULL) {
        restore(XStateSave->XStateContext.Buffer, XStateSave->XStateContext.Mask);
        free(XStateSave->XStateContext.Buffer);
        XStateSave->XStateContext.Buffer = NULL;
    }
}
