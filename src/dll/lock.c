#include "lock.h"
#include "log.h"
#include "names.h"
#include "optional.h"

#include <sddl.h>

/* Generic all for SYSTEM and Administrators, at high integrity. */
#define LOCK_SDDL   L"O:BAD:P(A;;GA;;;SY)(A;;GA;;;BA)S:(ML;;NWNRNX;;;HI)"
#define LOCK_NAME   VENDOR_NAME L"\\" VENDOR_NAME L"-Device-Lock"
#define GLOBAL_NAME L"Global\\" VENDOR_NAME L"-Device-Lock"

static SRWLOCK open_lock = SRWLOCK_INIT;
static HANDLE namespace;
static bool namespace_missing;

static HANDLE open_or_create_namespace(SECURITY_ATTRIBUTES *attributes)
{
    const struct optional_functions *system = optional();
    BYTE sid[SECURITY_MAX_SID_SIZE];
    DWORD sid_bytes = sizeof(sid);
    HANDLE result = NULL;
    if (!CreateWellKnownSid(WinBuiltinAdministratorsSid, NULL, sid, &sid_bytes))
        return NULL;
    HANDLE boundary = system->CreateBoundaryDescriptorW(VENDOR_NAME, 0);
    if (!boundary)
        return NULL;
    /* The creator may end between our two calls: hence a few rounds. */
    if (system->AddSIDToBoundaryDescriptor(&boundary, sid))
        for (int i = 0; i < 10 && !result; i++) {
            result = system->CreatePrivateNamespaceW(attributes, boundary, VENDOR_NAME);
            if (!result && GetLastError() == ERROR_ALREADY_EXISTS)
                result = system->OpenPrivateNamespaceW(boundary, VENDOR_NAME);
            if (!result && GetLastError() != ERROR_PATH_NOT_FOUND && GetLastError() != ERROR_ALREADY_EXISTS)
                break;
        }
    DWORD error = GetLastError();
    system->DeleteBoundaryDescriptor(boundary);
    SetLastError(error);
    return result;
}

/* The namespace stays open as long as the DLL is loaded. */
static bool enter_namespace(SECURITY_ATTRIBUTES *attributes)
{
    const struct optional_functions *system = optional();
    AcquireSRWLockExclusive(&open_lock);
    if (!namespace && !namespace_missing) {
        namespace_missing = !system->CreateBoundaryDescriptorW || !system->DeleteBoundaryDescriptor ||
                            !system->AddSIDToBoundaryDescriptor || !system->CreatePrivateNamespaceW ||
                            !system->OpenPrivateNamespaceW || !system->ClosePrivateNamespace;
        if (namespace_missing)
            log_line(WIREGUARD_LOG_WARN,
                     L"This system has no private namespaces: the device lock is a global mutex");
        else
        namespace = open_or_create_namespace(attributes);
    }
    bool entered = namespace || namespace_missing;
    ReleaseSRWLockExclusive(&open_lock);
    return entered;
}

void machine_lock_forget(void)
{
    if (namespace)
        optional()->ClosePrivateNamespace(namespace, 0);
    namespace = NULL;
}

static HANDLE open_mutex(void)
{
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof(attributes)};
    HANDLE mutex = NULL;
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(LOCK_SDDL, SDDL_REVISION_1,
                                                              &attributes.lpSecurityDescriptor, NULL)) {
        log_failure(ERROR_GEN_FAILURE, L"Cannot make the security descriptor of the device lock");
        return NULL;
    }
    if (enter_namespace(&attributes))
        mutex = CreateMutexW(&attributes, FALSE, namespace_missing ? GLOBAL_NAME : LOCK_NAME);
    DWORD error = GetLastError();
    LocalFree(attributes.lpSecurityDescriptor);
    if (!mutex)
        log_failure(error == ERROR_ACCESS_DENIED ? error : ERROR_GEN_FAILURE,
                    L"Cannot make the device lock (code %lu); run as SYSTEM or as an elevated administrator",
                    error);
    return mutex;
}

bool machine_lock_take(struct machine_lock *lock, DWORD wait_ms)
{
    enum { SILENT_MS = 3000 };
    lock->mutex = open_mutex();
    if (!lock->mutex)
        return false;
    DWORD result = WaitForSingleObject(lock->mutex, wait_ms < SILENT_MS ? wait_ms : SILENT_MS);
    if (result == WAIT_TIMEOUT && wait_ms > SILENT_MS) {
        log_line(WIREGUARD_LOG_INFO,
                 L"Another process is creating or removing an adapter; waiting for at most %lu s",
                 wait_ms / 1000);
        result = WaitForSingleObject(lock->mutex, wait_ms - SILENT_MS);
    }
    if (result == WAIT_OBJECT_0)
        return true;
    if (result == WAIT_ABANDONED) {
        log_line(WIREGUARD_LOG_WARN,
                 L"A process ended while it was creating or removing an adapter; going on from there");
        return true;
    }
    CloseHandle(lock->mutex);
    lock->mutex = NULL;
    if (result == WAIT_TIMEOUT) {
        if (wait_ms)
            log_failure(
                WAIT_TIMEOUT,
                L"Another process has been creating or removing an adapter for %lu s; end it or try again",
                wait_ms / 1000);
        SetLastError(WAIT_TIMEOUT);
        return false;
    }
    return log_failure(ERROR_GEN_FAILURE, L"Cannot wait for the device lock");
}

void machine_lock_release(struct machine_lock *lock)
{
    DWORD error = GetLastError();
    ReleaseMutex(lock->mutex);
    CloseHandle(lock->mutex);
    lock->mutex = NULL;
    SetLastError(error);
}
