/* One simulated run in this process, from DriverEntry to unload, and what it leaves for the parent process
 * (which may see it in shared memory while the run goes on, or after it crashed). */
#pragma once

#include "sim/scenario.h"

#define SIM_LOG_BYTES (256u * 1024)

/* Exit statuses of a run, besides 0, 1 (set-up), 70 (a rule is broken) and 71 (SIM_EXIT_STUCK). */
enum { SIM_EXIT_SCENARIO = 72, SIM_EXIT_LIMIT = 73, SIM_EXIT_LEFT = 74 };

struct sim_result {
    bool finished; /* the scenario returned and everything was taken down */
    uint64_t virtual_ns, hash, switches, imports, datagrams;
    unsigned cpus;
    uint32_t switch_rate, import_cost_ns;
    uint64_t log_bytes; /* ever written to `log`, which is a ring */
    char log[SIM_LOG_BYTES];
};

struct sim_run {
    const char *driver; /* the .sys file */
    void (*scenario)(const struct sim *sim);
    uint64_t seed;
    int argc;
    char **argv;
    unsigned cpus;          /* 0: from the seed */
    unsigned limit_seconds; /* of processor time */
    uint64_t stall_ns;      /* longest stop of a thread at an import; 0: none */
    bool trace;             /* the scenario's log goes to stderr as it comes; DbgPrint is shown */
    struct sim_result *result;
};

/* Does the run. Once per process.  Ends the process itself when the run fails, else returns 0. */
int sim_run(const struct sim_run *run);
