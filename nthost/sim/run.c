/* A simulated run: the machine is drawn from the seed, the driver is loaded, the scenario runs on a thread of
 * its own beside the event loop, and at the end the same checks as after any unload apply. */
#include "sim/run_internal.h"

#include "host.h"
#include "imports/imports.h"
#include "io/driver.h"
#include "loader/image.h"
#include "sched/sched.h"
#include "sched/sim.h"
#include "sim/edges.h"
#include "verify/verify.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define STACK_SHOWN     24u
#define REPORT_LIMIT    20u /* seconds for the report of a run that does not end */
#define IMPORT_PATIENCE 3u  /* seconds until a driver that computes must call an import */

static struct {
    const struct sim_run *options;
    struct sim_result *result;
    struct driver *driver;
    uint64_t start_ns;
} run;

/* ---- log and failure ---- */

double run_seconds(void)
{
    return (double)(sim_time_ns() - run.start_ns) / 1e9;
}

static void log_append(const char *text, size_t length)
{
    struct sim_result *result = run.result;
    for (size_t i = 0; i < length; i++)
        result->log[(result->log_bytes + i) % SIM_LOG_BYTES] = text[i];
    result->log_bytes += length;
}

__attribute__((format(printf, 1, 0))) static void log_line(const char *format, va_list arguments)
{
    char line[1024];
    int prefix = snprintf(line, sizeof line, "[%14.6f] ", run_seconds());
    int length = vsnprintf(line + prefix, sizeof line - (size_t)prefix - 1, format, arguments);
    size_t end = (size_t)prefix + (length > 0 ? (size_t)length : 0);
    if (end > sizeof line - 2)
        end = sizeof line - 2;
    line[end++] = '\n';
    if (!run.options->trace) {
        log_append(line, end);
        return;
    }
    for (size_t at = 0; at < end;) {
        ssize_t written = write(STDERR_FILENO, line + at, end - at);
        if (written <= 0)
            break;
        at += (size_t)written;
    }
}

void run_log(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_line(format, arguments);
    va_end(arguments);
}

static void result_fill(void)
{
    struct sim_result *result = run.result;
    result->virtual_ns = sim_time_ns() - run.start_ns;
    result->hash = sim_hash();
    result->switches = sim_switches();
    result->datagrams = sim_network_counts().sent;
    result->imports = 0;
    for (unsigned i = 0; i < import_table_count; i++)
        result->imports += import_calls(i);
}

void run_fail(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    run_log("FAILED: %s", text);
    host_warn("simulation: the scenario failed at %.6f s: %s", run_seconds(), text);
    result_fill();
    _exit(SIM_EXIT_SCENARIO);
}

/* ---- a run that does not end ---- */

static void describe(const char *thread, const char *state)
{
    uint64_t frames[STACK_SHOWN];
    const struct import_entry *import = import_current();
    unsigned count = import_driver_stack(frames, STACK_SHOWN);
    fprintf(stderr, "  thread \"%s\" %s%s%s\n", thread, state, import ? " in " : "",
            import ? import->name : "");
    image_print_stack(stderr, frames, count);
    fflush(stderr);
}

static void stuck(const char *thread, const char *state)
{
    result_fill();
    describe(thread, state);
}

_Noreturn static void limit_report(void)
{
    describe("the one that runs", "goes on");
    result_fill();
    _exit(SIM_EXIT_LIMIT);
}

/* The driver's stack is known where it calls an import; a loop without any is found by a second signal. */
static void limit_reached(int number)
{
    static bool second;
    struct itimerval patience = {.it_value.tv_sec = IMPORT_PATIENCE};
    (void)number;
    if (second)
        limit_report();
    second = true;
    signal(SIGALRM, SIG_DFL);
    alarm(REPORT_LIMIT);
    host_warn("simulation: no end after %u s of processor time; virtual time %.6f s, %llu switches",
              run.options->limit_seconds, run_seconds(), (unsigned long long)sim_switches());
    sim_interrupt(limit_report);
    setitimer(ITIMER_PROF, &patience, NULL);
}

static void limit_start(unsigned seconds)
{
    struct sigaction action = {.sa_handler = limit_reached, .sa_flags = SA_ONSTACK};
    struct itimerval limit = {.it_value.tv_sec = (time_t)seconds};
    sigemptyset(&action.sa_mask);
    sigaction(SIGPROF, &action, NULL);
    if (seconds)
        setitimer(ITIMER_PROF, &limit, NULL);
}

/* ---- the machine ---- */

/* Its own generator: what is drawn here does not shift the streams of the run. */
static uint32_t draw(uint64_t *state, uint32_t choices)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*state >> 33) % choices;
}

static void machine_start(void)
{
    static const uint32_t rates[] = {0, 64, 655, 3277, 9830, 32768};
    static const uint32_t costs[] = {20, 100, 250, 1000, 5000};
    static const unsigned processors[] = {1, 1, 2, 2, 2, 3, 4, 4, 4, 8, 64};
    const struct sim_run *options = run.options;
    uint64_t state = options->seed ^ 0x5deece66dull;
    for (unsigned i = 0; i < 4; i++) /* neighbouring seeds part */
        state = (state ^ (state >> 29)) * 0xbf58476d1ce4e5b9ull;
    struct sim_settings settings = {.seed = options->seed, .stall_ns = options->stall_ns};
    settings.switch_rate = rates[draw(&state, sizeof rates / sizeof *rates)];
    settings.import_cost_ns = costs[draw(&state, sizeof costs / sizeof *costs)];
    unsigned cpus = processors[draw(&state, sizeof processors / sizeof *processors)];
    if (options->cpus)
        cpus = options->cpus;
    run.result->cpus = cpus;
    run.result->switch_rate = settings.switch_rate;
    run.result->import_cost_ns = settings.import_cost_ns;
    host_options.verify = true;
    host_options.cpus = cpus;
    host_options.trace = options->trace;
    sim_start(&settings);
    run.start_ns = sim_time_ns();
    sim_set_describe(stuck);
    sim_edges_use();
    sched_initialize(cpus);
    sched_thread_adopt("loop");
    verify_start();
    limit_start(options->limit_seconds);
}

/* ---- the scenario's thread ---- */

static void scenario_thread(void *context)
{
    static struct sim sim; /* the scenario may keep its address */
    static char error[8192];
    const struct sim_run *options = run.options;
    if (!driver_load(options->driver, &run.driver, error, sizeof error)) {
        host_warn("the driver was not loaded: %s", error);
        _exit(1);
    }
    api_set_driver(run.driver);
    api_fill(&sim);
    sim.seed = options->seed;
    sim.stall_ns = options->stall_ns;
    sim.argc = options->argc;
    sim.argv = options->argv;
    options->scenario(&sim);
    api_finish();
    if (!driver_stop(run.driver)) {
        host_warn("%s: the driver has no DriverUnload", options->driver);
        _exit(1);
    }
    loop_stop();
}

int sim_run(const struct sim_run *options)
{
    run.options = options;
    run.result = options->result;
    machine_start();
    struct sched_thread *thread = sched_thread_create("scenario", scenario_thread, NULL);
    if (!thread)
        host_fatal("no memory for the scenario's thread");
    loop_run();
    sched_thread_join(thread);
    result_fill();
    verify_finish();
    if (host_count_report_leaks())
        _exit(SIM_EXIT_LEFT);
    run.result->finished = true;
    return 0;
}
