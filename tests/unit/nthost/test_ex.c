/* Rundown protection (both kinds), interlocked lists, callback objects. */
#include "support.h"

#include "ex/callback.h"
#include "ex/exports.h"
#include "ke/exports.h"

#include <stdlib.h>

/* ---- rundown protection ---- */

static void rundown_rules(void)
{
    EX_RUNDOWN_REF reference;
    ExInitializeRundownProtection(&reference);
    EXPECT(ExAcquireRundownProtection(&reference) && ExAcquireRundownProtectionEx(&reference, 3));
    EXPECT(reference.Count == 4 * EX_RUNDOWN_COUNT_INC);
    ExReleaseRundownProtectionEx(&reference, 3);
    ExReleaseRundownProtection(&reference);
    ExWaitForRundownProtectionRelease(&reference);
    EXPECT(!ExAcquireRundownProtection(&reference) && reference.Count == EX_RUNDOWN_ACTIVE);
    ExWaitForRundownProtectionRelease(&reference); /* again: returns at once */
    ExRundownCompleted(&reference);
    ExReInitializeRundownProtection(&reference);
    EXPECT(ExAcquireRundownProtection(&reference));
    ExReleaseRundownProtection(&reference);
}

static bool rundown_over;

static VOID NTAPI wait_for_rundown(PVOID context)
{
    ExWaitForRundownProtectionRelease(context);
    __atomic_store_n(&rundown_over, true, __ATOMIC_SEQ_CST);
}

/* The waiter waits for each of several references, however they are released. */
static void rundown_waits_for_all(void)
{
    EX_RUNDOWN_REF reference;
    struct crew crew;
    ExInitializeRundownProtection(&reference);
    EXPECT(ExAcquireRundownProtectionEx(&reference, 4));
    crew_start(&crew, 1, wait_for_rundown, (void *[]){&reference});
    for (uint64_t end = now_ms() + 5000; now_ms() < end && ExAcquireRundownProtection(&reference);) {
        ExReleaseRundownProtection(&reference);
        sleep_ms(1);
    }
    ExReleaseRundownProtection(&reference);
    ExReleaseRundownProtectionEx(&reference, 2);
    sleep_ms(10);
    EXPECT(!__atomic_load_n(&rundown_over, __ATOMIC_SEQ_CST));
    ExReleaseRundownProtection(&reference);
    crew_join(&crew);
    EXPECT(__atomic_load_n(&rundown_over, __ATOMIC_SEQ_CST));
}

static EX_RUNDOWN_REF plain_reference;
static PEX_RUNDOWN_REF_CACHE_AWARE aware_reference;
static bool alive_plain, alive_aware; /* plain: only the protection orders the accesses */
static uint64_t uses;

static VOID NTAPI use_protected(PVOID context)
{
    bool plain_open = true, aware_open = true;
    uint64_t wrong = 0, random = (uintptr_t)context;
    while (plain_open || aware_open) {
        if (plain_open) {
            plain_open = ExAcquireRundownProtection(&plain_reference);
            if (plain_open) {
                wrong += !alive_plain;
                ExReleaseRundownProtection(&plain_reference);
            }
        }
        if (aware_open) {
            /* acquired on a high CPU, released on CPU 0: whose counter the rundown collects first */
            GROUP_AFFINITY high = {.Mask = ~(KAFFINITY)0 << (sched_cpu_count() - 1)}, low = {.Mask = 1},
                           before;
            KeSetSystemGroupAffinityThread(&high, &before);
            aware_open = ExAcquireRundownProtectionCacheAware(aware_reference);
            KeSetSystemGroupAffinityThread(&low, &high);
            if (aware_open) {
                wrong += !alive_aware;
                ExReleaseRundownProtectionCacheAware(aware_reference);
            }
            KeRevertToUserGroupAffinityThread(&before);
        }
        dawdle(&random);
        __atomic_add_fetch(&uses, 1, __ATOMIC_RELAXED);
    }
    EXPECT(wrong == 0);
}

static void rundown_race(void)
{
    aware_reference = ExAllocateCacheAwareRundownProtection(NonPagedPoolNx, 0x74736554);
    EXPECT(aware_reference != NULL);
    for (unsigned round = 0; round < 20 * SCALE; round++) {
        ExInitializeRundownProtection(&plain_reference);
        if (round != 0)
            ExReInitializeRundownProtectionCacheAware(aware_reference);
        alive_plain = alive_aware = true;
        uint64_t before = __atomic_load_n(&uses, __ATOMIC_RELAXED);
        unsigned spins = 0;
        struct crew crew;
        crew_start(&crew, 3, use_protected, NULL);
        for (uint64_t end = now_ms() + 5000;
             __atomic_load_n(&uses, __ATOMIC_RELAXED) < before + 200 && now_ms() < end;)
            sched_spin(&spins);
        ExWaitForRundownProtectionRelease(&plain_reference);
        alive_plain = false;
        ExWaitForRundownProtectionReleaseCacheAware(aware_reference);
        alive_aware = false;
        crew_join(&crew);
    }
    EXPECT(!ExAcquireRundownProtectionCacheAware(aware_reference));
    ExWaitForRundownProtectionReleaseCacheAware(aware_reference);
    ExFreeCacheAwareRundownProtection(aware_reference);
    EXPECT(host_count_read(HOST_POOL).now == 0);

    SIZE_T bytes = ExSizeOfRundownProtectionCacheAware();
    PEX_RUNDOWN_REF_CACHE_AWARE own = malloc(bytes);
    ExInitializeRundownProtectionCacheAware(own, bytes);
    EXPECT(ExAcquireRundownProtectionCacheAwareEx(own, 7));
    ExReleaseRundownProtectionCacheAwareEx(own, 4);
    ExReleaseRundownProtectionCacheAwareEx(own, 3);
    ExWaitForRundownProtectionReleaseCacheAware(own);
    EXPECT(!ExAcquireRundownProtectionCacheAware(own));
    free(own);
}

/* ---- interlocked lists ---- */

#define NODES 64

struct node {
    SLIST_ENTRY entry;
    uint64_t owner; /* plain: whoever popped it */
};

static SLIST_HEADER full, empty;
static uint64_t moved;

static VOID NTAPI move_nodes(PVOID context)
{
    uint64_t random = (uintptr_t)context + 23, wrong = 0;
    for (unsigned round = 0; round < 8000 * SCALE; round++) {
        bool forward = random_next(&random) % 2 == 0;
        PSLIST_HEADER from = forward ? &full : &empty, to = forward ? &empty : &full;
        struct node *node = (struct node *)ExpInterlockedPopEntrySList(from);
        if (node == NULL)
            continue;
        wrong += node->owner != 0;
        node->owner = (uintptr_t)context + 1;
        __asm__ volatile("" : : : "memory");
        node->owner = 0;
        ExpInterlockedPushEntrySList(to, &node->entry);
        __atomic_fetch_add(&moved, 1, __ATOMIC_RELAXED);
        if (round % 1000 == 999) {
            PSLIST_ENTRY chain = ExpInterlockedFlushSList(to);
            while (chain != NULL) {
                PSLIST_ENTRY next = chain->Next;
                ExpInterlockedPushEntrySList(from, chain);
                chain = next;
            }
        }
    }
    EXPECT(wrong == 0);
}

static void lists(void)
{
    static struct node nodes[NODES];
    InitializeSListHead(&full);
    InitializeSListHead(&empty);
    EXPECT(ExpInterlockedPopEntrySList(&full) == NULL && ExpInterlockedFlushSList(&full) == NULL);
    EXPECT(ExpInterlockedPushEntrySList(&full, &nodes[0].entry) == NULL);
    EXPECT(ExpInterlockedPushEntrySList(&full, &nodes[1].entry) == &nodes[0].entry);
    EXPECT(ExQueryDepthSList(&full) == 2 && FirstEntrySList(&full) == &nodes[1].entry);
    EXPECT(ExpInterlockedPopEntrySList(&full) == &nodes[1].entry && ExQueryDepthSList(&full) == 1);
    PSLIST_ENTRY rest = ExpInterlockedFlushSList(&full);
    EXPECT(rest == &nodes[0].entry && rest->Next == NULL && ExQueryDepthSList(&full) == 0);
    for (unsigned i = 0; i < NODES; i++)
        ExpInterlockedPushEntrySList(&full, &nodes[i].entry);
    crew_run(4, move_nodes);
    EXPECT(ExQueryDepthSList(&full) + ExQueryDepthSList(&empty) == NODES && moved > 1000);
    unsigned seen = 0;
    bool twice = false;
    for (unsigned which = 0; which < 2; which++) {
        struct node *node;
        while ((node = (struct node *)ExpInterlockedPopEntrySList(which == 0 ? &full : &empty)) != NULL) {
            twice |= node->owner == 99;
            node->owner = 99;
            seen++;
        }
    }
    EXPECT(seen == NODES && !twice);

    LIST_ENTRY head = {&head, &head}, a, b;
    KSPIN_LOCK lock = 0;
    EXPECT(ExInterlockedInsertTailList(&head, &a, &lock) == NULL);
    EXPECT(ExInterlockedInsertHeadList(&head, &b, &lock) == &a);
    EXPECT(ExInterlockedRemoveHeadList(&head, &lock) == &b &&
           ExInterlockedRemoveHeadList(&head, &lock) == &a);
    EXPECT(ExInterlockedRemoveHeadList(&head, &lock) == NULL);
}

/* ---- callback objects ---- */

static char calls[8];
static unsigned call_count;

static VOID NTAPI called(PVOID context, PVOID argument1, PVOID argument2)
{
    calls[call_count++] = (char)(uintptr_t)context;
    EXPECT(argument1 == (PVOID)7 && argument2 == (PVOID)8);
}

static void callbacks(void)
{
    static WCHAR text[] = u"\\Callback\\PowerState";
    UNICODE_STRING name = {sizeof(text) - sizeof(WCHAR), sizeof(text), text};
    OBJECT_ATTRIBUTES attributes;
    PCALLBACK_OBJECT object, same;
    int64_t references = host_count_read(HOST_OBJECT_REF).now;
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, NULL, NULL);
    EXPECT(ExCreateCallback(&object, &attributes, FALSE, TRUE) == STATUS_OBJECT_NAME_NOT_FOUND);
    callback_notify("\\Callback\\PowerState", NULL, NULL);
    EXPECT(ExCreateCallback(&object, &attributes, TRUE, TRUE) == STATUS_SUCCESS);
    text[10] = 'p';
    EXPECT(ExCreateCallback(&same, &attributes, FALSE, TRUE) == STATUS_SUCCESS && same == object);
    ObDereferenceObject(same);
    PVOID first = ExRegisterCallback(object, called, (PVOID)'1'),
          second = ExRegisterCallback(object, called, (PVOID)'2');
    EXPECT(first != NULL && second != NULL && host_count_read(HOST_NOTIFICATION).now == 2);
    callback_notify("\\callback\\POWERSTATE", (PVOID)7, (PVOID)8);
    EXPECT(call_count == 2 && calls[0] == '1' && calls[1] == '2');
    ExUnregisterCallback(first);
    ExNotifyCallback(object, (PVOID)7, (PVOID)8);
    EXPECT(call_count == 3 && calls[2] == '2');
    ExUnregisterCallback(second);
    ObDereferenceObject(object);
    EXPECT(ExCreateCallback(&object, &attributes, FALSE, TRUE) == STATUS_OBJECT_NAME_NOT_FOUND);
    EXPECT(ExCreateCallback(&object, NULL, TRUE, FALSE) == STATUS_SUCCESS); /* unnamed, for one only */
    first = ExRegisterCallback(object, called, NULL);
    EXPECT(first != NULL && ExRegisterCallback(object, called, NULL) == NULL);
    ExUnregisterCallback(first);
    ObDereferenceObject(object);
    EXPECT(host_count_read(HOST_NOTIFICATION).now == 0 && host_count_read(HOST_OBJECT_REF).now == references);
}

void test_ex(void)
{
    rundown_rules();
    rundown_waits_for_all();
    rundown_race();
    lists();
    callbacks();
}
