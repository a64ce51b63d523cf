/* The word of a KSPIN_LOCK: 0 free, 1 held; the hot path of the spin-lock exports.  Test-and-set also for
 * queued locks: waiters are host threads that Linux can deschedule, and handing a lock to a sleeping one
 * stops everybody. The slow path has the Microsoft ABI, so that its callers stay leaves. */
#pragma once

#include "dispatcher.h"

__attribute__((ms_abi, noinline, cold)) void spin_lock_contended(KSPIN_LOCK *lock);

static inline void spin_lock_take(KSPIN_LOCK *lock)
{
    if (__builtin_expect(__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0, 0))
        spin_lock_contended(lock);
}

static inline void spin_lock_drop(KSPIN_LOCK *lock)
{
    __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}
