/* See store.h. */
#include "store.h"

#include "crypto/secure_memory.h"
#include "folders.h"
#include "input.h"
#include "library.h"
#include "names.h"
#include "plan.h"

#include <stdio.h>
#include <string.h>
#include <wincrypt.h>

static bool is_encrypted(const char *path)
{
    size_t length = strlen(path);
    return length > 6 && !_stricmp(path + length - 6, ".dpapi");
}

/* `text` becomes the plain one. */
static bool decrypt(const char *path, const char *name, struct secure_buffer *text, struct failure *failure)
{
    DATA_BLOB input = {.cbData = (DWORD)text->length, .pbData = text->data}, output = {0};
    WCHAR *description = NULL, wide[TUNNEL_NAME_BYTES];
    char found[200] = "";
    if (!CryptUnprotectData(&input, &description, NULL, NULL, NULL, CRYPTPROTECT_UI_FORBIDDEN, &output))
        return fail_windows(failure, GetLastError(),
                            "%.200s cannot be decrypted: it is damaged, or from another machine or account",
                            path);
    bool right = description && utf16_of(name, wide, TUNNEL_NAME_BYTES) &&
                 CompareStringOrdinal(description, -1, wide, -1, TRUE) == CSTR_EQUAL;
    if (description && !utf8_of(description, found, sizeof found))
        found[0] = 0;
    secure_buffer_clear(text);
    bool done = right ? secure_buffer_append(text, output.pbData, output.cbData) ||
                            fail(failure, EXIT_REFUSED, "out of memory")
                      : fail(failure, EXIT_INVALID,
                             "%.200s was encrypted for the tunnel \"%.60s\", not for %.60s: install the "
                             "configuration again",
                             path, found, name);
    if (description)
        LocalFree(description);
    secure_zero(output.pbData, output.cbData);
    LocalFree(output.pbData);
    return done;
}

bool store_load(const char *path, const char *name, struct secure_buffer *text, struct failure *failure)
{
    struct input input;
    DWORD code = input_open(&input, path);
    if (code)
        return fail_windows(failure, code, "%.200s: the configuration cannot be opened", path);
    code = input_read(&input, text, STORE_LIMIT_BYTES);
    input_close(&input);
    if (code)
        return fail_windows(failure, code, "%.200s: the configuration cannot be read", path);
    return !is_encrypted(path) || decrypt(path, name, text, failure);
}

struct config *store_parse(const struct secure_buffer *text, const char *file, struct failure *failure)
{
    failure->status = EXIT_INVALID;
    struct config *config = config_parse((const char *)text->data, text->length, CONFIG_QUICK, file,
                                         failure->text, sizeof failure->text);
    const char *refusal = config ? plan_refusal(config) : NULL;
    if (refusal || (config && !config->has_private_key)) {
        fail(failure, EXIT_INVALID, "%.200s: %s", file,
             refusal ? refusal : "[Interface] has no PrivateKey: add it");
        config_free(config);
        return NULL;
    }
    return config;
}

static DWORD write_file(const WCHAR *path, const void *data, DWORD length)
{
    DWORD put, code = 0;
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return GetLastError();
    /* On the disk before the name points to it, or a power failure leaves an empty file. */
    if (!WriteFile(file, data, length, &put, NULL) || !FlushFileBuffers(file))
        code = GetLastError();
    else if (put != length)
        code = ERROR_DISK_FULL;
    CloseHandle(file);
    return code;
}

bool store_save(const char *name, const struct secure_buffer *text, struct failure *failure)
{
    WCHAR wide[TUNNEL_NAME_BYTES], path[PATH_UNITS], new[PATH_UNITS];
    DATA_BLOB input = {.cbData = (DWORD)text->length, .pbData = text->data}, output = {0};
    if (!folders_prepare(failure))
        return false;
    if (!utf16_of(name, wide, TUNNEL_NAME_BYTES) ||
        !folder_file(FOLDER_CONFIGURATIONS, name, L".conf.dpapi", path) ||
        !folder_file(FOLDER_CONFIGURATIONS, name, L".conf.dpapi.new", new))
        return fail(failure, EXIT_USAGE, "%.60s: no file can have this name", name);
    if (!CryptProtectData(&input, wide, NULL, NULL, NULL, CRYPTPROTECT_UI_FORBIDDEN, &output))
        return fail_windows(failure, GetLastError(), "%.60s: the configuration cannot be encrypted", name);
    DWORD code = write_file(new, output.pbData, output.cbData);
    LocalFree(output.pbData);
    if (!code && !MoveFileExW(new, path, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
        code = GetLastError();
    if (!code)
        return true;
    DeleteFileW(new);
    return fail_windows(failure, code, "%.60s: the configuration cannot be stored", name);
}

bool store_delete(const char *name, struct failure *failure)
{
    WCHAR path[PATH_UNITS];
    if (folder_file(FOLDER_CONFIGURATIONS, name, L".conf.dpapi", path) && !DeleteFileW(path) &&
        GetLastError() != ERROR_FILE_NOT_FOUND && GetLastError() != ERROR_PATH_NOT_FOUND)
        return fail_windows(failure, GetLastError(), "%.60s: the stored configuration cannot be deleted",
                            name);
    return true;
}
