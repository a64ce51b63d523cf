/* The parts of the network test program; each runs on a thread of the scheduler while the main thread serves
 * the event loop, in a network namespace of its own. */
#pragma once

#include "check.h"

/* check.h counts per source file; each file hands its counts over when its part is done. */
extern uint64_t checks_passed, checks_failed, checks_skipped;

static inline void checks_hand_over(void)
{
    checks_passed += check_passed;
    checks_failed += check_failed;
    checks_skipped += check_skipped;
    check_passed = check_failed = check_skipped = 0;
}

void test_udp_edge(void);
void test_tun_edge(void);
void test_tun_flows(void);
void test_netlink_edge(void);
void test_wsk(void);
void test_wsk_offload(void); /* while registered (wsk_verbs.h) */
void test_mib(void);
void test_net_buffers(void);
void test_adapter(void);
void test_offload(void);
void test_two_adapters(void);
void measure(void);
/* Breaks one rule on purpose; returns only if nothing noticed. */
void break_rule(const char *rule);
void break_mib_rule(const char *rule);
void break_adapter_rule(const char *rule);
