/* Timers: due times, periods, cancelling, rearming, as wait objects, and under races. */
#include "support.h"

struct alarm {
    KTIMER timer;
    KDPC dpc;
    uint64_t fired; /* atomic */
    uint64_t at_ns; /* when it fired last */
    unsigned cpu;
    bool wrong_irql;
};

static VOID NTAPI ring(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct alarm *alarm = context;
    alarm->at_ns = sched_time_ns();
    alarm->wrong_irql |= KeGetCurrentIrql() != DISPATCH_LEVEL;
    __atomic_fetch_add(&alarm->fired, 1, __ATOMIC_RELEASE);
}

static void initialize(struct alarm *alarm)
{
    *alarm = (struct alarm){.fired = 0};
    KeInitializeTimer(&alarm->timer);
    KeInitializeDpc(&alarm->dpc, ring, alarm);
}

static uint64_t fired(struct alarm *alarm)
{
    return __atomic_load_n(&alarm->fired, __ATOMIC_ACQUIRE);
}

static bool fires(struct alarm *alarm, uint64_t times, uint64_t within_ms)
{
    for (uint64_t end = now_ms() + within_ms; now_ms() < end; sleep_ms(1))
        if (fired(alarm) >= times)
            return true;
    return fired(alarm) >= times;
}

static void one_shot(void)
{
    struct alarm alarm;
    initialize(&alarm);
    uint64_t start = sched_time_ns();
    EXPECT(!KeSetTimer(&alarm.timer, relative_ms(20), &alarm.dpc));
    EXPECT(!KeReadStateTimer(&alarm.timer) && host_count_read(HOST_TIMER).now == 1);
    EXPECT(fires(&alarm, 1, 5000) && alarm.at_ns - start >= 20000000 && !alarm.wrong_irql);
    EXPECT(KeReadStateTimer(&alarm.timer) && host_count_read(HOST_TIMER).now == 0);
    EXPECT(!KeCancelTimer(&alarm.timer));
    /* cancelled in time: never fires */
    KeSetTimer(&alarm.timer, relative_ms(10), &alarm.dpc);
    EXPECT(!KeReadStateTimer(&alarm.timer));
    EXPECT(KeCancelTimer(&alarm.timer));
    /* replaced: only the later time counts */
    start = sched_time_ns();
    KeSetTimer(&alarm.timer, relative_ms(5), &alarm.dpc);
    EXPECT(KeSetTimer(&alarm.timer, relative_ms(40), &alarm.dpc));
    EXPECT(fires(&alarm, 2, 5000) && alarm.at_ns - start >= 40000000);
    EXPECT(fired(&alarm) == 2);
    /* due already: at once, before the call returns when below DISPATCH_LEVEL */
    LARGE_INTEGER past = {.QuadPart = 1};
    KeSetTimer(&alarm.timer, past, &alarm.dpc);
    EXPECT(fired(&alarm) == 3 && KeReadStateTimer(&alarm.timer) && host_count_read(HOST_TIMER).now == 0);
    /* absolute */
    LARGE_INTEGER absolute;
    KeQuerySystemTimePrecise(&absolute);
    absolute.QuadPart += 15 * MS;
    start = sched_time_ns();
    KeSetTimer(&alarm.timer, absolute, &alarm.dpc);
    EXPECT(fires(&alarm, 4, 5000) && alarm.at_ns - start >= 13000000);
    /* so far away that it is never */
    KeSetTimer(&alarm.timer, (LARGE_INTEGER){.QuadPart = INT64_MIN}, &alarm.dpc);
    sleep_ms(5);
    EXPECT(fired(&alarm) == 4 && KeCancelTimer(&alarm.timer));
    KeFlushQueuedDpcs();
}

/* An earlier timer must shorten the sleep that the loop began for a later one. */
static void earlier(void)
{
    struct alarm late, early;
    initialize(&late);
    initialize(&early);
    KeSetTimer(&late.timer, relative_ms(60000), &late.dpc);
    sleep_ms(20);
    KeSetTimer(&early.timer, relative_ms(10), &early.dpc);
    EXPECT(fires(&early, 1, 5000) && fired(&late) == 0);
    EXPECT(KeCancelTimer(&late.timer));
    KeFlushQueuedDpcs();
}

static void periodic(void)
{
    struct alarm alarm;
    initialize(&alarm);
    uint64_t start = sched_time_ns();
    KeSetTimerEx(&alarm.timer, relative_ms(5), 10, &alarm.dpc);
    EXPECT(fires(&alarm, 5, 5000) && alarm.at_ns - start >= 45000000);
    EXPECT(KeCancelTimer(&alarm.timer));
    KeFlushQueuedDpcs();
    uint64_t count = fired(&alarm);
    sleep_ms(30);
    EXPECT(fired(&alarm) == count);
    KeSetCoalescableTimer(&alarm.timer, relative_ms(5), 0, 50, &alarm.dpc);
    EXPECT(fires(&alarm, count + 1, 5000));
    KeFlushQueuedDpcs();
}

static void as_wait_object(void)
{
    KTIMER notification, synchronization;
    LARGE_INTEGER zero = {.QuadPart = 0};
    KeInitializeTimerEx(&notification, NotificationTimer);
    KeInitializeTimerEx(&synchronization, SynchronizationTimer);
    KeSetTimer(&notification, relative_ms(10), NULL);
    KeSetTimer(&synchronization, relative_ms(10), NULL);
    PVOID both[] = {&notification, &synchronization};
    EXPECT(KeWaitForMultipleObjects(2, both, WaitAll, Executive, KernelMode, FALSE, NULL, NULL) ==
           STATUS_SUCCESS);
    EXPECT(KeWaitForSingleObject(&notification, Executive, KernelMode, FALSE, &zero) == STATUS_SUCCESS);
    EXPECT(KeWaitForSingleObject(&synchronization, Executive, KernelMode, FALSE, &zero) == STATUS_TIMEOUT);
}

#define MANY 200

/* Many timers in random order expire in the order of their due times. */
static void order(void)
{
    static struct alarm alarms[MANY];
    uint64_t random = 9, due[MANY], base = sched_time_ns() + 40000000;
    bool cancelled[MANY] = {false};
    for (unsigned i = 0; i < MANY; i++) {
        initialize(&alarms[i]);
        due[i] = base + random_next(&random) % 50000000;
        LARGE_INTEGER relative = {.QuadPart = -(int64_t)((due[i] - sched_time_ns()) / 100)};
        KeSetTimer(&alarms[i].timer, relative, &alarms[i].dpc);
        due[i] = alarms[i].timer.DueTime.QuadPart; /* the host's: ns */
    }
    for (unsigned i = 0; i < MANY; i += 3)
        cancelled[i] = KeCancelTimer(&alarms[i].timer);
    sleep_ms(110);
    KeFlushQueuedDpcs();
    unsigned wrong = 0;
    for (unsigned i = 0; i < MANY; i++) {
        wrong += fired(&alarms[i]) != (cancelled[i] ? 0 : 1);
        wrong += !cancelled[i] && alarms[i].at_ns < due[i];
        for (unsigned j = 0; j < i; j++)
            wrong += !cancelled[i] && !cancelled[j] && alarms[i].at_ns < alarms[j].at_ns && due[i] > due[j];
    }
    EXPECT(wrong == 0);
    EXPECT(host_count_read(HOST_TIMER).now == 0);
}

/* Removing a timer from the middle of the queue, where the last one that takes its place belongs further up.
 */
static void removal(void)
{
    /* in this order the queue is a heap as it stands: removing [3] puts 50 below 80 */
    static const unsigned due_ms[15] = {40, 80, 41, 90, 85, 42, 43, 110, 111, 112, 113, 44, 45, 46, 50};
    static struct alarm alarms[15];
    for (unsigned i = 0; i < 15; i++) {
        initialize(&alarms[i]);
        KeSetTimer(&alarms[i].timer, relative_ms(due_ms[i]), &alarms[i].dpc);
    }
    EXPECT(KeCancelTimer(&alarms[3].timer));
    for (unsigned i = 0; i < 15; i++)
        EXPECT(i == 3 || fires(&alarms[i], 1, 5000));
    EXPECT(alarms[14].at_ns < alarms[1].at_ns && fired(&alarms[3]) == 0);
    KeFlushQueuedDpcs();
}

/* ---- races: several threads set, replace and cancel the same timers ---- */

#define SHARED 12
static struct alarm shared[SHARED];

static VOID NTAPI set_and_cancel(PVOID context)
{
    uint64_t random = (uintptr_t)context + 3;
    for (unsigned round = 0; round < 3000; round++) {
        struct alarm *alarm = &shared[random_next(&random) % SHARED];
        LARGE_INTEGER due = {.QuadPart = -(int64_t)(random_next(&random) % 20000)};
        switch (random_next(&random) % 4) {
        case 0:
            KeCancelTimer(&alarm->timer);
            break;
        case 1:
            KeSetTimerEx(&alarm->timer, due, 1, &alarm->dpc);
            break;
        default:
            KeSetTimer(&alarm->timer, due, &alarm->dpc);
        }
        if (round % 100 == 0)
            sleep_ms(1);
    }
}

static void races(void)
{
    for (unsigned i = 0; i < SHARED; i++) {
        initialize(&shared[i]);
        PROCESSOR_NUMBER number = {.Number = (UCHAR)(i % sched_cpu_count())};
        KeSetTargetProcessorDpcEx(&shared[i].dpc, &number);
    }
    crew_run(3, set_and_cancel);
    uint64_t total = 0;
    for (unsigned i = 0; i < SHARED; i++)
        KeCancelTimer(&shared[i].timer);
    KeFlushQueuedDpcs();
    for (unsigned i = 0; i < SHARED; i++) {
        total += fired(&shared[i]);
        shared[i].fired = 0;
        EXPECT(!shared[i].wrong_irql);
    }
    EXPECT(total > 20);
    EXPECT(host_count_read(HOST_TIMER).now == 0);
    sleep_ms(10);
    for (unsigned i = 0; i < SHARED; i++)
        EXPECT(fired(&shared[i]) == 0);
}

void test_timer(void)
{
    one_shot();
    earlier();
    periodic();
    as_wait_object();
    order();
    removal();
    races();
}
