/* DPCs: when and where they run, removal, importance, flushing, and that they are sections of their CPU. */
#include "support.h"

#define ROUNDS (2000 * SCALE)

static uint64_t per_cpu[64]; /* plain: protected by the CPU's ownership */
static uint64_t wrong;       /* atomic */

struct job {
    KDPC dpc;
    ULONG cpu;
    uint64_t queued; /* of the thread that owns the job */
    uint64_t run;    /* atomic */
};

static VOID NTAPI count_here(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct job *job = context;
    if (KeGetCurrentIrql() != DISPATCH_LEVEL || KeGetCurrentProcessorNumberEx(NULL) != job->cpu ||
        argument1 != (PVOID)1 || argument2 != (PVOID)2)
        __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    per_cpu[job->cpu]++;
    __atomic_fetch_add(&job->run, 1, __ATOMIC_RELEASE);
}

static struct job jobs[3][64];
static uint64_t sections[3];

static VOID NTAPI queue_everywhere(PVOID context)
{
    unsigned self = (unsigned)(uintptr_t)context;
    uint64_t random = self + 77;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct job *job = &jobs[self][random_next(&random) % sched_cpu_count()];
        if (KeInsertQueueDpc(&job->dpc, (PVOID)1, (PVOID)2))
            job->queued++;
        if (round % 4 == 0) {
            KIRQL irql = KeRaiseIrqlToDpcLevel();
            per_cpu[KeGetCurrentProcessorNumberEx(NULL)]++;
            sections[self]++;
            if (KeInsertQueueDpc(&job->dpc, (PVOID)1, (PVOID)2))
                job->queued++;
            KeLowerIrql(irql);
        }
        if (round % 512 == 0) {
            KeFlushQueuedDpcs();
            EXPECT(__atomic_load_n(&job->run, __ATOMIC_ACQUIRE) == job->queued);
        }
    }
}

static void race(void)
{
    uint64_t total = 0, counted = 0;
    for (unsigned thread = 0; thread < 3; thread++) {
        for (ULONG cpu = 0; cpu < sched_cpu_count(); cpu++) {
            struct job *job = &jobs[thread][cpu];
            PROCESSOR_NUMBER number = {.Number = (UCHAR)cpu};
            job->cpu = cpu;
            KeInitializeDpc(&job->dpc, count_here, job);
            EXPECT(KeSetTargetProcessorDpcEx(&job->dpc, &number) == STATUS_SUCCESS);
        }
    }
    crew_run(3, queue_everywhere);
    KeFlushQueuedDpcs();
    for (unsigned thread = 0; thread < 3; thread++) {
        total += sections[thread];
        for (ULONG cpu = 0; cpu < sched_cpu_count(); cpu++) {
            EXPECT(jobs[thread][cpu].queued == jobs[thread][cpu].run);
            total += jobs[thread][cpu].run;
        }
    }
    for (unsigned cpu = 0; cpu < 64; cpu++)
        counted += per_cpu[cpu];
    EXPECT(counted == total && total > ROUNDS);
    EXPECT(wrong == 0);
    EXPECT(host_count_read(HOST_DPC).now == 0);
    PROCESSOR_NUMBER invalid = {.Number = (UCHAR)sched_cpu_count()};
    EXPECT(KeSetTargetProcessorDpcEx(&jobs[0][0].dpc, &invalid) == STATUS_INVALID_PARAMETER);
}

/* ---- order ---- */

static char order[8];
static unsigned order_length;
static PKTHREAD order_thread;

static VOID NTAPI note(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    order[order_length++] = (char)(uintptr_t)context;
    order_thread = KeGetCurrentThread();
}

static void lowering(void)
{
    KDPC a, b, c, removed;
    KeInitializeDpc(&a, note, (PVOID)'a');
    KeInitializeDpc(&b, note, (PVOID)'b');
    KeInitializeDpc(&c, note, (PVOID)'c');
    KeInitializeDpc(&removed, note, (PVOID)'x');
    KeSetImportanceDpc(&c, HighImportance);
    KIRQL irql = KeRaiseIrqlToDpcLevel();
    EXPECT(KeInsertQueueDpc(&a, NULL, NULL));
    EXPECT(!KeInsertQueueDpc(&a, NULL, NULL));
    EXPECT(KeInsertQueueDpc(&removed, NULL, NULL));
    EXPECT(KeInsertQueueDpc(&b, NULL, NULL));
    EXPECT(KeInsertQueueDpc(&c, NULL, NULL));
    EXPECT(KeRemoveQueueDpc(&removed));
    EXPECT(!KeRemoveQueueDpc(&removed));
    EXPECT(order_length == 0 && host_count_read(HOST_DPC).now == 3);
    KeLowerIrql(irql);
    EXPECT(order_length == 3 && order[0] == 'c' && order[1] == 'a' && order[2] == 'b');
    EXPECT(order_thread == KeGetCurrentThread());
    EXPECT(KeInsertQueueDpc(&removed, NULL, NULL)); /* at PASSIVE_LEVEL: at once, on this thread */
    EXPECT(order_length == 4 && order[3] == 'x' && order_thread == KeGetCurrentThread());

    /* removing the last one must leave a queue that can be appended to */
    irql = KeRaiseIrqlToDpcLevel();
    order_length = 0;
    EXPECT(KeInsertQueueDpc(&a, NULL, NULL) && KeInsertQueueDpc(&b, NULL, NULL));
    EXPECT(KeRemoveQueueDpc(&b));
    EXPECT(KeInsertQueueDpc(&removed, NULL, NULL) && KeRemoveQueueDpc(&a) && KeRemoveQueueDpc(&removed));
    EXPECT(KeInsertQueueDpc(&b, NULL, NULL));
    KeLowerIrql(irql);
    EXPECT(order_length == 1 && order[0] == 'b');
}

/* ---- other CPUs: an idle one is kicked, and no request falls between an owner's last look and its release
 * ---- */

static uint64_t arrived; /* atomic */

static VOID NTAPI arrive(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    __atomic_fetch_add(&arrived, 1, __ATOMIC_RELEASE);
}

static bool arrives(uint64_t wanted)
{
    unsigned spins = 0;
    for (uint64_t end = now_ms() + 3000; __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < wanted;) {
        if (now_ms() > end)
            return false;
        sched_spin(&spins);
    }
    return true;
}

static uint64_t meeting; /* atomic: the round that both sides are in */
static uint64_t owned;   /* atomic: the last round in which the CPU was taken */
static bool meeting_over;

static VOID NTAPI own_briefly(PVOID context)
{
    GROUP_AFFINITY affinity = {.Mask = 2}, before;
    KeSetSystemGroupAffinityThread(&affinity, &before);
    uint64_t seen = 0, random = 4;
    unsigned spins = 0;
    while (!__atomic_load_n(&meeting_over, __ATOMIC_ACQUIRE)) {
        uint64_t round = __atomic_load_n(&meeting, __ATOMIC_ACQUIRE);
        if (round == seen) {
            sched_spin(&spins);
            continue;
        }
        seen = round;
        KIRQL irql = KeRaiseIrqlToDpcLevel();
        __atomic_store_n(&owned, round, __ATOMIC_RELEASE);
        for (uint32_t delay = random_next(&random) % 64; delay != 0; delay--)
            __builtin_ia32_pause();
        KeLowerIrql(irql);
    }
    KeRevertToUserGroupAffinityThread(&before);
}

static void other_cpu(void)
{
    if (sched_cpu_count() < 2)
        return;
    KDPC dpc;
    PROCESSOR_NUMBER one = {.Number = 1};
    GROUP_AFFINITY affinity = {.Mask = 1}, before;
    uint64_t random = 8;
    bool ran = true;
    KeInitializeDpc(&dpc, arrive, NULL);
    EXPECT(KeSetTargetProcessorDpcEx(&dpc, &one) == STATUS_SUCCESS);
    KeSetSystemGroupAffinityThread(&affinity, &before);
    for (uint64_t i = 1; i <= 100 && ran; i++) {
        KIRQL irql = i % 2 == 0 ? KeRaiseIrqlToDpcLevel() : PASSIVE_LEVEL;
        ran = KeInsertQueueDpc(&dpc, NULL, NULL) && arrives(i);
        KeLowerIrql(irql);
    }
    EXPECT(ran);
    struct crew crew;
    arrived = 0;
    crew_start(&crew, 1, own_briefly, NULL);
    for (uint64_t round = 1; round <= 3000 * SCALE && ran; round++) {
        __atomic_store_n(&meeting, round, __ATOMIC_RELEASE);
        for (unsigned spins = 0; __atomic_load_n(&owned, __ATOMIC_ACQUIRE) != round;)
            sched_spin(&spins);
        for (uint32_t delay = random_next(&random) % 64; delay != 0; delay--)
            __builtin_ia32_pause();
        ran = KeInsertQueueDpc(&dpc, NULL, NULL) && arrives(round);
    }
    EXPECT(ran);
    __atomic_store_n(&meeting_over, true, __ATOMIC_RELEASE);
    crew_join(&crew);
    KeRevertToUserGroupAffinityThread(&before);
    KeRemoveQueueDpc(&dpc);
    KeFlushQueuedDpcs();
}

/* ---- DPCs that queue themselves ---- */

static unsigned requeues;

static VOID NTAPI requeue(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    if (__atomic_add_fetch(&requeues, 1, __ATOMIC_RELAXED) < 500)
        KeInsertQueueDpc(dpc, NULL, NULL);
}

static void self_requeue(void)
{
    static KDPC dpc;
    KeInitializeDpc(&dpc, requeue, NULL);
    KeInsertQueueDpc(&dpc, NULL, NULL);
    for (uint64_t end = now_ms() + 5000;
         __atomic_load_n(&requeues, __ATOMIC_RELAXED) < 500 && now_ms() < end;)
        sleep_ms(1);
    EXPECT(__atomic_load_n(&requeues, __ATOMIC_RELAXED) == 500);
    KeFlushQueuedDpcs();
}

/* ---- reclamation: a DPC on CPU n proves that sections which ran there have ended ---- */

static int *shared;
static bool readers_stop;

static VOID NTAPI reader(PVOID context)
{
    uint64_t bad = 0;
    while (!__atomic_load_n(&readers_stop, __ATOMIC_RELAXED)) {
        KIRQL irql = KeRaiseIrqlToDpcLevel();
        int *seen = __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
        for (unsigned i = 0; i < 20; i++)
            bad += *(volatile int *)seen != 42;
        KeLowerIrql(irql);
    }
    EXPECT(bad == 0);
}

static void reclamation(void)
{
    static int cells[2] = {42, 42};
    shared = &cells[0];
    struct crew crew;
    crew_start(&crew, 2, reader, NULL);
    for (unsigned round = 0; round < 300; round++) {
        int *old = shared, *fresh = &cells[(round + 1) % 2];
        *fresh = 42;
        __atomic_store_n(&shared, fresh, __ATOMIC_SEQ_CST);
        KeFlushQueuedDpcs(); /* visits each CPU: the grace period */
        *old = 0;            /* plain write: a reader that is still there is a race */
    }
    __atomic_store_n(&readers_stop, true, __ATOMIC_RELAXED);
    crew_join(&crew);
}

void test_dpc(void)
{
    lowering();
    other_cpu();
    race();
    self_requeue();
    reclamation();
    EXPECT(host_count_read(HOST_DPC).now == 0);
}
