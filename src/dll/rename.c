#include "rename.h"
#include "log.h"
#include "optional.h"

/* Needs windows.h before it. */
#include <iphlpapi.h>

#include <stdbool.h>
#include <stdio.h>

enum { SUFFIXES = 1000, NAME_UNITS = WIREGUARD_MAX_ADAPTER_NAME + 8 };

/* Sets the first free of "NAME 1", "NAME 2" ...; the length is kept in bounds by cutting the name. */
static bool set_with_suffix(const GUID *guid, const wchar_t *name)
{
    wchar_t numbered[NAME_UNITS];
    for (int i = 1; i <= SUFFIXES; i++) {
        swprintf(numbered, NAME_UNITS, L"%.*s %d", WIREGUARD_MAX_ADAPTER_NAME - 6, name, i);
        DWORD error = optional()->NciSetConnectionName(guid, numbered);
        if (error == ERROR_SUCCESS) {
            log_line(WIREGUARD_LOG_WARN, L"Two connections were named %s; one is now %s", name, numbered);
            return true;
        }
        if (error != ERROR_DUP_NAME)
            break;
    }
    return false;
}

void connection_rename(const GUID *guid, const wchar_t *name)
{
    NET_LUID luid;
    GUID other;
    if (!optional()->NciSetConnectionName) {
        log_line(WIREGUARD_LOG_WARN,
                 L"This system cannot rename connections: %s keeps the name that it was given", name);
        return;
    }
    DWORD error = optional()->NciSetConnectionName(guid, name);
    if (error == ERROR_DUP_NAME && ConvertInterfaceAliasToLuid(name, &luid) == NO_ERROR &&
        ConvertInterfaceLuidToGuid(&luid, &other) == NO_ERROR && set_with_suffix(&other, name))
        error = optional()->NciSetConnectionName(guid, name);
    if (error == ERROR_DUP_NAME && set_with_suffix(guid, name))
        return;
    if (error != ERROR_SUCCESS)
        log_warning(error, L"Cannot name the connection %s", name);
}
