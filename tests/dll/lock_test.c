/* The DLL's machine-wide lock (src/dll/lock.c) with private namespaces of the test's own, which Wine has not:
 * built with the vendor's name "Global", so that the lock's name is one that Wine knows without them. */
#include "dll/lock.h"
#include "dll/log.h"
#include "dll/optional.h"

#include <stdio.h>

static int passed, failed;
static LONG lines;

static void check(bool condition, const char *what)
{
    DWORD error = GetLastError();
    condition ? passed++ : failed++;
    if (!condition)
        printf("FAILED: %s (last error %lu)\n", what, error);
}

static VOID CALLBACK logger(WIREGUARD_LOGGER_LEVEL level, DWORD64 timestamp, LPCWSTR message)
{
    InterlockedIncrement(&lines);
}

/* What the next calls answer: 0 success, else the error; and how often they came. */
static DWORD create_errors[4], open_errors[4];
static int creations, openings, closings, boundaries;
static char object; /* namespaces are its address */

static HANDLE answer(DWORD error)
{
    SetLastError(error);
    return error ? NULL : &object;
}

static HANDLE WINAPI create_boundary(const wchar_t *name, ULONG flags)
{
    boundaries++;
    return &boundaries;
}

static void WINAPI delete_boundary(HANDLE boundary)
{
    boundaries--;
    SetLastError(0x1234); /* must not hide the error before it */
}

static BOOL WINAPI add_sid(HANDLE *boundary, PSID sid)
{
    return TRUE;
}

static HANDLE WINAPI create_namespace(SECURITY_ATTRIBUTES *attributes, void *boundary, const wchar_t *alias)
{
    return answer(create_errors[creations++ & 3]);
}

static HANDLE WINAPI open_namespace(void *boundary, const wchar_t *alias)
{
    return answer(open_errors[openings++ & 3]);
}

static BOOLEAN WINAPI close_namespace(HANDLE namespace, ULONG flags)
{
    closings += namespace == &object && !flags;
    return TRUE;
}

static struct optional_functions functions;

const struct optional_functions *optional(void)
{
    return &functions;
}

static void begin(DWORD create, DWORD create_again, DWORD open)
{
    creations = openings = closings = lines = 0;
    create_errors[0] = create;
    create_errors[1] = create_again;
    open_errors[0] = open;
}

static void check_namespaces(void)
{
    struct machine_lock lock;
    begin(0, 0, 0);
    check(machine_lock_take(&lock, 1000), "the lock is taken");
    machine_lock_release(&lock);
    check(machine_lock_take(&lock, 1000), "and again");
    machine_lock_release(&lock);
    check(creations == 1 && !openings && !closings, "one namespace is kept open");
    machine_lock_forget();
    machine_lock_forget();
    check(closings == 1, "the DLL that goes closes its namespace, once");

    begin(ERROR_ALREADY_EXISTS, 0, 0);
    check(machine_lock_take(&lock, 1000) && openings == 1, "another process's namespace is opened");
    machine_lock_release(&lock);
    machine_lock_forget();

    begin(ERROR_ALREADY_EXISTS, 0, ERROR_PATH_NOT_FOUND);
    check(machine_lock_take(&lock, 1000) && creations == 2, "its creator ended meanwhile: it is made anew");
    machine_lock_release(&lock);
    machine_lock_forget();

    begin(ERROR_ACCESS_DENIED, 0, 0);
    check(!machine_lock_take(&lock, 1000) && GetLastError() == ERROR_ACCESS_DENIED && lines == 1,
          "refused, and said");
    check(machine_lock_take(&lock, 1000), "a refusal is not for ever");
    machine_lock_release(&lock);
    machine_lock_forget();
    check(!boundaries, "boundaries are given back");
}

static HANDLE taken, let_go;

static DWORD WINAPI hold(void *release)
{
    struct machine_lock lock;
    check(machine_lock_take(&lock, 1000), "another thread takes it");
    SetEvent(taken);
    WaitForSingleObject(let_go, 10000);
    if (release)
        machine_lock_release(&lock);
    return 0;
}

static void check_waiting(bool release, const char *what)
{
    struct machine_lock lock;
    begin(0, 0, 0);
    ResetEvent(let_go);
    HANDLE thread = CreateThread(NULL, 0, hold, release ? &lock : NULL, 0, NULL);
    WaitForSingleObject(taken, 10000);
    check(!machine_lock_take(&lock, 0) && GetLastError() == WAIT_TIMEOUT && !lines, "no waiting, not a word");
    check(!machine_lock_take(&lock, 100) && GetLastError() == WAIT_TIMEOUT && lines == 1,
          "waiting in vain is said");
    SetEvent(let_go);
    check(machine_lock_take(&lock, 10000), what);
    check(lines == (release ? 1 : 2), "a lock whose owner ended is said");
    machine_lock_release(&lock);
    WaitForSingleObject(thread, 10000);
    CloseHandle(thread);
}

int main(void)
{
    functions = (struct optional_functions){.CreateBoundaryDescriptorW = create_boundary,
                                            .DeleteBoundaryDescriptor = delete_boundary,
                                            .AddSIDToBoundaryDescriptor = add_sid,
                                            .CreatePrivateNamespaceW = create_namespace,
                                            .OpenPrivateNamespaceW = open_namespace,
                                            .ClosePrivateNamespace = close_namespace};
    log_set_callback(logger);
    taken = CreateEventW(NULL, FALSE, FALSE, NULL);
    let_go = CreateEventW(NULL, TRUE, FALSE, NULL);
    check_namespaces();
    check_waiting(true, "a lock that was let go is taken");
    check_waiting(false, "a lock whose owner ended is taken");
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
