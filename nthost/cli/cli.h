/* The commands of the nthost program.  Each takes the arguments after its name and returns the exit status:
 * 0 done, 1 it failed (said why on stderr), 2 wrong usage, 3 the driver left something behind at unload. */
#pragma once

#include <stdbool.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LEAKED = 3 };

int cli_main(int argc, char **argv);

int command_run(int argc, char **argv);
int command_up(int argc, char **argv);
int command_down(int argc, char **argv);
int command_list(int argc, char **argv);
int command_sim(int argc, char **argv);

#define RUN_ADAPTERS_MAX 16
#define RUN_KEYWORDS_MAX 32

/* Options that `run` takes and `up` passes on. */
struct run_options {
    const char *driver;                  /* the .sys file */
    const char *names[RUN_ADAPTERS_MAX]; /* one adapter each */
    unsigned name_count;
    const char *keywords[RUN_KEYWORDS_MAX]; /* "NAME=NUMBER" each */
    unsigned keyword_count;
    const char *report;      /* file for reports and the final counters, or NULL */
    const char *control_dir; /* of NAME.sock and NAME.ctl; NULL = /var/run/wireguard */
    unsigned cpus;
    int idle_cpu;        /* or SCHED_IDLE_CPU_NONE, SCHED_IDLE_CPU_FIRST */
    unsigned mtu;        /* 0 = leave */
    unsigned fault_seed; /* 0 = no faults */
    int ready_fd;        /* -1 = none */
    bool verify, trace, perf, no_offload, down;
};

/* Reads the options and the one operand (into *operand). false: said on stderr what is wrong. */
bool run_options_parse(const char *command, int argc, char **argv, struct run_options *options,
                       const char **operand);

/* One line on stderr: "nthost: ..." and, for `hint`, what to do about it. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* false and said so: not root, or no /dev/net/tun. */
bool cli_check_privileges(void);
