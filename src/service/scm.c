/* See scm.h.  (Microsoft, "Writing a ServiceMain Function", "Service State Transitions") */
#include "scm.h"

#include "log.h"
#include "runner.h"

#include <string.h>

#define START_HINT_MS 60000u /* the longest step of a start, which the DLL bounds */
#define STOP_HINT_MS  30000u

static struct {
    SRWLOCK lock; /* of status, which two threads report */
    SERVICE_STATUS_HANDLE handle;
    SERVICE_STATUS status;
    struct runner runner;
    const char *path;
    bool failed;
} service;

static void report(DWORD state, DWORD hint_ms)
{
    SERVICE_STATUS *status = &service.status;
    AcquireSRWLockExclusive(&service.lock);
    /* A stop that has begun is not taken back by a start that goes on. */
    if (status->dwCurrentState != SERVICE_STOP_PENDING || state == SERVICE_STOP_PENDING ||
        state == SERVICE_STOPPED) {
        bool pending = state == SERVICE_START_PENDING || state == SERVICE_STOP_PENDING;
        status->dwCheckPoint = !pending ? 0 : status->dwCurrentState == state ? status->dwCheckPoint + 1 : 1;
        status->dwCurrentState = state;
        status->dwWaitHint = hint_ms;
        status->dwControlsAccepted = state == SERVICE_RUNNING
                                         ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN |
                                               SERVICE_ACCEPT_PARAMCHANGE | SERVICE_ACCEPT_POWEREVENT
                                         : 0;
        SetServiceStatus(service.handle, status);
    }
    ReleaseSRWLockExclusive(&service.lock);
}

static DWORD WINAPI handle_control(DWORD control, DWORD event, void *data, void *context)
{
    switch (control) {
    case SERVICE_CONTROL_STOP:
    case SERVICE_CONTROL_SHUTDOWN:
        report(SERVICE_STOP_PENDING, STOP_HINT_MS);
        SetEvent(service.runner.stop);
        return NO_ERROR;
    case SERVICE_CONTROL_PARAMCHANGE:
        SetEvent(service.runner.reload);
        return NO_ERROR;
    case SERVICE_CONTROL_POWEREVENT:
        if (event == PBT_APMRESUMEAUTOMATIC)
            SetEvent(service.runner.resume);
        return NO_ERROR;
    case SERVICE_CONTROL_INTERROGATE:
        return NO_ERROR;
    default:
        return ERROR_CALL_NOT_IMPLEMENTED;
    }
}

static void starting(void *context)
{
    AcquireSRWLockShared(&service.lock);
    bool still = service.status.dwCurrentState == SERVICE_START_PENDING;
    ReleaseSRWLockShared(&service.lock);
    if (still) /* not when an adapter is made anew later */
        report(SERVICE_START_PENDING, START_HINT_MS);
}

static void running(void *context)
{
    report(SERVICE_RUNNING, 0);
}

static void WINAPI service_main(DWORD count, LPWSTR *words)
{
    struct failure failure = {.status = EXIT_REFUSED};
    struct runner *runner = &service.runner;
    runner->progress = starting;
    runner->running = running;
    /* Before the handler, which uses what is made here. */
    bool done = runner_prepare(runner, service.path, &failure);
    service.status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    service.handle = RegisterServiceCtrlHandlerExW(words[0], handle_control, NULL);
    if (!service.handle)
        return;
    report(SERVICE_START_PENDING, START_HINT_MS);
    if (done && count > 1 && !wcscmp(words[1], SCM_STORE_WORD))
        done = runner_store(runner, &failure);
    else if (done)
        done = runner_run(runner, &failure);
    else
        log_event(LOG_ERROR, "the tunnel cannot be served: %s", failure.text);
    service.failed = !done;
    if (!done) {
        service.status.dwWin32ExitCode = ERROR_SERVICE_SPECIFIC_ERROR;
        service.status.dwServiceSpecificExitCode = (DWORD)failure.status;
    }
    report(SERVICE_STOPPED, 0);
}

bool scm_serve(const char *path)
{
    WCHAR none[] = L"";
    SERVICE_TABLE_ENTRYW table[] = {{none, service_main}, {NULL, NULL}};
    service.path = path;
    /* runner_release() does not follow: a control may still be on its way, and the process ends. */
    return StartServiceCtrlDispatcherW(table) && !service.failed;
}
