/* The program: `wyrm-engine [--foreground] NAME` (docs/engine.md). */
#include "control.h"
#include "crypto/cpu_features.h"
#include "crypto/self_test.h"
#include "crypto/x25519_batch.h"
#include "engine.h"
#include "sched/sched.h"
#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

static const char usage[] =
    "usage: wyrm-engine [--foreground] [--verbose] NAME\n"
    "\n"
    "Makes the network interface NAME and serves WireGuard on it, in user space. It is configured like any "
    "other:\n"
    "  wg set NAME ...; ip address add ... dev NAME; ip link set NAME up\n"
    "or at once: WG_QUICK_USERSPACE_IMPLEMENTATION=wyrm-engine wg-quick up NAME\n"
    "It ends when the interface is deleted (ip link del NAME), or with SIGTERM, and takes the interface with "
    "it.\n"
    "\n"
    "  -f, --foreground  stay in the foreground (also: WG_PROCESS_FOREGROUND=1)\n"
    "  -v, --verbose     say what handshakes do; messages go to stderr, of a background process to syslog\n"
    "  -h, --help        this text\n"
    "      --version     the version\n"
    "\n"
    "Exit status: 0 ended as asked, 1 the interface could not be made or served, 2 wrong arguments.\n";

struct options {
    bool foreground;
    const char *name;
};

/* Status to end with, or -1. */
static int parse(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {{"foreground", no_argument, NULL, 'f'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {0}};
    const char *wanted = getenv("WG_PROCESS_FOREGROUND");
    options->foreground = wanted && strcmp(wanted, "1") == 0;
    for (int option; (option = getopt_long(argc, argv, "fvh", table, NULL)) != -1;) {
        switch (option) {
        case 'f':
            options->foreground = true;
            break;
        case 'v':
            log_verbose = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return STATUS_OK;
        case 'V':
            puts("wyrm-engine " WYRM_VERSION);
            return STATUS_OK;
        default:
            fputs("wyrm-engine --help says what there is\n", stderr);
            return STATUS_USAGE;
        }
    }
    if (argc - optind != 1) {
        fputs(argc == optind ? "wyrm-engine: the name of the interface is missing\n"
                             : "wyrm-engine: one interface a process: give one name\n",
              stderr);
        return STATUS_USAGE;
    }
    options->name = argv[optind];
    if (!*options->name || strlen(options->name) > 15 || strpbrk(options->name, "/: \t\n") ||
        strcmp(options->name, ".") == 0 || strcmp(options->name, "..") == 0) {
        fprintf(stderr,
                "wyrm-engine: \"%s\" cannot be an interface's name: 1 to 15 bytes, no space, '/' or ':'\n",
                options->name);
        return STATUS_USAGE;
    }
    return -1;
}

/* Allows crypto all that the processor has, and proves it; else the baseline. */
static bool choose_crypto(void)
{
    static struct aead_workspace workspace;
    uint32_t features = cpu_features_detect();
    cpu_features_use(features);
    x25519_batch_use(features);
    const char *failed = crypto_self_test(&workspace);
    if (failed) {
        log_error("%s computes wrongly on this processor: the engine does not start", failed);
        return false;
    }
    return true;
}

static void stop(int number)
{
    loop_stop();
}

static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = stop}, ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* The parent leaves when the child serves, with its status when it could not.  Returns the descriptor to be
 * closed then; -1: an error. */
static int go_to_background(void)
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid_t child = fork();
    if (child < 0)
        return -1;
    if (child == 0) {
        close(ends[0]);
        setsid();
        return ends[1];
    }
    close(ends[1]);
    char ready;
    ssize_t got;
    do {
        got = read(ends[0], &ready, 1);
    } while (got < 0 && errno == EINTR);
    if (got == 1)
        _exit(STATUS_OK);
    _exit(waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_FAILED);
}

static void detach(int ready)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    log_detached();
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
    if (chdir("/") != 0)
        log_error("cannot leave the working directory: %s", strerror(errno));
    if (write(ready, "r", 1) != 1)
        log_error("who started this does not wait any more");
    close(ready);
}

static int serve(const struct options *options, int ready)
{
    struct engine engine;
    struct front *front;
    char error[256];
    int result = loop_open();
    if (result) {
        log_error("cannot make an event loop: %s", strerror(-result));
        return STATUS_FAILED;
    }
    catch_signals();
    if (engine_create(&engine, options->name, error, sizeof(error))) {
        log_error("%s", error);
        return STATUS_FAILED;
    }
    result = control_open(&engine, options->name, &front, error, sizeof(error));
    if (result) {
        log_error("%s", error);
        engine_destroy(&engine);
        return STATUS_FAILED;
    }
    if (ready >= 0)
        detach(ready);
    loop_run();
    control_close(front);
    engine_destroy(&engine);
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    int status = parse(argc, argv, &options), ready = -1;
    if (status >= 0)
        return status;
    if (!options.foreground && (ready = go_to_background()) < 0) {
        log_error("cannot go to the background: %s", strerror(errno));
        return STATUS_FAILED;
    }
    system_protect_memory();
    return choose_crypto() ? serve(&options, ready) : STATUS_FAILED;
}
