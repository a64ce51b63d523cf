/* sim_host DRIVER.sys | sim_host rule NAME: the simulated host's memory and adapters, on simulated threads.
 */
#include "check.h"
#include "host.h"
#include "host_test.h"
#include "sched/sched.h"
#include "sched/sim.h"
#include "sim/edges.h"
#include "verify/verify.h"

static const char *rule, *image;

static void run_tests(void *unused)
{
    if (rule) {
        break_memory_rule(rule);
        fprintf(stderr, "rule %s: not reported\n", rule);
    } else {
        test_memory(image);
        test_faults();
        test_sim_adapters();
        CHECK(host_count_report_leaks() == 0);
    }
    loop_stop();
}

int main(int argc, char **argv)
{
    struct sim_settings settings = {.seed = 42, .switch_rate = 4096, .import_cost_ns = 100};
    struct sched_thread *thread;

    rule = argc > 2 && strcmp(argv[1], "rule") == 0 ? argv[2] : NULL;
    image = argc > 1 ? argv[1] : NULL;
    host_options.verify = true;
    host_options.cpus = 2;
    sim_start(&settings);
    sim_edges_use();
    sched_initialize(2);
    sched_thread_adopt("loop");
    verify_start();
    thread = sched_thread_create("scenario", run_tests, NULL);
    loop_run();
    sched_thread_join(thread);
    verify_finish();
    sched_shutdown();
    return rule ? 0 : check_summary();
}
