/* IRQL, and that a thread at DISPATCH_LEVEL owns its virtual CPU. */
#include "support.h"

#define THREADS 5
#define ROUNDS  (5000 * SCALE)

/* Written without atomics: only ownership of the CPU protects them (ThreadSanitizer watches). */
static uint64_t entered[64];
static unsigned inside[64];

static VOID NTAPI raise_and_lower(PVOID context)
{
    uint64_t random = (uintptr_t)context + 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t choice = random_next(&random);
        GROUP_AFFINITY affinity = {.Mask = (KAFFINITY)1 << choice % sched_cpu_count()}, before;
        bool pinned = choice % 3 == 0;
        if (pinned)
            KeSetSystemGroupAffinityThread(&affinity, &before);
        KIRQL irql = KeRaiseIrqlToDpcLevel();
        ULONG cpu = KeGetCurrentProcessorNumberEx(NULL);
        bool alone = inside[cpu]++ == 0;
        dawdle(&random);
        entered[cpu]++;
        bool right_cpu = !pinned || affinity.Mask == (KAFFINITY)1 << cpu;
        KIRQL now = KeGetCurrentIrql();
        inside[cpu]--;
        KeLowerIrql(irql);
        if (pinned)
            KeRevertToUserGroupAffinityThread(&before);
        if (!alone || !right_cpu || irql != PASSIVE_LEVEL || now != DISPATCH_LEVEL ||
            KeGetCurrentIrql() != PASSIVE_LEVEL) {
            EXPECT(alone);
            EXPECT(right_cpu);
            EXPECT(irql == PASSIVE_LEVEL && now == DISPATCH_LEVEL);
            return;
        }
    }
    EXPECT(true);
}

/* A thread that gives its CPU up only for an instant does not keep another one out. */
static bool hog_stop;
static uint64_t guest_turns;

static VOID NTAPI hog_or_guest(PVOID context)
{
    GROUP_AFFINITY affinity = {.Mask = 1}, before;
    KeSetSystemGroupAffinityThread(&affinity, &before);
    while (!__atomic_load_n(&hog_stop, __ATOMIC_RELAXED)) {
        KIRQL irql = KeRaiseIrqlToDpcLevel();
        if (context == NULL)
            KeStallExecutionProcessor(300);
        else
            guest_turns++;
        KeLowerIrql(irql);
        if (context != NULL)
            sleep_ms(1);
    }
    KeRevertToUserGroupAffinityThread(&before);
}

static void no_starvation(void)
{
    struct crew crew;
    crew_start(&crew, 2, hog_or_guest, NULL);
    sleep_ms(300);
    __atomic_store_n(&hog_stop, true, __ATOMIC_RELAXED);
    crew_join(&crew);
    EXPECT(guest_turns >= 10);
}

static void levels(void)
{
    KIRQL first = KfRaiseIrql(APC_LEVEL);
    KIRQL second = KfRaiseIrql(DISPATCH_LEVEL);
    KIRQL third = KfRaiseIrql(HIGH_LEVEL);
    EXPECT(first == PASSIVE_LEVEL && second == APC_LEVEL && third == DISPATCH_LEVEL);
    EXPECT(KeGetCurrentIrql() == HIGH_LEVEL);
    KeLowerIrql(third);
    EXPECT(KeGetCurrentIrql() == DISPATCH_LEVEL);
    KeLowerIrql(first);
    EXPECT(KeGetCurrentIrql() == PASSIVE_LEVEL);
}

/* Affinity set at DISPATCH_LEVEL takes effect when IRQL is lowered. */
static void move_at_dispatch(void)
{
    if (sched_cpu_count() < 2)
        return;
    GROUP_AFFINITY one = {.Mask = 1}, two = {.Mask = 2}, before, inner;
    KeSetSystemGroupAffinityThread(&one, &before);
    KIRQL irql = KeRaiseIrqlToDpcLevel();
    EXPECT(KeGetCurrentProcessorNumberEx(NULL) == 0);
    KeSetSystemGroupAffinityThread(&two, &inner);
    EXPECT(inner.Mask == 1);
    EXPECT(KeGetCurrentProcessorNumberEx(NULL) == 0);
    KeLowerIrql(irql);
    EXPECT(KeGetCurrentProcessorNumberEx(NULL) == 1);
    KeRevertToUserGroupAffinityThread(&before);
    GROUP_AFFINITY invalid = {.Mask = 1, .Group = 1};
    KeSetSystemGroupAffinityThread(&invalid, &inner);
    EXPECT(inner.Mask == 0);
}

static void processors(void)
{
    PROCESSOR_NUMBER number = {.Number = 99};
    EXPECT(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) == sched_cpu_count());
    EXPECT(KeQueryActiveProcessorCountEx(1) == 0);
    EXPECT(KeGetProcessorNumberFromIndex(0, &number) == STATUS_SUCCESS && number.Number == 0);
    EXPECT(KeGetProcessorNumberFromIndex(sched_cpu_count(), &number) == STATUS_INVALID_PARAMETER);
    EXPECT(KeGetProcessorIndexFromNumber(&number) == 0);
    number.Number = (UCHAR)sched_cpu_count();
    EXPECT(KeGetProcessorIndexFromNumber(&number) == 0xffffffffu);
}

static unsigned announced[3];

static VOID NTAPI processor_change(PVOID context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change,
                                   PNTSTATUS status)
{
    announced[change->State]++;
    if (context != NULL && change->State == KeProcessorAddStartNotify && change->NtNumber == 1)
        *status = STATUS_INSUFFICIENT_RESOURCES;
}

static void processor_callbacks(void)
{
    int64_t before = host_count_read(HOST_NOTIFICATION).now;
    PVOID handle =
        KeRegisterProcessorChangeCallback(processor_change, NULL, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    EXPECT(handle != NULL && host_count_read(HOST_NOTIFICATION).now == before + 1);
    EXPECT(announced[KeProcessorAddStartNotify] == sched_cpu_count());
    EXPECT(announced[KeProcessorAddCompleteNotify] == sched_cpu_count());
    EXPECT(announced[KeProcessorAddFailureNotify] == 0);
    KeDeregisterProcessorChangeCallback(handle);
    if (sched_cpu_count() > 1) {
        handle =
            KeRegisterProcessorChangeCallback(processor_change, &handle, KE_PROCESSOR_CHANGE_ADD_EXISTING);
        EXPECT(handle == NULL && announced[KeProcessorAddFailureNotify] == 2);
    }
    EXPECT(host_count_read(HOST_NOTIFICATION).now == before);
}

void test_irql(void)
{
    levels();
    move_at_dispatch();
    processors();
    processor_callbacks();
    no_starvation();
    crew_run(THREADS, raise_and_lower);
    uint64_t sum = 0;
    for (unsigned cpu = 0; cpu < 64; cpu++) {
        EXPECT(cpu < sched_cpu_count() || entered[cpu] == 0);
        sum += entered[cpu];
    }
    EXPECT(sum == (uint64_t)THREADS * ROUNDS);
}
