/* Events, semaphores and mutexes.  KeSetEvent and KeReleaseSemaphore do not touch the object after they have
 * made a waiter ready, so that it may live on the waiter's stack.  Microsoft's page titles: "Event Objects",
 * "Semaphore Objects", "Mutex Objects". */
#include "dispatcher.h"

#include "exports.h"
#include "host.h"
#include "verify/verify.h"

#define THREAD_NOT_MUTEX_OWNER   0x11u
#define SEMAPHORE_LIMIT_EXCEEDED 0xC0000047u

VOID NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State)
{
    dispatcher_header_initialize(
        &Event->Header, Type == NotificationEvent ? OBJECT_EVENT_NOTIFICATION : OBJECT_EVENT_SYNCHRONIZATION,
        State ? 1 : 0);
}

LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    dispatcher_lock();
    LONG previous = Event->Header.SignalState;
    dispatcher_set_state(&Event->Header, 1);
    if (previous == 0)
        dispatcher_signal(&Event->Header);
    dispatcher_unlock();
    return previous;
}

LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait)
{
    dispatcher_lock();
    LONG previous = Event->Header.SignalState;
    dispatcher_set_state(&Event->Header, 1);
    dispatcher_signal(&Event->Header);
    dispatcher_set_state(&Event->Header, 0);
    dispatcher_unlock();
    return previous;
}

LONG NTAPI KeResetEvent(PRKEVENT Event)
{
    dispatcher_lock();
    LONG previous = Event->Header.SignalState;
    dispatcher_set_state(&Event->Header, 0);
    dispatcher_unlock();
    return previous;
}

VOID NTAPI KeClearEvent(PRKEVENT Event)
{
    KeResetEvent(Event);
}

LONG NTAPI KeReadStateEvent(PRKEVENT Event)
{
    return __atomic_load_n(&Event->Header.SignalState, __ATOMIC_ACQUIRE);
}

/* ---- semaphores ---- */

VOID NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit)
{
    dispatcher_header_initialize(&Semaphore->Header, OBJECT_SEMAPHORE, Count);
    Semaphore->Limit = Limit;
}

LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait)
{
    dispatcher_lock();
    LONG previous = Semaphore->Header.SignalState;
    if (Adjustment <= 0 || Adjustment > Semaphore->Limit - previous) {
        dispatcher_unlock();
        /* Windows raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, which nobody in a driver survives */
        KeBugCheckEx(0x1E /* KMODE_EXCEPTION_NOT_HANDLED */, SEMAPHORE_LIMIT_EXCEEDED, (ULONG_PTR)Semaphore,
                     (ULONG_PTR)previous, (ULONG_PTR)Adjustment);
    }
    dispatcher_set_state(&Semaphore->Header, previous + Adjustment);
    dispatcher_signal(&Semaphore->Header);
    dispatcher_unlock();
    return previous;
}

LONG NTAPI KeReadStateSemaphore(PRKSEMAPHORE Semaphore)
{
    return __atomic_load_n(&Semaphore->Header.SignalState, __ATOMIC_ACQUIRE);
}

/* ---- mutexes ---- */

VOID NTAPI KeInitializeMutex(PRKMUTEX Mutex, ULONG Level)
{
    if (host_options.verify)
        verify_lock_initialized(Mutex, LOCK_MUTEX, __builtin_return_address(0));
    dispatcher_header_initialize(&Mutex->Header, OBJECT_MUTANT, 1);
    Mutex->MutantListEntry.Flink = Mutex->MutantListEntry.Blink = &Mutex->MutantListEntry;
    Mutex->OwnerThread = NULL;
    Mutex->MutantFlags = 0;
    Mutex->ApcDisable = 1;
}

LONG NTAPI KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait)
{
    PKTHREAD thread = ke_current_thread();
    dispatcher_lock();
    if (Mutex->OwnerThread != thread) {
        PKTHREAD owner = Mutex->OwnerThread;
        dispatcher_unlock();
        if (host_options.verify)
            verify_report(RULE_LOCK_NOT_HELD, "KeReleaseMutex: mutex %p is not owned by this thread",
                          (void *)Mutex);
        KeBugCheckEx(THREAD_NOT_MUTEX_OWNER, (ULONG_PTR)thread, (ULONG_PTR)owner, (ULONG_PTR)Mutex, 0);
    }
    LONG previous = Mutex->Header.SignalState;
    if (previous == 0 && host_options.verify)
        verify_lock_released(Mutex, LOCK_MUTEX);
    dispatcher_set_state(&Mutex->Header, previous + 1);
    if (Mutex->Header.SignalState == 1) {
        __atomic_store_n(&Mutex->OwnerThread, NULL, __ATOMIC_RELAXED);
        Mutex->MutantListEntry.Flink->Blink = Mutex->MutantListEntry.Blink;
        Mutex->MutantListEntry.Blink->Flink = Mutex->MutantListEntry.Flink;
        thread->critical_regions -= Mutex->ApcDisable;
        dispatcher_signal(&Mutex->Header);
    }
    dispatcher_unlock();
    return previous;
}

LONG NTAPI KeReadStateMutex(PRKMUTEX Mutex)
{
    return __atomic_load_n(&Mutex->Header.SignalState, __ATOMIC_ACQUIRE);
}
