/* `nthost sim`: a driver and a scenario, over and over with other seeds, each in a process of its own (so
 * that each begins from the same state and a crash is one run's).  The seed decides everything: printed with
 * a failure, it is the way to see it again. */
#include "cli.h"

#include "sim/run.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX       64u
#define FAILURES_SHOWN 20u /* then no more seeds are started */
#define SHOWN_BYTES    (16u * 1024)
#define SHOWN_LOG      (4u * 1024)
#define LIMIT_SECONDS  300u
#define REAL_FACTOR    10u /* a run that waits instead of computing is ended after so many limits */
#define FIXED_MARK     "NTHOST_SIM_FIXED"
#define NS_PER_HOUR    3600e9
#define PROGRESS_NS    500000000ull

struct sim_options {
    const char *program, *driver, *scenario;
    uint64_t first, seeds;             /* seeds from `first` on */
    double hours;                      /* 0: no such end */
    unsigned jobs, cpus, limit, stall; /* stall: ms */
    bool one, trace, hash;
    int argc;
    char **argv; /* of the scenario */
    void (*main)(const struct sim *sim);
};

struct job {
    pid_t child; /* 0: free */
    uint64_t seed;
    int output; /* memfd: what the child wrote to stderr */
    struct sim_result *result;
};

struct totals {
    uint64_t runs, failures, switches, imports, datagrams;
    double hours;
    uint64_t started_ns, shown_ns;
    uint64_t failed[FAILURES_SHOWN];
};

/* ---- options ---- */

enum {
    WORD_SCENARIO = 256,
    WORD_SEED,
    WORD_SEEDS,
    WORD_FIRST,
    WORD_JOBS,
    WORD_HOURS,
    WORD_LIMIT,
    WORD_CPUS,
    WORD_STALL,
    WORD_TRACE,
    WORD_HASH
};

static const struct option words[] = {{"scenario", required_argument, NULL, WORD_SCENARIO},
                                      {"seed", required_argument, NULL, WORD_SEED},
                                      {"seeds", required_argument, NULL, WORD_SEEDS},
                                      {"first", required_argument, NULL, WORD_FIRST},
                                      {"jobs", required_argument, NULL, WORD_JOBS},
                                      {"hours", required_argument, NULL, WORD_HOURS},
                                      {"limit", required_argument, NULL, WORD_LIMIT},
                                      {"cpus", required_argument, NULL, WORD_CPUS},
                                      {"stall", required_argument, NULL, WORD_STALL},
                                      {"trace", no_argument, NULL, WORD_TRACE},
                                      {"hash", no_argument, NULL, WORD_HASH},
                                      {NULL, 0, NULL, 0}};

static bool number(const char *option, uint64_t minimum, uint64_t maximum, uint64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoull(optarg, &end, 0);
    if (*optarg >= '0' && *optarg <= '9' && !*end && !errno && *value >= minimum && *value <= maximum)
        return true;
    cli_error("--%s %s: want a number from %" PRIu64 " to %" PRIu64, option, optarg, minimum, maximum);
    return false;
}

static bool take(struct sim_options *options, int word)
{
    uint64_t value = 0;
    char *end;
    bool good = true;
    switch (word) {
    case WORD_SCENARIO:
        options->scenario = optarg;
        break;
    case WORD_SEED:
        options->one = true;
        options->seeds = 1;
        return number("seed", 0, UINT64_MAX, &options->first);
    case WORD_SEEDS:
        return number("seeds", 1, UINT64_MAX, &options->seeds);
    case WORD_FIRST:
        return number("first", 0, UINT64_MAX, &options->first);
    case WORD_JOBS:
        good = number("jobs", 1, JOBS_MAX, &value);
        options->jobs = (unsigned)value;
        break;
    case WORD_LIMIT:
        good = number("limit", 0, 1000000, &value);
        options->limit = (unsigned)value;
        break;
    case WORD_CPUS:
        good = number("cpus", 1, 64, &value);
        options->cpus = (unsigned)value;
        break;
    case WORD_STALL:
        good = number("stall", 0, 1000000, &value);
        options->stall = (unsigned)value;
        break;
    case WORD_HOURS:
        options->hours = strtod(optarg, &end);
        good = *end == 0 && options->hours > 0;
        if (!good)
            cli_error("--hours %s: want a number of virtual hours", optarg);
        break;
    case WORD_TRACE:
        options->trace = true;
        break;
    default:
        options->hash = true;
        break;
    }
    return good;
}

static bool parse(int argc, char **argv, struct sim_options *options)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    *options = (struct sim_options){.first = 1, .limit = LIMIT_SECONDS};
    options->jobs = processors<1 ? 1 : processors>(long) JOBS_MAX ? JOBS_MAX : (unsigned)processors;
    int own = argc; /* what follows "--" is the scenario's */
    for (int i = 1; i < argc && own == argc; i++)
        if (!strcmp(argv[i], "--"))
            own = i;
    optind = 0;
    opterr = 0;
    for (;;) {
        int at = optind ? optind : 1;
        int word = getopt_long(own, argv, "-:", words, NULL);
        if (word == -1)
            break;
        if (word == 1 && !options->driver) {
            options->driver = optarg;
        } else if (word == 1) {
            cli_error("sim takes one driver, not also \"%s\"", optarg);
            return false;
        } else if (word == ':' || word == '?') {
            cli_error(word == ':' ? "option %s needs a value: see `nthost --help`"
                                  : "sim has no option \"%s\": see `nthost --help`",
                      argv[at]);
            return false;
        } else if (!take(options, word)) {
            return false;
        }
    }
    if (!options->driver || !options->scenario) {
        cli_error("sim wants a driver and a scenario: nthost sim FILE.sys --scenario FILE.so");
        return false;
    }
    if (!options->seeds)
        options->seeds = options->hours > 0 ? UINT64_MAX : 1;
    if (options->trace && options->seeds != 1) {
        cli_error("--trace shows one run: give --seed N");
        return false;
    }
    if (own < argc) {
        options->argc = argc - own - 1;
        options->argv = argv + own + 1;
    }
    return true;
}

/* ---- the same addresses in every process ---- */

/* The driver orders things by address (locks, hashes), so a run is the same again only at the same addresses.
 * A container may forbid the change of personality; a run is then the same only within this process. */
static bool addresses_fixed(char **argv)
{
    int now = personality(0xffffffff);
    if (now >= 0 && (now & ADDR_NO_RANDOMIZE))
        return true;
    if (getenv(FIXED_MARK) || now < 0 || personality((unsigned long)now | ADDR_NO_RANDOMIZE) < 0)
        return false;
    setenv(FIXED_MARK, "1", 1);
    execv("/proc/self/exe", argv);
    return false;
}

static bool scenario_load(struct sim_options *options)
{
    char path[PATH_MAX];
    if (!realpath(options->scenario, path)) {
        cli_error("%s: %s: name the scenario's shared object", options->scenario, strerror(errno));
        return false;
    }
    if (access(options->driver, R_OK) < 0) {
        cli_error("%s: %s: name the driver's .sys file", options->driver, strerror(errno));
        return false;
    }
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    void *entry = object ? dlsym(object, "scenario_main") : NULL;
    if (!entry) {
        cli_error("%s", dlerror());
        return false;
    }
    memcpy(&options->main, &entry, sizeof entry);
    return true;
}

/* ---- one run ---- */

_Noreturn static void child_main(const struct sim_options *options, const struct job *job)
{
    struct sim_run run = {.driver = options->driver,
                          .scenario = options->main,
                          .seed = job->seed,
                          .argc = options->argc,
                          .argv = options->argv,
                          .cpus = options->cpus,
                          .limit_seconds = options->limit,
                          .stall_ns = options->stall * 1000000ull,
                          .trace = options->trace,
                          .result = job->result};
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!options->one) {
        dup2(job->output, STDERR_FILENO);
        dup2(job->output, STDOUT_FILENO);
    }
    alarm(options->limit * REAL_FACTOR);
    int status = sim_run(&run);
    fflush(NULL);
    _exit(status);
}

static bool job_start(const struct sim_options *options, struct job *job, uint64_t seed)
{
    job->seed = seed;
    if (ftruncate(job->output, 0) < 0 || lseek(job->output, 0, SEEK_SET) < 0)
        return false;
    size_t log = offsetof(struct sim_result, log);
    memset(job->result, 0, log); /* what is behind log_bytes is not looked at */
    fflush(NULL);
    job->child = fork();
    if (job->child == 0)
        child_main(options, job);
    return job->child > 0;
}

static const char *verdict(int status, const struct sim_result *result, char *text, size_t size)
{
    if (WIFSIGNALED(status)) {
        snprintf(text, size, "crashed: %s", strsignal(WTERMSIG(status)));
        return text;
    }
    switch (WEXITSTATUS(status)) {
    case 0:
        return result->finished ? NULL : "the process ended early";
    case 70:
        return "a rule is broken";
    case 71:
        return "deadlock";
    case SIM_EXIT_SCENARIO:
        return "the scenario failed";
    case SIM_EXIT_LIMIT:
        return "no end within the limit";
    case SIM_EXIT_LEFT:
        return "the driver left something behind";
    default:
        snprintf(text, size, "exit status %d", WEXITSTATUS(status));
        return text;
    }
}

static void show_output(const struct job *job)
{
    char buffer[SHOWN_BYTES];
    ssize_t length = pread(job->output, buffer, sizeof buffer, 0);
    if (length > 0)
        fwrite(buffer, 1, (size_t)length, stdout);
    if (length == (ssize_t)sizeof buffer)
        puts("...");
}

/* The end of it, from the beginning of a line on. */
static void show_log(const struct job *job, uint64_t most)
{
    const struct sim_result *result = job->result;
    uint64_t length = result->log_bytes < most ? result->log_bytes : most;
    if (length > SIM_LOG_BYTES)
        length = SIM_LOG_BYTES;
    if (!length)
        return;
    uint64_t at = result->log_bytes - length;
    if (at > 0)
        while (at < result->log_bytes && result->log[at++ % SIM_LOG_BYTES] != '\n')
            ;
    puts(at > 0 ? "  the end of the log:" : "  the log:");
    for (; at < result->log_bytes; at++)
        putchar(result->log[at % SIM_LOG_BYTES]);
}

static void show_how_to_repeat(const struct sim_options *options, uint64_t seed)
{
    printf("  again: %s sim %s --scenario %s --seed %" PRIu64, options->program, options->driver,
           options->scenario, seed);
    if (options->cpus)
        printf(" --cpus %u", options->cpus);
    if (options->stall)
        printf(" --stall %u", options->stall);
    if (options->argc)
        printf(" --");
    for (int i = 0; i < options->argc; i++)
        printf(" %s", options->argv[i]);
    putchar('\n');
}

static void progress_clear(const struct totals *totals)
{
    if (totals->shown_ns && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static void job_ended(const struct sim_options *options, struct job *job, int status, struct totals *totals)
{
    char text[96];
    const struct sim_result *result = job->result;
    const char *failure = verdict(status, result, text, sizeof text);
    job->child = 0;
    totals->runs++;
    totals->hours += (double)result->virtual_ns / NS_PER_HOUR;
    totals->switches += result->switches;
    totals->imports += result->imports;
    totals->datagrams += result->datagrams;
    if (failure || options->hash || options->one)
        progress_clear(totals);
    if (options->hash || options->one)
        printf("seed %" PRIu64 " hash %016" PRIx64 " virtual %.6f s, %" PRIu64 " imports, %" PRIu64
               " switches, %" PRIu64 " datagrams; %u processors, switch rate %.3f, import %u ns\n",
               job->seed, result->hash, (double)result->virtual_ns / 1e9, result->imports, result->switches,
               result->datagrams, result->cpus, result->switch_rate / 65536.0, result->import_cost_ns);
    if (failure) {
        printf("seed %" PRIu64 " FAILED: %s\n", job->seed, failure);
        if (!options->one)
            show_output(job);
        if (!options->trace)
            show_log(job, options->one ? SIM_LOG_BYTES : SHOWN_LOG);
        if (!options->one)
            show_how_to_repeat(options, job->seed);
        if (totals->failures < FAILURES_SHOWN)
            totals->failed[totals->failures] = job->seed;
        totals->failures++;
    }
    fflush(stdout);
}

/* ---- all of them ---- */

static uint64_t real_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void progress(const struct sim_options *options, struct totals *totals)
{
    uint64_t now = real_ns();
    if (options->one || !isatty(STDERR_FILENO) || now - totals->shown_ns < PROGRESS_NS)
        return;
    totals->shown_ns = now;
    fprintf(stderr, "\r%" PRIu64 " runs, %.1f virtual hours, %" PRIu64 " failed, %.0f s\033[K", totals->runs,
            totals->hours, totals->failures, (double)(now - totals->started_ns) / 1e9);
}

static bool more(const struct sim_options *options, const struct totals *totals, uint64_t started)
{
    return started < options->seeds && totals->failures < FAILURES_SHOWN &&
           (options->hours <= 0 || totals->hours < options->hours);
}

static bool run_all(const struct sim_options *options, struct job *jobs, struct totals *totals)
{
    uint64_t started = 0;
    unsigned active = 0;
    for (;;) {
        for (unsigned i = 0; i < options->jobs && more(options, totals, started); i++) {
            if (jobs[i].child)
                continue;
            if (!job_start(options, &jobs[i], options->first + started)) {
                cli_error("cannot start a run: %s", strerror(errno));
                return false;
            }
            started++;
            active++;
        }
        if (!active)
            return true;
        int status;
        pid_t ended = waitpid(-1, &status, 0);
        for (unsigned i = 0; i < options->jobs; i++) {
            if (ended > 0 && jobs[i].child == ended) {
                job_ended(options, &jobs[i], status, totals);
                active--;
            }
        }
        progress(options, totals);
    }
}

static void summary(const struct sim_options *options, const struct totals *totals)
{
    double real = (double)(real_ns() - totals->started_ns) / 1e9;
    printf("%" PRIu64 " runs from seed %" PRIu64 " on: %.2f virtual hours in %.1f s, %" PRIu64
           " imports, %" PRIu64 " switches, %" PRIu64 " datagrams; %" PRIu64 " failed\n",
           totals->runs, options->first, totals->hours, real, totals->imports, totals->switches,
           totals->datagrams, totals->failures);
    if (!totals->failures)
        return;
    printf("failed seeds:");
    for (uint64_t i = 0; i < totals->failures && i < FAILURES_SHOWN; i++)
        printf(" %" PRIu64, totals->failed[i]);
    putchar('\n');
    if (totals->failures >= FAILURES_SHOWN)
        printf("ended after %u failures\n", FAILURES_SHOWN);
}

static bool jobs_make(struct sim_options *options, struct job *jobs)
{
    if (options->one)
        options->jobs = 1;
    for (unsigned i = 0; i < options->jobs; i++) {
        jobs[i].output = memfd_create("output", MFD_CLOEXEC);
        jobs[i].result =
            mmap(NULL, sizeof *jobs[i].result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (jobs[i].output < 0 || jobs[i].result == MAP_FAILED) {
            cli_error("cannot start: %s", strerror(errno));
            return false;
        }
    }
    return true;
}

int command_sim(int argc, char **argv)
{
    static struct job jobs[JOBS_MAX];
    struct sim_options options;
    struct totals totals = {.started_ns = real_ns()};
    if (!parse(argc, argv, &options))
        return EXIT_USAGE;
    options.program = argv[-1]; /* cli_main() gives the words after the program's name */
    if (!addresses_fixed(argv - 1) && options.hash)
        cli_error(
            "the system does not let addresses be fixed: a hash may differ from that of other processes");
    if (!scenario_load(&options) || !jobs_make(&options, jobs))
        return EXIT_FAILED;
    bool ran = run_all(&options, jobs, &totals);
    progress_clear(&totals);
    if (!options.one)
        summary(&options, &totals);
    return ran && !totals.failures ? EXIT_DONE : EXIT_FAILED;
}
