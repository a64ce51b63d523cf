/* Processors: one group of 1..64 virtual CPUs, all present from the start.  Microsoft's page titles:
 * "Processor Groups", "KeSetSystemGroupAffinityThread", "KeRegisterProcessorChangeCallback". */
#include "dispatcher.h"

#include "exports.h"
#include "host.h"

#include <stdlib.h>

#define INVALID_PROCESSOR_INDEX 0xffffffffu

static KAFFINITY all_processors(void)
{
    unsigned count = sched_cpu_count();
    return count == 64 ? ~(KAFFINITY)0 : ((KAFFINITY)1 << count) - 1;
}

ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT GroupNumber)
{
    return GroupNumber == 0 || GroupNumber == ALL_PROCESSOR_GROUPS ? sched_cpu_count() : 0;
}

ULONG NTAPI KeQueryMaximumProcessorCountEx(USHORT GroupNumber)
{
    return KeQueryActiveProcessorCountEx(GroupNumber);
}

ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors)
{
    if (ActiveProcessors != NULL)
        *ActiveProcessors = all_processors();
    return sched_cpu_count();
}

ULONG NTAPI KeQueryMaximumProcessorCount(VOID)
{
    return sched_cpu_count();
}

KAFFINITY NTAPI KeQueryActiveProcessors(VOID)
{
    return all_processors();
}

KAFFINITY NTAPI KeQueryGroupAffinity(USHORT GroupNumber)
{
    return GroupNumber == 0 ? all_processors() : 0;
}

USHORT NTAPI KeQueryActiveGroupCount(VOID)
{
    return 1;
}

USHORT NTAPI KeQueryMaximumGroupCount(VOID)
{
    return 1;
}

USHORT NTAPI KeQueryHighestNodeNumber(VOID)
{
    return 0;
}

USHORT NTAPI KeGetCurrentNodeNumber(VOID)
{
    return 0;
}

ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber)
{
    unsigned cpu = sched_self_fast()->cpu;
    if (ProcNumber != NULL)
        *ProcNumber = (PROCESSOR_NUMBER){.Group = 0, .Number = (UCHAR)cpu};
    return cpu;
}

ULONG NTAPI KeGetCurrentProcessorNumber(VOID)
{
    return sched_self_fast()->cpu;
}

ULONG NTAPI KeGetCurrentProcessorIndex(VOID)
{
    return sched_self_fast()->cpu;
}

NTSTATUS NTAPI KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcIndex >= sched_cpu_count())
        return STATUS_INVALID_PARAMETER;
    *ProcNumber = (PROCESSOR_NUMBER){.Group = 0, .Number = (UCHAR)ProcIndex};
    return STATUS_SUCCESS;
}

ULONG NTAPI KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber)
{
    if (ProcNumber->Group != 0 || ProcNumber->Reserved != 0 || ProcNumber->Number >= sched_cpu_count())
        return INVALID_PROCESSOR_INDEX;
    return ProcNumber->Number;
}

/* ---- affinity of the calling thread; 0 stands for "its own", as on Windows ---- */

KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity)
{
    Affinity &= all_processors();
    if (Affinity == 0)
        return sched_self_fast()->affinity;
    return sched_affinity_set(Affinity);
}

VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity)
{
    sched_affinity_set(Affinity & all_processors());
}

VOID NTAPI KeSetSystemAffinityThread(KAFFINITY Affinity)
{
    KeSetSystemAffinityThreadEx(Affinity);
}

VOID NTAPI KeRevertToUserAffinityThread(VOID)
{
    sched_affinity_set(0);
}

VOID NTAPI KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, PGROUP_AFFINITY PreviousAffinity)
{
    bool valid = Affinity->Group == 0 &&
                 (Affinity->Reserved[0] | Affinity->Reserved[1] | Affinity->Reserved[2]) == 0 &&
                 (Affinity->Mask & all_processors()) != 0;
    KAFFINITY previous =
        valid ? sched_affinity_set(Affinity->Mask & all_processors()) : sched_self_fast()->affinity;
    if (PreviousAffinity != NULL)
        *PreviousAffinity = (GROUP_AFFINITY){.Mask = valid ? previous : 0};
}

VOID NTAPI KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity)
{
    if (PreviousAffinity->Group == 0)
        sched_affinity_set(PreviousAffinity->Mask & all_processors());
}

/* ---- processor-change callbacks ---- */

struct processor_callback {
    PPROCESSOR_CALLBACK_FUNCTION function;
    PVOID context;
};

static void announce(struct processor_callback *callback, KE_PROCESSOR_CHANGE_NOTIFY_STATE state,
                     unsigned cpu, NTSTATUS *operation)
{
    KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change = {
        .State = state, .NtNumber = cpu, .Status = *operation, .ProcNumber = {.Number = (UCHAR)cpu}};
    struct host_callback gate;
    host_callback_begin(&gate, "processor-change callback");
    callback->function(callback->context, &change, operation);
    host_callback_end(&gate);
}

/* No processor is ever added, so only KE_PROCESSOR_CHANGE_ADD_EXISTING makes it called. */
PVOID NTAPI KeRegisterProcessorChangeCallback(PPROCESSOR_CALLBACK_FUNCTION CallbackFunction,
                                              PVOID CallbackContext, ULONG Flags)
{
    struct processor_callback *callback = malloc(sizeof(*callback));
    if (callback == NULL)
        return NULL;
    *callback = (struct processor_callback){CallbackFunction, CallbackContext};
    if ((Flags & KE_PROCESSOR_CHANGE_ADD_EXISTING) != 0) {
        for (unsigned cpu = 0; cpu < sched_cpu_count(); cpu++) {
            NTSTATUS operation = STATUS_SUCCESS;
            announce(callback, KeProcessorAddStartNotify, cpu, &operation);
            if (!NT_SUCCESS(operation)) {
                for (unsigned undo = 0; undo <= cpu; undo++)
                    announce(callback, KeProcessorAddFailureNotify, undo, &operation);
                free(callback);
                return NULL;
            }
        }
        for (unsigned cpu = 0; cpu < sched_cpu_count(); cpu++) {
            NTSTATUS operation = STATUS_SUCCESS;
            announce(callback, KeProcessorAddCompleteNotify, cpu, &operation);
        }
    }
    host_count_add(HOST_NOTIFICATION, 1);
    return callback;
}

VOID NTAPI KeDeregisterProcessorChangeCallback(PVOID CallbackHandle)
{
    host_count_add(HOST_NOTIFICATION, -1);
    free(CallbackHandle);
}
