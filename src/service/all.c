/* `start`, `stop` and `remove --all`: see commands.h. */
#include "commands.h"

#include "library.h"
#include "service_handle.h"

/* The largest that QueryServiceConfigW() fills, by its documentation. */
#define CONFIG_BYTES 8192

struct doing {
    bool (*what)(const char *name, struct failure *failure);
    struct failure *failure; /* the first */
    bool failed;
};

static bool do_one(const char *name, const SERVICE_STATUS_PROCESS *status, void *context)
{
    struct doing *doing = context;
    struct failure later;
    if (!doing->what(name, doing->failed ? &later : doing->failure))
        doing->failed = true;
    return true;
}

static bool do_all(bool (*what)(const char *name, struct failure *failure), struct failure *failure)
{
    struct doing doing = {.what = what, .failure = failure};
    return service_each(do_one, &doing, failure) && !doing.failed;
}

bool command_remove_all(struct failure *failure)
{
    return do_all(command_remove, failure);
}

bool command_stop_all(struct failure *failure)
{
    return do_all(command_stop, failure);
}

static bool starts_with_machine(SC_HANDLE service)
{
    static union {
        QUERY_SERVICE_CONFIGW config;
        BYTE bytes[CONFIG_BYTES];
    } buffer;
    DWORD needed;
    return QueryServiceConfigW(service, &buffer.config, sizeof buffer, &needed) &&
           buffer.config.dwStartType == SERVICE_AUTO_START;
}

static bool begin(const char *name, struct failure *failure)
{
    SC_HANDLE service = service_open(name, SERVICE_START | SERVICE_QUERY_CONFIG, failure);
    if (!service)
        return false;
    bool done = !starts_with_machine(service) || StartServiceW(service, 0, NULL) ||
                GetLastError() == ERROR_SERVICE_ALREADY_RUNNING ||
                fail_windows(failure, GetLastError(), "%.60s: its service cannot be started", name);
    CloseServiceHandle(service);
    return done;
}

bool command_start_all(struct failure *failure)
{
    return do_all(begin, failure);
}
