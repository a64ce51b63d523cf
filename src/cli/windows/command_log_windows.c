/* `wyrm log` on Windows: the lines of an adapter's driver as wyrm.dll hands them out. */
#include "command.h"
#include "format_log.h"
#include "library.h"

#include <string.h>

#define QUIET_MS   300  /* after so long without a line, all that were kept have come */
#define LOOK_MS    1000 /* whether the adapter is still there */
#define LINE_BYTES 2048

static struct {
    SRWLOCK lock; /* lines come on several threads */
    struct failure failure;
    HANDLE came;
    bool json, failed;
} reader = {.lock = SRWLOCK_INIT};

static VOID CALLBACK print(WIREGUARD_LOGGER_LEVEL level, DWORD64 timestamp, LPCWSTR message)
{
    char text[LINE_BYTES];
    int line = level == WIREGUARD_LOG_ERR    ? FORMAT_LOG_ERROR
               : level == WIREGUARD_LOG_WARN ? FORMAT_LOG_WARNING
                                             : FORMAT_LOG_INFO;
    if (!utf8_of(message, text, sizeof text))
        strcpy(text, "(a line that is too long)");
    AcquireSRWLockExclusive(&reader.lock);
    if (!reader.failed && !print_log_line(line, timestamp, text, reader.json, &reader.failure))
        reader.failed = true;
    ReleaseSRWLockExclusive(&reader.lock);
    SetEvent(reader.came);
}

static bool follow(const struct library *library, WIREGUARD_ADAPTER_HANDLE adapter, const char *name,
                   bool follow_on, struct failure *failure)
{
    WIREGUARD_ADAPTER_STATE state;
    for (;;) {
        DWORD got = WaitForSingleObject(reader.came, follow_on ? LOOK_MS : QUIET_MS);
        AcquireSRWLockExclusive(&reader.lock);
        bool failed = reader.failed;
        ReleaseSRWLockExclusive(&reader.lock);
        if (failed) {
            *failure = reader.failure;
            return false;
        }
        if (got != WAIT_TIMEOUT)
            continue;
        if (!follow_on)
            return true;
        if (!library->get_state(adapter, &state)) {
            fail_windows(failure, GetLastError(), "%.200s: the log ended: the adapter is gone", name);
            failure->status = EXIT_NO_ANSWER; /* as on Linux */
            return false;
        }
    }
}

bool command_log(const struct invocation *invocation, struct failure *failure)
{
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "log wants one adapter: wyrm log NAME [--follow]");
    const char *name = invocation->arguments[0];
    const struct library *library = library_load(failure);
    WIREGUARD_ADAPTER_HANDLE adapter = library ? library_open(library, name, failure) : NULL;
    if (!adapter)
        return false;
    reader.json = invocation->json;
    reader.came = CreateEventW(NULL, FALSE, FALSE, NULL);
    library->set_logger(print);
    bool done = library->set_logging(adapter, WIREGUARD_ADAPTER_LOG_ON) ||
                fail_windows(failure, GetLastError(), "%.200s: its log cannot be read", name);
    done = done && follow(library, adapter, name, invocation->follow, failure);
    library->set_logging(adapter, WIREGUARD_ADAPTER_LOG_OFF);
    library->set_logger(NULL);
    library->close(adapter);
    return done;
}
