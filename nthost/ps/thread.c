/* Threads as objects, and the driver's system threads.  A thread object is signalled once its thread has left
 * the driver for good: who waited for it may unload the driver's code.  Microsoft's page titles: "System
 * Threads", "PsCreateSystemThread", "PsTerminateSystemThread". */
#include "process.h"

#include "exports.h"
#include "host.h"
#include "ke/dispatcher.h"
#include "verify/verify.h"

#define SYSTEM_THREAD_PRIORITY 8
#define THREAD_ID_STEP         4u

OBJECT_TYPE ps_thread_type = {.name = "Thread"};
static POBJECT_TYPE thread_type = &ps_thread_type;
POBJECT_TYPE *PsThreadType = &thread_type;

static uint64_t last_id = 4;

struct _KTHREAD *ps_thread_allocate(void)
{
    PKTHREAD thread = ob_create(&ps_thread_type, sizeof(*thread));
    if (thread == NULL)
        return NULL;
    dispatcher_header_initialize(&thread->header, OBJECT_THREAD, 0);
    thread->mutants.Flink = thread->mutants.Blink = &thread->mutants;
    thread->sched = sched_self_fast();
    thread->priority = SYSTEM_THREAD_PRIORITY;
    thread->id = (HANDLE)__atomic_add_fetch(&last_id, THREAD_ID_STEP, __ATOMIC_RELAXED);
    thread->create_time_100ns = sched_time_system_100ns();
    return thread;
}

/* The scheduler's thread ends (or is disowned): nothing of the driver runs on it any more. */
static void thread_ended(void *object)
{
    PKTHREAD thread = object;
    const char *left = thread->mutants.Flink != &thread->mutants ? "owning a mutex"
                       : thread->critical_regions != 0           ? "inside a critical region"
                       : thread->guarded_regions != 0            ? "inside a guarded region"
                       : thread->xstate_saves != NULL            ? "with extended processor state saved"
                                                                 : NULL;
    if (left != NULL) {
        if (host_options.verify)
            verify_report(RULE_LOCK_HELD_AT_EXIT, "a thread ended %s", left);
        host_warn("thread %p ended %s", (void *)thread, left);
    }
    if (thread->system)
        host_count_add(HOST_THREAD, -1); /* before the signal: who waits for that may count */
    dispatcher_lock();
    while (thread->mutants.Flink != &thread->mutants) {
        KMUTANT *mutant = CONTAINING_RECORD(thread->mutants.Flink, KMUTANT, MutantListEntry);
        mutant->MutantListEntry.Flink->Blink = &thread->mutants;
        thread->mutants.Flink = mutant->MutantListEntry.Flink;
        __atomic_store_n(&mutant->OwnerThread, NULL, __ATOMIC_RELAXED);
        mutant->MutantFlags |= 1; /* abandoned */
        dispatcher_set_state(&mutant->Header, 1);
        dispatcher_signal(&mutant->Header);
    }
    dispatcher_set_state(&thread->header, 1);
    dispatcher_signal(&thread->header);
    dispatcher_unlock();
    ob_dereference(thread);
}

__attribute__((constructor)) static void connect_threads(void)
{
    sched_set_thread_end(thread_ended);
}

static void thread_start(void *context)
{
    PKTHREAD thread = context;
    struct sched_thread *self = sched_self_fast();
    thread->sched = self;
    sched_thread_set_object(self, thread);
    struct host_callback callback;
    thread->gate = &callback;
    host_callback_begin(&callback, "system thread");
    thread->start(thread->start_context);
    host_callback_end(&callback);
    thread->gate = NULL;
}

NTSTATUS NTAPI PsCreateSystemThread(PHANDLE ThreadHandle, ULONG DesiredAccess,
                                    POBJECT_ATTRIBUTES ObjectAttributes, HANDLE ProcessHandle,
                                    PCLIENT_ID ClientId, PKSTART_ROUTINE StartRoutine, PVOID StartContext)
{
    PKTHREAD thread = ps_thread_allocate();
    if (thread == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    thread->system = true;
    thread->start = StartRoutine;
    thread->start_context = StartContext;
    ULONG attributes = ObjectAttributes != NULL ? ObjectAttributes->Attributes : OBJ_KERNEL_HANDLE;
    HANDLE handle;
    NTSTATUS status = ob_open_handle(thread, attributes, &handle);
    if (!NT_SUCCESS(status)) {
        ob_dereference(thread);
        return status;
    }
    CLIENT_ID id = {.UniqueProcess = PsGetCurrentProcessId(), .UniqueThread = thread->id};
    *ThreadHandle = handle; /* before it runs: it may close it */
    if (ClientId != NULL)
        *ClientId = id;
    host_count_add(HOST_THREAD, 1);
    struct sched_thread *made = sched_thread_create("nt-system", thread_start, thread);
    if (made == NULL) {
        host_count_add(HOST_THREAD, -1);
        *ThreadHandle = NULL;
        ZwClose(handle);
        ob_dereference(thread);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    sched_thread_detach(made);
    return STATUS_SUCCESS;
}

NTSTATUS NTAPI PsTerminateSystemThread(NTSTATUS ExitStatus)
{
    PKTHREAD thread = ke_current_thread();
    if (!thread->system)
        return STATUS_INVALID_PARAMETER;
    if (sched_self_fast()->irql != PASSIVE_LEVEL) {
        if (host_options.verify)
            verify_report(RULE_IRQL_CALLBACK_EXIT, "PsTerminateSystemThread at IRQL %u",
                          sched_self_fast()->irql);
        KeBugCheckEx(0x0A /* IRQL_NOT_LESS_OR_EQUAL */, 0, sched_self_fast()->irql, 0, 0);
    }
    thread->exit_status = ExitStatus;
    host_callback_end(thread->gate); /* the start routine never returns */
    thread->gate = NULL;
    sched_thread_exit();
}

HANDLE NTAPI PsGetCurrentThreadId(VOID)
{
    return ke_current_thread()->id;
}

HANDLE NTAPI PsGetThreadId(PETHREAD Thread)
{
    return Thread->id;
}

BOOLEAN NTAPI PsIsSystemThread(PETHREAD Thread)
{
    return TRUE; /* all of them belong to the system process */
}

BOOLEAN NTAPI PsIsThreadTerminating(PETHREAD Thread)
{
    return __atomic_load_n(&Thread->header.SignalState, __ATOMIC_RELAXED) != 0;
}

NTSTATUS NTAPI PsGetThreadExitStatus(PETHREAD Thread)
{
    return PsIsThreadTerminating(Thread) ? Thread->exit_status : STATUS_PENDING;
}

LONGLONG NTAPI PsGetThreadCreateTime(PETHREAD Thread)
{
    return (LONGLONG)Thread->create_time_100ns;
}
