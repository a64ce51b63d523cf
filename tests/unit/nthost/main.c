/* Runs the tests of the kernel core on several virtual CPUs: those that need the loop's own thread there, the
 * others on a system thread while the loop is served.  `kernel_core CPUS [measure | verify]`. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

static bool measure;

static void timed(const char *name, void (*test)(void))
{
    uint64_t start = now_ms();
    test();
    EXPECT(KeGetCurrentIrql() == PASSIVE_LEVEL);
    printf("%-12s %5llu ms\n", name, (unsigned long long)(now_ms() - start));
}

static VOID NTAPI run_tests(PVOID context)
{
    timed("irql", test_irql);
    timed("locks", test_locks);
    timed("dpc", test_dpc);
    timed("wait", test_wait);
    timed("wait races", test_wait_races);
    timed("timer", test_timer);
    timed("ex", test_ex);
    timed("threads", test_threads);
    timed("loop", test_loop_other);
    timed("idle cpu", test_idle_cpu);
    if (host_options.verify)
        timed("verify hooks", test_verify_hooks);
    else
        timed("no hooks", test_no_hooks);
    if (measure)
        measure_costs();
    loop_stop();
}

int main(int argc, char **argv)
{
    unsigned cpus = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 2;
    measure = argc > 2 && strcmp(argv[2], "measure") == 0;
    host_options.verify = argc > 2 && strcmp(argv[2], "verify") == 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("%u virtual CPUs\n", cpus);
    host_options.cpus = cpus;
    sched_initialize(cpus);
    test_loop();
    test_idle_cpu_choice();
    struct crew crew;
    crew_start(&crew, 1, run_tests, NULL);
    loop_run();
    crew_join(&crew);
    sched_shutdown();
    for (unsigned kind = 0; kind < HOST_OBJECT_KINDS; kind++)
        EXPECT(host_count_read(kind).now == 0);
    EXPECT(host_count_report_leaks() == 0);
    return expect_summary();
}
