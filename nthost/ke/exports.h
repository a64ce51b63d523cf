/* Exports of the kernel core that nt/ does not declare (our driver does not use them; other authors' may). */
#pragma once

#include "nt/ex.h"
#include "nt/ke.h"
#include "nt/ob_ps_se.h"

/* IRQL; KeRaiseIrqlToDpcLevel and KeGetCurrentThread are not functions in nt/ke.h */
VOID FASTCALL KfLowerIrql(KIRQL NewIrql);
KIRQL NTAPI nt_KeRaiseIrqlToDpcLevel(VOID);
KIRQL NTAPI KeRaiseIrqlToSynchLevel(VOID);
PKTHREAD NTAPI nt_KeGetCurrentThread(VOID);

/* spin locks */
KIRQL FASTCALL KfAcquireSpinLock(PKSPIN_LOCK SpinLock);
VOID FASTCALL KfReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql);
KIRQL FASTCALL KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock);
KIRQL NTAPI KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock);
VOID NTAPI KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql);
BOOLEAN FASTCALL KeTestSpinLock(PKSPIN_LOCK SpinLock);
VOID NTAPI KeAcquireInStackQueuedSpinLockForDpc(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle);
VOID NTAPI KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle);
BOOLEAN NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock);
BOOLEAN NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock);
LONG NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock);

/* objects and regions */
LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait);
VOID NTAPI KeInitializeGuardedMutex(PFAST_MUTEX Mutex);
VOID NTAPI KeAcquireGuardedMutex(PFAST_MUTEX Mutex);
VOID NTAPI KeReleaseGuardedMutex(PFAST_MUTEX Mutex);
VOID NTAPI KeAcquireGuardedMutexUnsafe(PFAST_MUTEX Mutex);
VOID NTAPI KeReleaseGuardedMutexUnsafe(PFAST_MUTEX Mutex);
BOOLEAN NTAPI KeTryToAcquireGuardedMutex(PFAST_MUTEX Mutex);
BOOLEAN NTAPI KeAreApcsDisabled(VOID);
BOOLEAN NTAPI KeAreAllApcsDisabled(VOID);
BOOLEAN NTAPI KeIsExecutingDpc(VOID);

/* time */
ULONG64 NTAPI KeQueryInterruptTime(VOID);
VOID NTAPI KeQuerySystemTime(PLARGE_INTEGER CurrentTime);
ULONG64 NTAPI KeQueryUnbiasedInterruptTimePrecise(PULONG64 QpcTimeStamp);
VOID NTAPI KeQueryTickCount(PLARGE_INTEGER TickCount);

/* processors */
ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors);
ULONG NTAPI KeQueryMaximumProcessorCount(VOID);
KAFFINITY NTAPI KeQueryActiveProcessors(VOID);
KAFFINITY NTAPI KeQueryGroupAffinity(USHORT GroupNumber);
USHORT NTAPI KeQueryActiveGroupCount(VOID);
USHORT NTAPI KeQueryMaximumGroupCount(VOID);
USHORT NTAPI KeQueryHighestNodeNumber(VOID);
USHORT NTAPI KeGetCurrentNodeNumber(VOID);
ULONG NTAPI KeGetCurrentProcessorNumber(VOID);
ULONG NTAPI KeGetCurrentProcessorIndex(VOID);
VOID NTAPI KeSetSystemAffinityThread(KAFFINITY Affinity);
VOID NTAPI KeRevertToUserAffinityThread(VOID);
KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity);
VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity);
KPRIORITY NTAPI KeQueryPriorityThread(PKTHREAD Thread);
LONG NTAPI KeSetBasePriorityThread(PKTHREAD Thread, LONG Increment);
ULONG NTAPI KeShouldYieldProcessor(VOID);

VOID __attribute__((noreturn)) NTAPI KeBugCheck(ULONG BugCheckCode);
