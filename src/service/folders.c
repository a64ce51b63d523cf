/* See folders.h. */
#include "folders.h"

#include "library.h"
#include "names.h"

#include <aclapi.h>
#include <sddl.h>
#include <shlobj.h>
#include <stdio.h>
#include <string.h>

static bool data_folder(WCHAR *path)
{
    WCHAR base[MAX_PATH];
    if (SHGetFolderPathW(NULL, CSIDL_COMMON_APPDATA, NULL, SHGFP_TYPE_CURRENT, base) != S_OK)
        return false;
    swprintf(path, PATH_UNITS, L"%ls" DATA_FOLDER, base);
    return true;
}

static bool folder_path(enum folder folder, WCHAR *path)
{
    static const WCHAR *const names[] = {L"\\Configurations", L"\\Logs"};
    if (!data_folder(path))
        return false;
    wcscpy(path + wcslen(path), names[folder]);
    return true;
}

bool folder_file(enum folder folder, const char *name, const WCHAR *extension, WCHAR *path)
{
    WCHAR wide[TUNNEL_NAME_BYTES];
    if (!utf16_of(name, wide, TUNNEL_NAME_BYTES) || !folder_path(folder, path))
        return false;
    size_t used = wcslen(path);
    swprintf(path + used, PATH_UNITS - used, L"\\%ls%ls", wide, extension);
    return true;
}

/* SYSTEM, Administrators, or the administrator who runs this. */
static bool is_trusted(PSID owner)
{
    BYTE buffer[sizeof(TOKEN_USER) + SECURITY_MAX_SID_SIZE];
    HANDLE token;
    DWORD bytes;
    if (IsWellKnownSid(owner, WinLocalSystemSid) || IsWellKnownSid(owner, WinBuiltinAdministratorsSid))
        return true;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return false;
    bool own = GetTokenInformation(token, TokenUser, buffer, sizeof buffer, &bytes) &&
               EqualSid(((const TOKEN_USER *)(const void *)buffer)->User.Sid, owner);
    CloseHandle(token);
    return own;
}

/* By one handle, so that it is the folder that was looked at. */
static DWORD secure_folder(const WCHAR *path, PSECURITY_DESCRIPTOR wanted)
{
    BY_HANDLE_FILE_INFORMATION information;
    PSECURITY_DESCRIPTOR found = NULL;
    PSID owner = NULL;
    PACL list = NULL;
    BOOL present, defaulted;
    HANDLE folder =
        CreateFileW(path, READ_CONTROL | WRITE_DAC | FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE,
                    NULL, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
    if (folder == INVALID_HANDLE_VALUE)
        return GetLastError();
    DWORD code = GetFileInformationByHandle(folder, &information) ? 0 : GetLastError();
    if (!code && (!(information.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) ||
                  information.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT))
        code = ERROR_DIRECTORY;
    if (!code)
        code = GetSecurityInfo(folder, SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION, &owner, NULL, NULL, NULL,
                               &found);
    if (!code && !is_trusted(owner))
        code = ERROR_INVALID_OWNER;
    if (!code && !GetSecurityDescriptorDacl(wanted, &present, &list, &defaulted))
        code = GetLastError();
    if (!code)
        code = SetSecurityInfo(folder, SE_FILE_OBJECT,
                               DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION, NULL, NULL,
                               list, NULL);
    if (found)
        LocalFree(found);
    CloseHandle(folder);
    return code;
}

static bool prepare(const WCHAR *path, SECURITY_ATTRIBUTES *attributes, struct failure *failure)
{
    char text[PATH_UNITS];
    DWORD code = 0;
    if (!CreateDirectoryW(path, attributes) && GetLastError() != ERROR_ALREADY_EXISTS)
        code = GetLastError();
    if (!code)
        code = secure_folder(path, attributes->lpSecurityDescriptor);
    if (!code)
        return true;
    if (!utf8_of(path, text, sizeof text))
        text[0] = 0;
    if (code == ERROR_INVALID_OWNER || code == ERROR_DIRECTORY)
        return fail(
            failure, EXIT_REFUSED,
            "%.200s was made by somebody else than an administrator, or is a link: look what is in it, "
            "and remove it",
            text);
    return fail_windows(failure, code, "the folder %.200s cannot be made", text);
}

bool folders_prepare(struct failure *failure)
{
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof attributes};
    WCHAR path[PATH_UNITS];
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(L"O:BA" PRIVATE_FOLDER_SDDL, SDDL_REVISION_1,
                                                              &attributes.lpSecurityDescriptor, NULL))
        return fail_windows(failure, GetLastError(), "the access list of the folders cannot be made");
    bool done = data_folder(path) ||
                fail(failure, EXIT_REFUSED, "the system does not say where its folder ProgramData is");
    done = done && prepare(path, &attributes, failure);
    for (int i = FOLDER_CONFIGURATIONS; done && i <= FOLDER_LOGS; i++) {
        done = folder_path((enum folder)i, path) && prepare(path, &attributes, failure);
    }
    LocalFree(attributes.lpSecurityDescriptor);
    return done;
}
