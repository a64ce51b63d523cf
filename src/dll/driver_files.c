#include "driver_files.h"
#include "log.h"
#include "names.h"

/* Needs windows.h before it. */
#include <setupapi.h>

#include <sddl.h>
#include <stdio.h>
#include <wchar.h>

/* Also from ntsecapi.h, as RtlGenRandom. */
BOOLEAN NTAPI SystemFunction036(void *buffer, ULONG bytes);

static const wchar_t *const names[] = {INF_FILE, CATALOGUE_FILE, DRIVER_FILE};
enum { FILES = sizeof(names) / sizeof(names[0]) };

static HMODULE this_module(void)
{
    HMODULE module = NULL;
    GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                       (const wchar_t *)(void *)names, &module);
    return module;
}

static bool beside_the_dll(struct driver_files *files)
{
    wchar_t path[PATH_UNITS];
    DWORD length = GetModuleFileNameW(this_module(), path, PATH_UNITS);
    wchar_t *end = length && length < PATH_UNITS ? wcsrchr(path, L'\\') : NULL;
    if (!end || (size_t)(end - path) + 20 > PATH_UNITS)
        return false;
    end[1] = 0;
    files->folder[0] = 0;
    swprintf(files->inf, PATH_UNITS, L"%s" INF_FILE, path);
    return GetFileAttributesW(files->inf) != INVALID_FILE_ATTRIBUTES;
}

/* A folder of an unguessable name, for SYSTEM and Administrators alone. */
static bool make_folder(struct driver_files *files)
{
    SECURITY_ATTRIBUTES attributes = {.nLength = sizeof(attributes)};
    wchar_t windows[MAX_PATH];
    DWORD64 random[4];
    UINT length = GetSystemWindowsDirectoryW(windows, MAX_PATH);
    if (!length || length >= MAX_PATH || !SystemFunction036(random, sizeof(random)) ||
        !ConvertStringSecurityDescriptorToSecurityDescriptorW(L"O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)",
                                                              SDDL_REVISION_1,
                                                              &attributes.lpSecurityDescriptor, NULL))
        return false;
    swprintf(files->folder, PATH_UNITS, L"%s\\Temp\\%016llx%016llx%016llx%016llx", windows, random[0],
             random[1], random[2], random[3]);
    bool made = CreateDirectoryW(files->folder, &attributes);
    DWORD error = GetLastError();
    LocalFree(attributes.lpSecurityDescriptor);
    SetLastError(error);
    return made;
}

static bool unpack(const struct driver_files *files, const wchar_t *name, HRSRC resource)
{
    wchar_t path[PATH_UNITS];
    DWORD bytes = SizeofResource(this_module(), resource), written = 0;
    const void *data = LockResource(LoadResource(this_module(), resource));
    swprintf(path, PATH_UNITS, L"%s\\%s", files->folder, name);
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return false;
    bool done = WriteFile(file, data, bytes, &written, NULL) && written == bytes;
    DWORD error = GetLastError();
    CloseHandle(file);
    SetLastError(error);
    return done;
}

bool driver_files_get(struct driver_files *files)
{
    HRSRC resources[FILES];
    for (int i = 0; i < FILES; i++) {
        resources[i] = FindResourceW(this_module(), names[i], (const wchar_t *)RT_RCDATA);
        if (!resources[i]) {
            if (beside_the_dll(files))
                return true;
            SetLastError(ERROR_FILE_NOT_FOUND);
            return false;
        }
    }
    files->folder[0] = 0;
    bool done = make_folder(files);
    for (int i = 0; done && i < FILES; i++)
        done = unpack(files, names[i], resources[i]);
    if (done) {
        swprintf(files->inf, PATH_UNITS, L"%s\\" INF_FILE, files->folder);
        return true;
    }
    DWORD error = GetLastError();
    driver_files_remove(files);
    return log_failure(error, L"Cannot unpack the driver's files into the Windows\\Temp folder");
}

void driver_files_remove(struct driver_files *files)
{
    DWORD error = GetLastError();
    wchar_t path[PATH_UNITS];
    if (files->folder[0]) {
        for (int i = 0; i < FILES; i++) {
            swprintf(path, PATH_UNITS, L"%s\\%s", files->folder, names[i]);
            DeleteFileW(path);
        }
        RemoveDirectoryW(files->folder);
    }
    SetLastError(error);
}

struct driver_age driver_age_of(const wchar_t *inf)
{
    struct driver_age age = {0};
    INFCONTEXT context;
    wchar_t text[64];
    HINF file = SetupOpenInfFileW(inf, NULL, INF_STYLE_WIN4, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return age;
    if (SetupFindFirstLineW(file, L"Version", L"DriverVer", &context)) {
        wchar_t *rest;
        if (SetupGetStringFieldW(&context, 1, text, 64, NULL)) { /* month/day/year */
            DWORD64 month = wcstoul(text, &rest, 10);
            DWORD64 day = *rest ? wcstoul(rest + 1, &rest, 10) : 0;
            DWORD64 year = *rest ? wcstoul(rest + 1, &rest, 10) : 0;
            age.date = year * 10000 + month * 100 + day;
        }
        if (SetupGetStringFieldW(&context, 2, text, 64, NULL)) { /* a.b.c.d */
            rest = text;
            for (int i = 0; i < 4; i++) {
                age.version = age.version << 16 | (wcstoul(rest, &rest, 10) & 0xffff);
                if (*rest)
                    rest++;
            }
        }
    }
    SetupCloseInfFile(file);
    return age;
}

int driver_age_compare(struct driver_age a, struct driver_age b)
{
    if (a.date != b.date)
        return a.date < b.date ? -1 : 1;
    return a.version < b.version ? -1 : a.version > b.version;
}
