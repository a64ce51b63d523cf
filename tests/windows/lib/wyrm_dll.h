/* wyrm.dll as a program gets it that knows the documented interface alone: loaded, its functions looked up by
 * name. */
#pragma once

#define WYRM_NO_PROTOTYPES
#include <wyrm/wireguard.h>

#include <stdbool.h>

/* The DLL as the suite installs it, the driver's package beside it. */
#define WYRM_DLL L"C:\\wyrm\\wyrm.dll"

struct wyrm_dll {
    HMODULE module;
    WIREGUARD_CREATE_ADAPTER_FUNC *create;
    WIREGUARD_OPEN_ADAPTER_FUNC *open;
    WIREGUARD_CLOSE_ADAPTER_FUNC *close;
    WIREGUARD_GET_ADAPTER_LUID_FUNC *luid;
    WIREGUARD_GET_ADAPTER_STATE_FUNC *get_state;
    WIREGUARD_SET_ADAPTER_STATE_FUNC *set_state;
    WIREGUARD_GET_CONFIGURATION_FUNC *get;
    WIREGUARD_SET_CONFIGURATION_FUNC *set;
    WIREGUARD_GET_RUNNING_DRIVER_VERSION_FUNC *version;
    WIREGUARD_DELETE_DRIVER_FUNC *delete_driver;
    WIREGUARD_SET_LOGGER_FUNC *set_logger;
    WIREGUARD_SET_ADAPTER_LOGGING_FUNC *set_logging;
    WYRM_ENUMERATE_ADAPTERS_FUNC *enumerate;
    WYRM_SET_CONFIGURATION_ATOMICALLY_FUNC *set_atomically;
    WYRM_GET_DROP_COUNTERS_FUNC *drops;
    WYRM_OPEN_EVENTS_FUNC *open_events;
    WYRM_READ_EVENTS_FUNC *read_events;
    WYRM_CLOSE_EVENTS_FUNC *close_events;
};

/* False with a FAILED line: the DLL or one of its functions is missing. */
bool wyrm_dll_load(struct wyrm_dll *dll);
/* Waits until nothing of the DLL runs any more; false: something keeps it. */
bool wyrm_dll_unload(struct wyrm_dll *dll);
