/* See tunnel_event.h. */
#include "tunnel_event.h"

#include "library.h"

#include <sddl.h>
#include <stdio.h>

#define EVENT_UNITS (WIREGUARD_MAX_ADAPTER_NAME + 64)

static bool event_name(const char *name, WCHAR *wide)
{
    WCHAR text[WIREGUARD_MAX_ADAPTER_NAME];
    if (!utf16_of(name, text, WIREGUARD_MAX_ADAPTER_NAME)) {
        SetLastError(ERROR_INVALID_NAME);
        return false;
    }
    swprintf(wide, EVENT_UNITS, L"Global\\" WYRM_VENDOR_NAME L"-Tunnel-%s", text);
    return true;
}

HANDLE tunnel_event_claim(const char *name, struct failure *failure)
{
    WCHAR wide[EVENT_UNITS];
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof attributes};
    HANDLE event = NULL;
    if (event_name(name, wide) &&
        ConvertStringSecurityDescriptorToSecurityDescriptorW(L"D:P(A;;GA;;;SY)(A;;GA;;;BA)", SDDL_REVISION_1,
                                                             &attributes.lpSecurityDescriptor, NULL)) {
        event = CreateEventW(&attributes, TRUE, FALSE, wide);
        DWORD code = GetLastError();
        LocalFree(attributes.lpSecurityDescriptor);
        if (event ? code == ERROR_ALREADY_EXISTS : code == ERROR_ACCESS_DENIED) {
            if (event)
                CloseHandle(event);
            fail(failure, EXIT_REFUSED, "%.100s: another process is making or keeping this tunnel", name);
            return NULL;
        }
        SetLastError(code);
    }
    if (!event)
        fail_windows(failure, GetLastError(), "%.100s: the tunnel's event cannot be made", name);
    return event;
}

HANDLE tunnel_event_open(const char *name, DWORD access)
{
    WCHAR wide[EVENT_UNITS];
    return event_name(name, wide) ? OpenEventW(access, FALSE, wide) : NULL;
}
