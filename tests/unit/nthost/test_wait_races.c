/* Waits under races: nothing that was signalled is lost or seen twice. */
#include "support.h"

#define ROUNDS (1500 * SCALE)

/* ---- two threads hand one token back and forth ---- */

static KEVENT ping, pong;
static unsigned token; /* plain: the events order the accesses */

static VOID NTAPI ping_pong(PVOID context)
{
    bool first = context == NULL;
    for (unsigned round = 0; round < ROUNDS; round++) {
        KeWaitForSingleObject(first ? &ping : &pong, Executive, KernelMode, FALSE, NULL);
        token++;
        KeSetEvent(first ? &pong : &ping, 0, FALSE);
    }
}

static void hand_over(void)
{
    KeInitializeEvent(&ping, SynchronizationEvent, TRUE);
    KeInitializeEvent(&pong, SynchronizationEvent, FALSE);
    crew_run(2, ping_pong);
    EXPECT(token == 2 * ROUNDS);
}

/* ---- producers and consumers over two semaphores, with time-outs shorter than the gaps ---- */

static KSEMAPHORE left, right;
static bool producers_done;
static uint64_t produced, taken;

static VOID NTAPI produce_or_consume(PVOID context)
{
    unsigned self = (unsigned)(uintptr_t)context;
    uint64_t random = self + 5;
    if (self < 2) {
        for (unsigned round = 0; round < ROUNDS; round++) {
            LONG count = (LONG)(random_next(&random) % 3) + 1;
            __atomic_add_fetch(&produced, (uint64_t)count, __ATOMIC_RELAXED);
            KeReleaseSemaphore(random_next(&random) % 2 ? &left : &right, 0, count, FALSE);
            if (round % 256 == 0)
                sleep_ms(1);
        }
        return;
    }
    PVOID objects[] = {&left, &right};
    for (;;) {
        bool last = __atomic_load_n(&producers_done, __ATOMIC_SEQ_CST);
        LARGE_INTEGER soon = {.QuadPart = -(int64_t)(random_next(&random) % 500)};
        NTSTATUS status =
            KeWaitForMultipleObjects(2, objects, WaitAny, Executive, KernelMode, FALSE, &soon, NULL);
        if (status == 0 || status == 1)
            __atomic_add_fetch(&taken, 1, __ATOMIC_RELAXED);
        else if (last)
            return;
    }
}

static void conservation(void)
{
    struct crew producers, consumers;
    KeInitializeSemaphore(&left, 0, 1000000);
    KeInitializeSemaphore(&right, 0, 1000000);
    crew_start(&consumers, 2, produce_or_consume, (void *[]){(void *)2, (void *)3});
    crew_start(&producers, 2, produce_or_consume, NULL);
    crew_join(&producers);
    __atomic_store_n(&producers_done, true, __ATOMIC_SEQ_CST);
    crew_join(&consumers);
    EXPECT(taken == produced && produced >= 2 * ROUNDS);
    EXPECT(KeReadStateSemaphore(&left) == 0 && KeReadStateSemaphore(&right) == 0);
}

/* ---- WaitAll over two mutexes taken in opposite orders must neither deadlock nor overlap ---- */

static KMUTEX fork_a, fork_b;
static unsigned dining; /* plain: protected by both mutexes */

static VOID NTAPI dine(PVOID context)
{
    PVOID one_way[] = {&fork_a, &fork_b}, other_way[] = {&fork_b, &fork_a};
    bool swapped = context != NULL;
    for (unsigned round = 0; round < ROUNDS / 4; round++) {
        KeWaitForMultipleObjects(2, swapped ? other_way : one_way, WaitAll, Executive, KernelMode, FALSE,
                                 NULL, NULL);
        dining++;
        KeReleaseMutex(&fork_a, FALSE);
        KeReleaseMutex(&fork_b, FALSE);
    }
}

static void all_at_once(void)
{
    KeInitializeMutex(&fork_a, 0);
    KeInitializeMutex(&fork_b, 0);
    crew_run(3, dine);
    EXPECT(dining == 3 * (ROUNDS / 4));
}

/* ---- an event on the waiter's stack: its setter must not touch it afterwards ---- */

static KEVENT *volatile posted;

static VOID NTAPI set_posted(PVOID context)
{
    for (unsigned done = 0; done < ROUNDS;) {
        KEVENT *event = __atomic_exchange_n(&posted, NULL, __ATOMIC_ACQ_REL);
        if (event == NULL) {
            sched_block(sched_time_ns() + 20000);
            continue;
        }
        KeSetEvent(event, 0, FALSE);
        done++;
    }
}

static void event_on_stack(void)
{
    struct crew crew;
    crew_start(&crew, 1, set_posted, NULL);
    for (unsigned round = 0; round < ROUNDS; round++) {
        KEVENT event;
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        __atomic_store_n(&posted, &event, __ATOMIC_RELEASE);
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
        __builtin_memset(&event, 0xcc, sizeof(event));
        __asm__ volatile("" : : "r"(&event) : "memory");
    }
    crew_join(&crew);
    EXPECT(posted == NULL);
}

void test_wait_races(void)
{
    hand_over();
    conservation();
    all_at_once();
    event_on_stack();
}
