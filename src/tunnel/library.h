/* wyrm.dll as the tool uses it: loaded from the folder of the program, its functions looked up by name. Texts
 * of the tool are UTF-8, those of Windows UTF-16. */
#pragma once

#define WYRM_NO_PROTOTYPES
#include <wyrm/wireguard.h>

#include "failure.h"

struct library {
    WIREGUARD_CREATE_ADAPTER_FUNC *create;
    WIREGUARD_OPEN_ADAPTER_FUNC *open;
    WIREGUARD_CLOSE_ADAPTER_FUNC *close;
    WIREGUARD_GET_ADAPTER_LUID_FUNC *luid;
    WIREGUARD_SET_ADAPTER_STATE_FUNC *set_state;
    WIREGUARD_GET_ADAPTER_STATE_FUNC *get_state;
    WIREGUARD_GET_CONFIGURATION_FUNC *get;
    WIREGUARD_GET_RUNNING_DRIVER_VERSION_FUNC *version;
    WIREGUARD_DELETE_DRIVER_FUNC *delete_driver;
    WIREGUARD_SET_LOGGER_FUNC *set_logger;
    WIREGUARD_SET_ADAPTER_LOGGING_FUNC *set_logging;
    WYRM_ENUMERATE_ADAPTERS_FUNC *enumerate;
    WYRM_SET_CONFIGURATION_ATOMICALLY_FUNC *set;
    WYRM_OPEN_EVENTS_FUNC *open_events;
    WYRM_READ_EVENTS_FUNC *read_events;
    WYRM_CLOSE_EVENTS_FUNC *close_events;
};

/* The path of a file in the folder of the program (or DLL) that this is part of.  false: GetLastError(). */
bool beside_us(const WCHAR *file, WCHAR *path, DWORD units);
/* Loads it at the first call and keeps it.  NULL: `failure` says why. */
const struct library *library_load(struct failure *failure);
/* For library_load()'s owner: opens an adapter by its name; NULL: `failure` says why. */
WIREGUARD_ADAPTER_HANDLE library_open(const struct library *library, const char *name,
                                      struct failure *failure);

/* As fail_errno(), for the error codes of Windows. */
bool fail_windows(struct failure *failure, DWORD code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Windows' own words for an error code, on one line. */
void windows_text(DWORD code, char *text, size_t size);
/* false: it does not fit, or is no correct UTF-8 (UTF-16). */
bool utf16_of(const char *text, WCHAR *wide, int units);
bool utf8_of(const WCHAR *wide, char *text, int bytes);
