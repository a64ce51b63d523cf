/* `nthost run`: one driver and its adapters, in the foreground.  The main thread becomes the event loop;
 * everything that may block (loading, initialising, pausing, unloading) happens on a control thread beside
 * it, as the PnP manager's worker would do it, so that the loop serves completions all the time. */
#include "cli.h"

#include "config.h"
#include "control/fronts.h"
#include "host.h"
#include "io/driver.h"
#include "io/file.h"
#include "loader/image.h"
#include "ndis/adapter.h"
#include "sched/sched.h"
#include "verify/verify.h"

#include <wyrm/control.h>

#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a driver answers to a control code that it does not know. */
#define STATUS_INVALID_DEVICE_REQUEST_VALUE ((int32_t)0xC0000010)

struct session {
    struct run_options options;
    int stop; /* eventfd: somebody wants the end */
    int status;
    struct driver *driver;
    struct ndis_adapter *adapters[RUN_ADAPTERS_MAX];
    struct front *wg[RUN_ADAPTERS_MAX], *raw[RUN_ADAPTERS_MAX];
    char name[RUN_ADAPTERS_MAX * IF_NAMESIZE]; /* of the adapters, for messages */
};

/* ---- stopping ---- */

static void *signal_main(void *argument)
{
    const struct session *session = argument;
    sigset_t set;
    int signal;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigwait(&set, &signal);
    host_info("%s: %s: pausing, halting and unloading the driver (again: end at once)", session->name,
              strsignal(signal));
    eventfd_write(session->stop, 1);
    sigwait(&set, &signal);
    host_warn("%s: %s again: ended without unloading the driver", session->name, strsignal(signal));
    _exit(128 + signal);
}

static int signals_start(struct session *session)
{
    sigset_t set;
    pthread_t thread;
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* inherited by every thread made after this */
    int error = pthread_create(&thread, NULL, signal_main, session);
    if (!error)
        pthread_detach(thread);
    return error;
}

/* ---- starting ---- */

/* Sets the adapter up as an administrator's tool would.  A driver without this control code is not an error:
 * other miniports come up by themselves. */
static void adapter_set_up(struct ndis_adapter *adapter)
{
    struct io_file *file;
    uint32_t verb = WYRM_ADAPTER_UP;
    uint64_t information = 0;
    int32_t status = io_file_open(ndis_adapter_device(adapter), &io_token_system, &file);
    if (status >= 0) {
        status = io_file_control(file, WYRM_IOCTL_STATE, &verb, sizeof verb, NULL, 0, &information);
        io_file_close(file);
    }
    if (status < 0 && status != STATUS_INVALID_DEVICE_REQUEST_VALUE)
        host_warn("%s: the driver did not set the adapter up (status 0x%08X)", ndis_adapter_name(adapter),
                  (unsigned)status);
}

static bool adapter_start(struct session *session, unsigned index)
{
    const struct run_options *options = &session->options;
    const char *name = options->names[index];
    struct ndis_adapter_options made = {name, options->mtu, options->no_offload};
    struct ndis_adapter **adapter = &session->adapters[index];
    char error[1024] = "";
    if (ndis_adapter_create(driver_object(session->driver), &made, adapter, error, sizeof error)) {
        cli_error("%s: the adapter was not made: %s", name, error);
        return false;
    }
    if (wg_front_open(*adapter, options->control_dir, &session->wg[index], error, sizeof error) ||
        raw_front_open(*adapter, options->control_dir, &session->raw[index], error, sizeof error)) {
        cli_error("%s: %s", name, error);
        return false;
    }
    if (!options->down)
        adapter_set_up(*adapter);
    return true;
}

static bool session_start(struct session *session)
{
    char error[8192] = ""; /* names every import that is missing */
    if (!driver_load(session->options.driver, &session->driver, error, sizeof error)) {
        cli_error("the driver was not loaded: %s", error);
        return false;
    }
    for (unsigned i = 0; i < session->options.name_count; i++)
        if (!adapter_start(session, i))
            return false;
    return true;
}

static void session_ready(const struct session *session)
{
    const struct run_options *options = &session->options;
    host_info("%s is ready: %s, %s mode, %u processor%s", session->name, options->driver,
              options->verify ? "verify" : "fast", options->cpus, options->cpus == 1 ? "" : "s");
    if (options->ready_fd >= 0) {
        static const char word[] = "ready\n";
        if (write(options->ready_fd, word, sizeof word - 1) < 0)
            host_warn("--ready-fd %d: %s", options->ready_fd, strerror(errno));
        close(options->ready_fd);
    }
}

/* Undoes what session_start() did, as far as it came. */
static void session_end(struct session *session)
{
    for (unsigned i = session->options.name_count; i-- > 0;) {
        front_close(session->wg[i]);
        front_close(session->raw[i]);
        if (session->adapters[i])
            ndis_adapter_destroy(session->adapters[i]);
    }
    if (session->driver && !driver_stop(session->driver)) {
        host_warn("%s: the driver has no DriverUnload and stays loaded", session->options.driver);
        session->status = EXIT_FAILED;
        session->driver = NULL; /* its code may run until the process ends */
    }
}

static void *control_main(void *argument)
{
    struct session *session = argument;
    eventfd_t ignored;
    sched_thread_adopt("control");
    if (session_start(session)) {
        session_ready(session);
        while (eventfd_read(session->stop, &ignored) < 0 && errno == EINTR)
            ;
        session->status = EXIT_DONE;
    }
    session_end(session);
    sched_thread_disown();
    loop_stop();
    return NULL;
}

/* ---- the end ---- */

static void write_counters(const char *path, unsigned leaks)
{
    FILE *file = fopen(path, "a");
    if (!file) {
        host_warn("--report %s: %s", path, strerror(errno));
        return;
    }
    fprintf(file, "counters at the end (kind, ever, now, most at one time)\n");
    for (unsigned kind = 0; kind < HOST_OBJECT_KINDS; kind++) {
        struct host_count count = host_count_read(kind);
        fprintf(file, "%-24s %llu %lld %lld\n", host_object_name(kind), (unsigned long long)count.total,
                (long long)count.now, (long long)count.peak);
    }
    fprintf(file, "%u kinds leaked\n", leaks);
    fclose(file);
}

static int session_report(const struct session *session)
{
    unsigned leaks = host_count_report_leaks();
    if (session->options.report)
        write_counters(session->options.report, leaks);
    if (leaks) {
        host_warn("%s: the driver left objects of %u kind%s behind", session->name, leaks,
                  leaks == 1 ? "" : "s");
        return session->status ? session->status : EXIT_LEAKED;
    }
    if (session->status == EXIT_DONE)
        host_info("%s: the driver is unloaded and left nothing behind", session->name);
    return session->status;
}

static bool check_before(const struct run_options *options)
{
    struct stat status;
    if (stat(options->driver, &status) < 0) {
        cli_error("%s: %s: name the driver's .sys file", options->driver, strerror(errno));
        return false;
    }
    if (!S_ISREG(status.st_mode)) {
        cli_error("%s is not a file: name the driver's .sys file", options->driver);
        return false;
    }
    if (!cli_check_privileges())
        return false;
    for (unsigned i = 0; i < options->name_count; i++) {
        const char *name = options->names[i];
        if (if_nametoindex(name)) {
            cli_error(
                "an interface named %s exists: choose another --name, or remove it (`ip link delete %s`)",
                name, name);
            return false;
        }
    }
    return true;
}

int command_run(int argc, char **argv)
{
    struct session session = {.status = EXIT_FAILED};
    pthread_t control;
    if (!run_options_parse("run", argc, argv, &session.options, &session.options.driver))
        return EXIT_USAGE;
    if (!session.options.driver || !session.options.name_count) {
        cli_error("run wants a driver and a name: nthost run FILE.sys --name wg0");
        return EXIT_USAGE;
    }
    if (!check_before(&session.options))
        return EXIT_FAILED;
    for (unsigned i = 0, at = 0; i < session.options.name_count; i++)
        at += (unsigned)snprintf(session.name + at, sizeof session.name - at, "%s%s", i ? "+" : "",
                                 session.options.names[i]);
    host_options.verify = session.options.verify;
    host_options.cpus = session.options.cpus;
    host_options.trace = session.options.trace;
    if (session.options.perf)
        image_enable_perf_map();
    host_options.fault_seed = session.options.fault_seed;
    host_options.report_file = session.options.report;
    for (unsigned i = 0; i < session.options.keyword_count; i++)
        ndis_keyword_set(session.options.keywords[i]);
    session.stop = eventfd(0, EFD_CLOEXEC);
    int error = session.stop < 0 ? errno : signals_start(&session);
    if (error) {
        cli_error("cannot start: %s", strerror(error));
        return EXIT_FAILED;
    }
    sched_initialize(session.options.cpus);
    sched_thread_adopt("loop");
    error = -sched_idle_cpu(session.options.idle_cpu);
    if (error)
        host_warn("--idle-cpu: %s: the event loop runs where the system's scheduler wants it",
                  strerror(error));
    verify_start();
    error = pthread_create(&control, NULL, control_main, &session);
    if (error) {
        cli_error("cannot start the control thread: %s", strerror(error));
        return EXIT_FAILED;
    }
    loop_run();
    pthread_join(control, NULL);
    verify_finish();
    int status = session_report(&session);
    if (session.driver)
        driver_free(session.driver); /* after the reports, which name its functions */
    sched_thread_disown();
    sched_shutdown();
    return status;
}
