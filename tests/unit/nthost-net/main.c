/* net_host [verify | rule NAME | measure]: edges, Winsock Kernel, IP helper and NDIS, in fast or verify mode.
 */
#include "check.h"
#include "host.h"
#include "linux_side.h"
#include "sched/sched.h"
#include "test_network.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <unistd.h>

static const char *mode, *rule;
uint64_t checks_passed, checks_failed, checks_skipped;

static void run_tests(void *unused)
{
    if (rule) {
        break_rule(rule);
        break_mib_rule(rule);
        if (strncmp(rule, "ndis-", 5) == 0)
            break_adapter_rule(rule);
        fprintf(stderr, "rule %s: not reported\n", rule);
    } else if (strcmp(mode, "measure") == 0) {
        measure();
    } else {
        test_udp_edge();
        test_tun_edge();
        test_tun_flows();
        test_netlink_edge();
        test_net_buffers();
        test_mib();
        test_wsk();
        test_adapter();
        test_offload();
        test_two_adapters();
        CHECK(host_count_report_leaks() == 0);
    }
    loop_stop();
}

int main(int argc, char **argv)
{
    struct sched_thread *thread;

    mode = argc > 1 ? argv[1] : "fast";
    rule = argc > 2 && strcmp(mode, "rule") == 0 ? argv[2] : NULL;
    if (geteuid() != 0 || !side_enter_namespace()) {
        CHECK_SKIP("a network namespace needs root");
        printf("0 passed, 0 failed, 1 skipped\n");
        return 0;
    }
    host_options.verify = strcmp(mode, "verify") == 0 || rule;
    host_options.cpus = 2;
    sched_initialize(2);
    sched_thread_adopt("loop");
    verify_start();
    thread = sched_thread_create("tests", run_tests, NULL);
    loop_run();
    sched_thread_join(thread);
    if (!rule)
        verify_finish();
    sched_shutdown();
    check_passed += checks_passed;
    check_failed += checks_failed;
    check_skipped += checks_skipped;
    return check_summary();
}
