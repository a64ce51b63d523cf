/* See privileges.h.  Installing or loading the driver and making its device needs SeLoadDriverPrivilege, also
 * when an adapter that vanished is made anew; SeChangeNotifyPrivilege is what everybody has, and the service
 * control manager never takes it away (Microsoft, "SERVICE_REQUIRED_PRIVILEGES_INFO"). */
#include "privileges.h"

#include <stdbool.h>
#include <stdlib.h>

WCHAR privileges_required[] = L"SeLoadDriverPrivilege\0SeChangeNotifyPrivilege\0";

static bool is_kept(LUID luid)
{
    for (const WCHAR *name = privileges_required; *name; name += wcslen(name) + 1) {
        LUID kept;
        if (LookupPrivilegeValueW(NULL, name, &kept) && kept.LowPart == luid.LowPart &&
            kept.HighPart == luid.HighPart)
            return true;
    }
    return false;
}

static DWORD drop(HANDLE token)
{
    DWORD bytes = 0;
    GetTokenInformation(token, TokenPrivileges, NULL, 0, &bytes);
    TOKEN_PRIVILEGES *privileges = malloc(bytes);
    if (!privileges)
        return ERROR_NOT_ENOUGH_MEMORY;
    DWORD code = 0;
    if (!GetTokenInformation(token, TokenPrivileges, privileges, bytes, &bytes))
        code = GetLastError();
    for (DWORD i = 0; !code && i < privileges->PrivilegeCount; i++)
        if (!is_kept(privileges->Privileges[i].Luid))
            privileges->Privileges[i].Attributes = SE_PRIVILEGE_REMOVED;
    /* True with ERROR_NOT_ALL_ASSIGNED: one was not there to be taken away. */
    if (!code && !AdjustTokenPrivileges(token, FALSE, privileges, 0, NULL, NULL))
        code = GetLastError();
    free(privileges);
    return code;
}

DWORD privileges_drop(void)
{
    HANDLE token;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES, &token))
        return GetLastError();
    DWORD code = drop(token);
    CloseHandle(token);
    return code;
}
