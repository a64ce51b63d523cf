/* Events, semaphores, mutexes, and waits for one or many: each rule by itself. */
#include "support.h"

#define STATUS_WAIT_1 ((NTSTATUS)1)

static LARGE_INTEGER zero;

static NTSTATUS poll(PVOID object)
{
    return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &zero);
}

static void events(void)
{
    KEVENT notification, synchronization;
    KeInitializeEvent(&notification, NotificationEvent, FALSE);
    KeInitializeEvent(&synchronization, SynchronizationEvent, TRUE);
    EXPECT(poll(&notification) == STATUS_TIMEOUT);
    EXPECT(poll(&synchronization) == STATUS_SUCCESS && poll(&synchronization) == STATUS_TIMEOUT);
    EXPECT(KeSetEvent(&notification, 0, FALSE) == 0 && KeSetEvent(&notification, 0, FALSE) == 1);
    EXPECT(poll(&notification) == STATUS_SUCCESS && poll(&notification) == STATUS_SUCCESS);
    EXPECT(KeReadStateEvent(&notification) == 1);
    EXPECT(KeResetEvent(&notification) == 1 && KeResetEvent(&notification) == 0);
    EXPECT(poll(&notification) == STATUS_TIMEOUT);
    KIRQL irql = KeRaiseIrqlToDpcLevel(); /* a poll is allowed at DISPATCH_LEVEL */
    KeSetEvent(&synchronization, 0, FALSE);
    EXPECT(poll(&synchronization) == STATUS_SUCCESS && poll(&synchronization) == STATUS_TIMEOUT);
    KeLowerIrql(irql);
}

static void time_outs(void)
{
    KEVENT event;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    uint64_t start = sched_time_ns();
    LARGE_INTEGER relative = relative_ms(20);
    EXPECT(KeWaitForSingleObject(&event, Executive, KernelMode, TRUE, &relative) == STATUS_TIMEOUT);
    EXPECT(sched_time_ns() - start >= 20000000);
    LARGE_INTEGER absolute;
    KeQuerySystemTimePrecise(&absolute);
    absolute.QuadPart += 20 * MS;
    start = sched_time_ns();
    EXPECT(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &absolute) == STATUS_TIMEOUT);
    EXPECT(sched_time_ns() - start >= 18000000);
    absolute.QuadPart = 1; /* long past */
    EXPECT(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &absolute) == STATUS_TIMEOUT);
    LARGE_INTEGER forever = {.QuadPart = INT64_MIN};
    KeSetEvent(&event, 0, FALSE);
    EXPECT(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &forever) == STATUS_SUCCESS);
    start = sched_time_ns();
    sleep_ms(10);
    EXPECT(sched_time_ns() - start >= 10000000);
}

static void any_and_all(void)
{
    KEVENT a, b;
    KSEMAPHORE c;
    PVOID objects[] = {&a, &b, &c};
    KeInitializeEvent(&a, SynchronizationEvent, FALSE);
    KeInitializeEvent(&b, SynchronizationEvent, TRUE);
    KeInitializeSemaphore(&c, 1, 5);
    EXPECT(KeWaitForMultipleObjects(3, objects, WaitAny, Executive, KernelMode, FALSE, &zero, NULL) ==
           STATUS_WAIT_1);
    EXPECT(KeReadStateEvent(&b) == 0 && KeReadStateSemaphore(&c) == 1); /* only the one that satisfied it */
    KeSetEvent(&b, 0, FALSE);
    LARGE_INTEGER soon = relative_ms(5);
    EXPECT(KeWaitForMultipleObjects(3, objects, WaitAll, Executive, KernelMode, FALSE, &soon, NULL) ==
           STATUS_TIMEOUT);
    EXPECT(KeReadStateEvent(&b) == 1 && KeReadStateSemaphore(&c) == 1); /* all or nothing */
    KeSetEvent(&a, 0, FALSE);
    EXPECT(KeWaitForMultipleObjects(3, objects, WaitAll, Executive, KernelMode, FALSE, &soon, NULL) ==
           STATUS_SUCCESS);
    EXPECT(KeReadStateEvent(&a) == 0 && KeReadStateEvent(&b) == 0 && KeReadStateSemaphore(&c) == 0);

    KEVENT many[MAXIMUM_WAIT_OBJECTS];
    PVOID pointers[MAXIMUM_WAIT_OBJECTS];
    KWAIT_BLOCK blocks[MAXIMUM_WAIT_OBJECTS];
    for (unsigned i = 0; i < MAXIMUM_WAIT_OBJECTS; i++) {
        KeInitializeEvent(&many[i], NotificationEvent, FALSE);
        pointers[i] = &many[i];
    }
    EXPECT(KeWaitForMultipleObjects(MAXIMUM_WAIT_OBJECTS, pointers, WaitAny, Executive, KernelMode, FALSE,
                                    &soon, blocks) == STATUS_TIMEOUT);
    KeSetEvent(&many[63], 0, FALSE);
    EXPECT(KeWaitForMultipleObjects(MAXIMUM_WAIT_OBJECTS, pointers, WaitAny, Executive, KernelMode, FALSE,
                                    NULL, blocks) == 63);
}

static void semaphores(void)
{
    KSEMAPHORE semaphore;
    KeInitializeSemaphore(&semaphore, 0, 3);
    EXPECT(poll(&semaphore) == STATUS_TIMEOUT);
    EXPECT(KeReleaseSemaphore(&semaphore, 0, 2, FALSE) == 0 &&
           KeReleaseSemaphore(&semaphore, 0, 1, FALSE) == 2);
    EXPECT(poll(&semaphore) == STATUS_SUCCESS && poll(&semaphore) == STATUS_SUCCESS);
    EXPECT(poll(&semaphore) == STATUS_SUCCESS && poll(&semaphore) == STATUS_TIMEOUT);
}

/* ---- mutexes ---- */

static KMUTEX mutex;

static VOID NTAPI other_thread_polls(PVOID context)
{
    *(NTSTATUS *)context = poll(&mutex);
    if (*(NTSTATUS *)context == STATUS_SUCCESS)
        KeReleaseMutex(&mutex, FALSE);
}

static VOID NTAPI dies_with_mutex(PVOID context)
{
    EXPECT(poll(&mutex) == STATUS_SUCCESS);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS poll_elsewhere(void)
{
    NTSTATUS status = STATUS_PENDING;
    struct crew crew;
    crew_start(&crew, 1, other_thread_polls, (void *[]){&status});
    crew_join(&crew);
    return status;
}

static void mutexes(void)
{
    KeInitializeMutex(&mutex, 0);
    EXPECT(KeReadStateMutex(&mutex) == 1);
    EXPECT(poll(&mutex) == STATUS_SUCCESS && poll(&mutex) == STATUS_SUCCESS); /* recursive */
    EXPECT(KeReadStateMutex(&mutex) == -1);
    EXPECT(poll_elsewhere() == STATUS_TIMEOUT);
    EXPECT(KeReleaseMutex(&mutex, FALSE) == -1);
    EXPECT(poll_elsewhere() == STATUS_TIMEOUT);
    EXPECT(KeReleaseMutex(&mutex, FALSE) == 0);
    EXPECT(poll_elsewhere() == STATUS_SUCCESS);
    if (host_options.verify) /* a report there */
        return;
    struct crew crew;
    crew_start(&crew, 1, dies_with_mutex, NULL);
    crew_join(&crew);
    EXPECT(poll(&mutex) == STATUS_ABANDONED);
    KeReleaseMutex(&mutex, FALSE);
    EXPECT(poll(&mutex) == STATUS_SUCCESS);
    KeReleaseMutex(&mutex, FALSE);
}

/* ---- waking ---- */

static KEVENT wake_event;
static unsigned woken;

static VOID NTAPI waits_for_event(PVOID context)
{
    KeWaitForSingleObject(&wake_event, Executive, KernelMode, FALSE, NULL);
    __atomic_add_fetch(&woken, 1, __ATOMIC_SEQ_CST);
}

static bool reaches(unsigned *value, unsigned wanted)
{
    for (uint64_t end = now_ms() + 5000; now_ms() < end; sleep_ms(1))
        if (__atomic_load_n(value, __ATOMIC_SEQ_CST) == wanted)
            return true;
    return false;
}

static void wake_one_or_all(void)
{
    struct crew crew;
    KeInitializeEvent(&wake_event, SynchronizationEvent, FALSE);
    crew_start(&crew, 3, waits_for_event, NULL);
    sleep_ms(20);
    EXPECT(__atomic_load_n(&woken, __ATOMIC_SEQ_CST) == 0);
    for (unsigned i = 1; i <= 3; i++) {
        KeSetEvent(&wake_event, 0, FALSE);
        EXPECT(reaches(&woken, i));
    }
    crew_join(&crew);
    EXPECT(KeReadStateEvent(&wake_event) == 0);
    woken = 0;
    KeInitializeEvent(&wake_event, NotificationEvent, FALSE);
    crew_start(&crew, 3, waits_for_event, NULL);
    sleep_ms(20);
    KeSetEvent(&wake_event, 0, FALSE);
    EXPECT(reaches(&woken, 3));
    crew_join(&crew);
}

static void time_queries(void)
{
    ULONG64 stamp = 0;
    ULONG64 first = KeQueryInterruptTimePrecise(&stamp);
    LARGE_INTEGER frequency, system;
    LARGE_INTEGER counter = KeQueryPerformanceCounter(&frequency);
    ULONGLONG unbiased = KeQueryUnbiasedInterruptTime();
    KeStallExecutionProcessor(200);
    EXPECT(KeQueryInterruptTimePrecise(NULL) - first >= 2000 && stamp != 0);
    EXPECT(KeQueryPerformanceCounter(NULL).QuadPart - counter.QuadPart >= frequency.QuadPart / 5000);
    EXPECT(KeQueryUnbiasedInterruptTime() - unbiased >= 2000);
    EXPECT(unbiased <= KeQueryInterruptTimePrecise(NULL));
    KeQuerySystemTimePrecise(&system);
    EXPECT(system.QuadPart / 10000000 - 11644473600 > 1700000000); /* seconds since 1970: after 2023 */
    EXPECT(KeQueryTimeIncrement() > 0);
}

void test_wait(void)
{
    events();
    time_outs();
    any_and_all();
    semaphores();
    mutexes();
    wake_one_or_all();
    time_queries();
}
