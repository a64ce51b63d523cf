/* Dispatcher objects and the threads that wait for them.  One lock (the dispatcher lock, a host spin lock
 * that does not touch IRQL) protects every object's signal state, waiter list, the mutant lists and the timer
 * queue; threads made ready under it are woken after it has been released.  ke, ex and ps only. */
#pragma once

#include "nt/ke.h"
#include "nt/ob_ps_se.h"
#include "sched/irql.h"

#include <stdbool.h>

/* DISPATCHER_HEADER.Type, Windows' numbers. */
enum dispatcher_type {
    OBJECT_EVENT_NOTIFICATION = 0,
    OBJECT_EVENT_SYNCHRONIZATION = 1,
    OBJECT_MUTANT = 2,
    OBJECT_PROCESS = 3,
    OBJECT_SEMAPHORE = 5,
    OBJECT_THREAD = 6,
    OBJECT_TIMER_NOTIFICATION = 8,
    OBJECT_TIMER_SYNCHRONIZATION = 9,
};

/* What a PKTHREAD points to: an object (ob) of type PsThreadType. */
struct _KTHREAD {
    DISPATCHER_HEADER header; /* signalled at the thread's end */
    LIST_ENTRY mutants;       /* owned ones; dispatcher lock */
    struct sched_thread *sched;
    int32_t critical_regions;
    int32_t guarded_regions;
    KPRIORITY priority;
    HANDLE id;
    NTSTATUS exit_status;
    bool system; /* made by PsCreateSystemThread */
    PKSTART_ROUTINE start;
    PVOID start_context;
    struct host_callback *gate; /* of its start routine */
    PXSTATE_SAVE xstate_saves;  /* innermost first */
    uint64_t create_time_100ns;
};

void dispatcher_lock(void);
void dispatcher_unlock(void);
/* Signal states are written under the lock and read also without it (KeReadState*). */
static inline void dispatcher_set_state(DISPATCHER_HEADER *header, LONG state)
{
    __atomic_store_n(&header->SignalState, state, __ATOMIC_RELEASE);
}
void dispatcher_header_initialize(DISPATCHER_HEADER *header, enum dispatcher_type type, LONG state);
/* Under the lock, after SignalState became > 0: satisfies waits, first come first served. */
void dispatcher_signal(DISPATCHER_HEADER *header);

/* Made at the thread's first need. */
PKTHREAD ke_thread_create_object(void);

static inline PKTHREAD ke_current_thread(void)
{
    PKTHREAD thread = sched_self_fast()->object;
    return __builtin_expect(thread != NULL, 1) ? thread : ke_thread_create_object();
}

/* dpc.c: the queue of a CPU, for the scheduler. */
void ke_dpc_drain(unsigned cpu);
bool ke_dpc_pending(unsigned cpu);
