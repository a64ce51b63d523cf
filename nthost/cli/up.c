/* `nthost up`, `down` and `list`: tunnels from configuration files (src/quick), served by this program. */
#include "cli.h"

#include "quick.h"
#include "say.h"
#include "sched/sched.h"
#include "state.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX (24 + 2 * RUN_KEYWORDS_MAX)

/* wyrm.sys beside this program. */
static bool default_driver(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0)
        return false;
    path[length] = 0;
    char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash + 1 - path) + sizeof "wyrm.sys" > size)
        return false;
    memcpy(slash + 1, "wyrm.sys", sizeof "wyrm.sys");
    return true;
}

/* `nthost run` with the options of `up`. */
static void run_arguments(const struct run_options *options, char *cpus, char *idle, char *seed, size_t size,
                          const char **argv)
{
    size_t count = 0;
    snprintf(cpus, size, "%u", options->cpus);
    snprintf(idle, size, "%d", options->idle_cpu);
    snprintf(seed, size, "%u", options->fault_seed);
    const char *fixed[] = {"/proc/self/exe", "run", options->driver, "--name", "%i",
                           "--cpus",         cpus,  "--ready-fd",    "3"};

    for (; count < sizeof fixed / sizeof *fixed; count++)
        argv[count] = fixed[count];
    if (options->idle_cpu != SCHED_IDLE_CPU_FIRST) {
        argv[count++] = "--idle-cpu";
        argv[count++] = options->idle_cpu == SCHED_IDLE_CPU_NONE ? "off" : idle;
    }
    if (options->verify)
        argv[count++] = "--verify";
    if (options->fault_seed) {
        argv[count++] = "--fault-seed";
        argv[count++] = seed;
    }
    if (options->trace)
        argv[count++] = "--trace";
    if (options->perf)
        argv[count++] = "--perf";
    if (options->no_offload)
        argv[count++] = "--no-offload";
    for (unsigned i = 0; i < options->keyword_count; i++) {
        argv[count++] = "--keyword";
        argv[count++] = options->keywords[i];
    }
    if (options->report) {
        argv[count++] = "--report";
        argv[count++] = options->report;
    }
    if (options->control_dir) {
        argv[count++] = "--control-dir";
        argv[count++] = options->control_dir;
    }
    argv[count] = NULL;
}

/* Its statuses are fewer than those of `wyrm`. */
static int status_of(enum quick_result result)
{
    return result == QUICK_DONE ? EXIT_DONE : EXIT_FAILED;
}

int command_up(int argc, char **argv)
{
    static struct run_options options;
    static char driver[PATH_MAX];
    const char *operand, *words[WORDS_MAX];
    char cpus[16], idle[16], seed[16], name[16];
    if (!run_options_parse("up", argc, argv, &options, &operand))
        return EXIT_USAGE;
    if (!operand) {
        cli_error("up wants a configuration: nthost up wg0.conf");
        return EXIT_USAGE;
    }
    if (!options.driver && default_driver(driver, sizeof driver))
        options.driver = driver;
    run_arguments(&options, cpus, idle, seed, sizeof cpus, words);
    struct quick_options quick = {.engine = words,
                                  .driver = options.driver ? options.driver : "wyrm.sys",
                                  .reports_ready = true,
                                  .control_dir = options.control_dir};
    return status_of(quick_up(&quick, operand, name));
}

int command_down(int argc, char **argv)
{
    struct quick_options quick = {0};
    char name[16];
    if (argc != 2 || argv[1][0] == '-') {
        cli_error("down wants one configuration or name: nthost down wg0");
        return EXIT_USAGE;
    }
    return status_of(quick_down(&quick, argv[1], name));
}

int command_list(int argc, char **argv)
{
    char **names;
    if (argc != 1) {
        cli_error("list takes no argument, not \"%s\"", argv[1]);
        return EXIT_USAGE;
    }
    size_t count = state_names(&names);
    for (size_t i = 0; i < count; i++) {
        struct state state;
        if (state_load(names[i], &state) == 0) {
            pid_t pid = state_process(&state);
            const char *config = state_find(&state, "config");
            if (pid)
                printf("%s\tup\tprocess %d\t%s\n", names[i], (int)pid, config ? config : "");
            else
                printf("%s\tdead\t`nthost down %s` cleans up\t%s\n", names[i], names[i],
                       config ? config : "");
            state_free(&state);
        }
        free(names[i]);
    }
    free(names);
    return EXIT_DONE;
}
