/* The parts of sim_host. */
#pragma once

void test_memory(const char *image);
void test_faults(void);
void test_sim_adapters(void);
/* Breaks one rule on purpose; returns only if nothing noticed at once. */
void break_memory_rule(const char *rule);
