/* config_load() of config.h on Windows. */
#include "config.h"
#include "exposure.h"
#include "input.h"
#include "library.h"

#include <stdio.h>
#include <string.h>

#define CONFIG_FILE_LIMIT_BYTES (64u << 20)

struct config *config_load(const char *path, enum config_kind kind, const char *program, char *error,
                           size_t error_size)
{
    struct secure_buffer text = {0};
    struct config *config = NULL;
    struct input input;
    char why[200];
    bool standard = kind == CONFIG_WG && !strcmp(path, "-");
    DWORD code = standard ? input_standard(&input) : input_open(&input, path);
    if (code) {
        windows_text(code, why, sizeof why);
        snprintf(error, error_size, "%s: cannot open the configuration: %s", path, why);
        return NULL;
    }
    if (file_is_exposed(input.handle))
        fprintf(stderr,
                "%s: warning: %s holds keys and every user can read it: icacls FILE /inheritance:r /grant "
                "*S-1-5-32-544:F\n",
                program, standard ? "standard input" : path);
    code = kind == CONFIG_QUICK && GetFileType(input.handle) != FILE_TYPE_DISK
               ? ERROR_BAD_FILE_TYPE
               : input_read(&input, &text, CONFIG_FILE_LIMIT_BYTES);
    input_close(&input);
    if (code) {
        windows_text(code, why, sizeof why);
        snprintf(error, error_size, "%s: cannot read the configuration: %s", path, why);
    } else {
        config = config_parse((const char *)text.data, text.length, kind, standard ? "standard input" : path,
                              error, error_size);
    }
    secure_buffer_free(&text);
    return config;
}
