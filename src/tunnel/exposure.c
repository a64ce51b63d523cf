/* See exposure.h. */
#include "exposure.h"

#include <aclapi.h>

/* Groups that everybody who can log on is in. */
static bool is_everybody(PSID sid)
{
    static const WELL_KNOWN_SID_TYPE groups[] = {WinWorldSid, WinAuthenticatedUserSid, WinBuiltinUsersSid,
                                                 WinInteractiveSid};
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        if (IsWellKnownSid(sid, groups[i]))
            return true;
    return false;
}

static bool lets_everybody_read(const ACL *list)
{
    const BYTE *at = (const BYTE *)(list + 1), *end = (const BYTE *)list + list->AclSize;
    for (WORD i = 0; i < list->AceCount && at + sizeof(ACE_HEADER) <= end; i++) {
        const ACE_HEADER *header = (const ACE_HEADER *)at;
        const ACCESS_ALLOWED_ACE *allowed = (const ACCESS_ALLOWED_ACE *)at;
        if (header->AceType == ACCESS_ALLOWED_ACE_TYPE && !(header->AceFlags & INHERIT_ONLY_ACE) &&
            allowed->Mask & (FILE_READ_DATA | GENERIC_READ | GENERIC_ALL) &&
            is_everybody((PSID)(ULONG_PTR)&allowed->SidStart))
            return true;
        at += header->AceSize;
    }
    return false;
}

bool file_is_exposed(HANDLE file)
{
    PACL list = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    if (GetFileType(file) != FILE_TYPE_DISK ||
        GetSecurityInfo(file, SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, NULL, NULL, &list, NULL,
                        &descriptor))
        return false;
    bool exposed = !list || lets_everybody_read(list);
    LocalFree(descriptor);
    return exposed;
}
