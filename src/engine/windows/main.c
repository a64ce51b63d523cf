/* The program on Windows: `wyrm-engine.exe [--stdin] NAME` (docs/engine.md).  It stays in the foreground; a
 * service that starts it keeps a pipe to its standard input, whose end, by will or because the service died,
 * ends it. */
#include "control.h"
#include "crypto/cpu_features.h"
#include "crypto/self_test.h"
#include "crypto/x25519_batch.h"
#include "engine.h"
#include "sched/sched.h"
#include "system.h"
#include "wintun.h"

#include <process.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_NO_WINTUN = 3 };

static const char usage[] =
    "usage: wyrm-engine [--stdin] [--verbose] NAME\n"
    "\n"
    "Makes the network adapter NAME with wintun.dll and serves WireGuard on it, in user space.  It is "
    "configured "
    "through\n"
    "the named pipe \\\\.\\pipe\\ProtectedPrefix\\Administrators\\Wyrm\\NAME.  It ends with Ctrl+C and takes "
    "the "
    "adapter with it.\n"
    "\n"
    "      --stdin       write \"ready\" to the output once it serves, and end when the standard input ends\n"
    "  -f, --foreground  nothing: it always stays in the foreground\n"
    "  -v, --verbose     say what handshakes do\n"
    "  -h, --help        this text\n"
    "      --version     the version\n"
    "\n"
    "Exit status: 0 ended as asked, 1 the adapter could not be made or served, 2 wrong arguments, 3 no "
    "wintun.dll.\n";

struct options {
    bool watch_input;
    const char *name;
};

static bool is(const char *argument, const char *brief, const char *name)
{
    return strcmp(argument, name) == 0 || (brief && strcmp(argument, brief) == 0);
}

/* Letters that neither a pipe's name nor an adapter's may hold. */
static bool good_name(const char *name)
{
    size_t length = strlen(name);
    return length && length <= 127 && !strpbrk(name, "\\/:*?\"<>|\t\r\n");
}

/* Status to end with, or -1. */
static int parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        if (is(argv[i], NULL, "--stdin")) {
            options->watch_input = true;
        } else if (is(argv[i], "-v", "--verbose")) {
            log_verbose = true;
        } else if (is(argv[i], "-h", "--help")) {
            fputs(usage, stdout);
            return STATUS_OK;
        } else if (is(argv[i], NULL, "--version")) {
            puts("wyrm-engine " WYRM_VERSION);
            return STATUS_OK;
        } else if (is(argv[i], "-f", "--foreground")) {
            continue;
        } else if (argv[i][0] == '-' || options->name) {
            fputs("wyrm-engine: one name is expected; wyrm-engine --help says what there is\n", stderr);
            return STATUS_USAGE;
        } else {
            options->name = argv[i];
        }
    }
    if (options->name && good_name(options->name))
        return -1;
    fputs("wyrm-engine: the name of the adapter must have 1 to 127 bytes, none of \\ / : * ? \" < > |\n",
          stderr);
    return STATUS_USAGE;
}

/* Allows crypto all that the processor has, and proves it. */
static bool choose_crypto(void)
{
    static struct aead_workspace workspace;
    uint32_t features = cpu_features_detect();
    cpu_features_use(features);
    x25519_batch_use(features);
    const char *failed = crypto_self_test(&workspace);
    if (failed)
        log_error("%s computes wrongly on this processor: the engine does not start", failed);
    return !failed;
}

static volatile LONG ended; /* keys are erased */

/* The system ends the process when this returns for the closing of a console: not before the end of the
 * engine. */
static BOOL WINAPI interrupted(DWORD kind)
{
    loop_stop();
    for (unsigned i = 0; kind != CTRL_C_EVENT && kind != CTRL_BREAK_EVENT && !ended && i < 500; i++)
        Sleep(10);
    return TRUE;
}

static unsigned __stdcall watch_input(void *context)
{
    char bytes[64];
    DWORD got;
    HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    while (ReadFile(input, bytes, sizeof(bytes), &got, NULL) && got)
        ;
    loop_stop();
    return 0;
}

static void begin_watching(void)
{
    HANDLE thread = (HANDLE)_beginthreadex(NULL, 0, watch_input, NULL, 0, NULL);
    if (thread)
        CloseHandle(thread);
    puts("ready");
    fflush(stdout);
}

static int serve(const struct options *options)
{
    static struct engine engine;
    struct front *front;
    char error[512];
    if (loop_open() != 0) {
        log_error("cannot make an event loop");
        return STATUS_FAILED;
    }
    SetConsoleCtrlHandler(interrupted, TRUE);
    if (engine_create(&engine, options->name, error, sizeof(error))) {
        log_error("%s", error);
        return wintun_is_missing() ? STATUS_NO_WINTUN : STATUS_FAILED;
    }
    if (control_open(&engine, options->name, &front, error, sizeof(error))) {
        log_error("%s", error);
        engine_destroy(&engine);
        return STATUS_FAILED;
    }
    if (options->watch_input)
        begin_watching();
    loop_run();
    control_close(front);
    engine_destroy(&engine);
    return STATUS_OK;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    int status = parse(argc, argv, &options);
    if (status >= 0)
        return status;
    system_protect_memory();
    status = choose_crypto() ? serve(&options) : STATUS_FAILED;
    InterlockedExchange(&ended, 1);
    return status;
}
