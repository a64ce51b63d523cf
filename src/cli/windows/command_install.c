/* `wyrm install` and `wyrm uninstall`: the driver in the driver store.  The installer runs them: they say
 * nothing, and what is done already is done well. */
#include "command.h"
#include "library.h"

/* A driver is installed by the first adapter that wants it, or by a newer package beside the DLL; so one is
 * made and closed at once. */
bool command_install(const struct invocation *invocation, struct failure *failure)
{
    if (invocation->count)
        return fail(failure, EXIT_USAGE, "install takes no arguments");
    const struct library *library = library_load(failure);
    if (!library)
        return false;
    WIREGUARD_ADAPTER_HANDLE adapter =
        library->create(L"" WYRM_VENDOR_NAME L" Installation", L"" WYRM_VENDOR_NAME, NULL);
    if (!adapter)
        return fail_windows(failure, GetLastError(), "the driver cannot be installed");
    library->close(adapter);
    return report_done(invocation, "", failure);
}

bool command_uninstall(const struct invocation *invocation, struct failure *failure)
{
    if (invocation->count)
        return fail(failure, EXIT_USAGE, "uninstall takes no arguments");
    const struct library *library = library_load(failure);
    if (!library)
        return false;
    if (!library->delete_driver()) {
        DWORD code = GetLastError();
        /* No package in the store: nothing is left to do. */
        if (code != ERROR_FILE_NOT_FOUND && code != ERROR_NOT_FOUND)
            return fail_windows(failure, code, "the driver cannot be removed");
    }
    return report_done(invocation, "", failure);
}
