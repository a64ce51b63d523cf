/* Interlocked singly linked lists in Windows' x64 layout (first word: depth, 16 bits, and sequence, 48;
 * second word: address of the first entry, whose low four bits are free).  Windows' pop reads the first
 * entry's Next although somebody else may have popped and freed it, and its page-fault handler forgives that.
 * Nobody forgives here, so a pop marks the header as busy with LIST_BUSY in the second word while it reads:
 * the same one compare-and-swap. Microsoft's page titles: "Singly and Doubly Linked Lists",
 * "ExInterlockedPopEntrySList". */
#include "exports.h"
#include "ke/dispatcher.h"
#include "ke/spinlock.h"

#define LIST_BUSY      1u
#define SEQUENCE_SHIFT 16u
#define DEPTH_MASK     0xffffu

union slist {
    struct {
        uint64_t word;
        uint64_t entry;
    };
    unsigned __int128 both;
};

static union slist *slist_of(const SLIST_HEADER *header)
{
    return (union slist *)(uintptr_t)header;
}

/* May be torn between the two words; the compare-and-swap tells. */
static inline union slist read_header(union slist *list)
{
    union slist value;
    value.entry = __atomic_load_n(&list->entry, __ATOMIC_ACQUIRE);
    value.word = __atomic_load_n(&list->word, __ATOMIC_ACQUIRE);
    return value;
}

static inline bool swap(union slist *list, union slist *expected, union slist desired)
{
    return __atomic_compare_exchange_n(&list->both, &expected->both, desired.both, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

__attribute__((ms_abi, noinline, cold)) static union slist wait_until_free(union slist *list)
{
    unsigned spins = 0;
    union slist value;
    do {
        sched_spin_slow(&spins);
        value = read_header(list);
    } while ((value.entry & LIST_BUSY) != 0);
    return value;
}

VOID NTAPI InitializeSListHead(PSLIST_HEADER SListHead)
{
    *slist_of(SListHead) = (union slist){.both = 0};
}

PSLIST_ENTRY NTAPI FirstEntrySList(const SLIST_HEADER *SListHead)
{
    return (PSLIST_ENTRY)(uintptr_t)(__atomic_load_n(&slist_of(SListHead)->entry, __ATOMIC_ACQUIRE) &
                                     ~(uint64_t)15);
}

USHORT NTAPI ExQueryDepthSList(PSLIST_HEADER SListHead)
{
    return (USHORT)(__atomic_load_n(&slist_of(SListHead)->word, __ATOMIC_RELAXED) & DEPTH_MASK);
}

PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
{
    union slist *list = slist_of(ListHead), old = read_header(list), new;
    do {
        if (__builtin_expect((old.entry & LIST_BUSY) != 0, 0))
            old = wait_until_free(list);
        ListEntry->Next = (PSLIST_ENTRY)(uintptr_t)old.entry;
        uint64_t sequence = (old.word >> SEQUENCE_SHIFT) + 1;
        new.word = sequence << SEQUENCE_SHIFT | ((old.word + 1) & DEPTH_MASK);
        new.entry = (uint64_t)(uintptr_t)ListEntry;
    } while (!swap(list, &old, new));
    return (PSLIST_ENTRY)(uintptr_t)old.entry;
}

PSLIST_ENTRY NTAPI ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead)
{
    union slist *list = slist_of(ListHead), old = read_header(list), new;
    do {
        if (__builtin_expect((old.entry & LIST_BUSY) != 0, 0))
            old = wait_until_free(list);
        if (old.entry == 0)
            return NULL;
        new.word = old.word - 1; /* the depth; the sequence counts pushes */
        new.entry = old.entry | LIST_BUSY;
    } while (!swap(list, &old, new));
    PSLIST_ENTRY entry = (PSLIST_ENTRY)(uintptr_t)old.entry;
    __atomic_store_n(&list->entry, (uint64_t)(uintptr_t)entry->Next, __ATOMIC_RELEASE);
    return entry;
}

PSLIST_ENTRY NTAPI ExpInterlockedFlushSList(PSLIST_HEADER ListHead)
{
    union slist *list = slist_of(ListHead), old = read_header(list), new;
    do {
        if (__builtin_expect((old.entry & LIST_BUSY) != 0, 0))
            old = wait_until_free(list);
        if (old.entry == 0)
            return NULL;
        new.word = old.word & ~(uint64_t)DEPTH_MASK;
        new.entry = 0;
    } while (!swap(list, &old, new));
    return (PSLIST_ENTRY)(uintptr_t)old.entry;
}

/* ---- doubly linked lists with a spin lock of the caller's; any IRQL ---- */

static KIRQL lock_list(KSPIN_LOCK *lock)
{
    KIRQL irql = sched_self_fast()->irql;
    if (irql < DISPATCH_LEVEL)
        sched_irql_raise_fast(DISPATCH_LEVEL);
    spin_lock_take(lock);
    return irql;
}

static void unlock_list(KSPIN_LOCK *lock, KIRQL irql)
{
    spin_lock_drop(lock);
    if (irql < DISPATCH_LEVEL)
        sched_irql_lower_fast(irql);
}

static void link_between(LIST_ENTRY *before, LIST_ENTRY *entry, LIST_ENTRY *after)
{
    entry->Flink = after;
    entry->Blink = before;
    before->Flink = entry;
    after->Blink = entry;
}

PLIST_ENTRY FASTCALL ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                                 PKSPIN_LOCK Lock)
{
    KIRQL irql = lock_list(Lock);
    LIST_ENTRY *first = ListHead->Flink;
    link_between(ListHead, ListEntry, first);
    unlock_list(Lock, irql);
    return first != ListHead ? first : NULL;
}

PLIST_ENTRY FASTCALL ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry,
                                                 PKSPIN_LOCK Lock)
{
    KIRQL irql = lock_list(Lock);
    LIST_ENTRY *last = ListHead->Blink;
    link_between(last, ListEntry, ListHead);
    unlock_list(Lock, irql);
    return last != ListHead ? last : NULL;
}

PLIST_ENTRY FASTCALL ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    KIRQL irql = lock_list(Lock);
    LIST_ENTRY *first = ListHead->Flink;
    if (first != ListHead) {
        ListHead->Flink = first->Flink;
        first->Flink->Blink = ListHead;
    } else {
        first = NULL;
    }
    unlock_list(Lock, irql);
    return first;
}
