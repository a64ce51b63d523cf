/* An adapter's drop counters. */
#include "adapter.h"
#include "log.h"
#include "wyrm/control_extensions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const reasons[] = {WYRM_DROP_NAMES};
_Static_assert(sizeof(reasons) / sizeof(reasons[0]) == WYRM_DROP_REASON_COUNT, "a name for each reason");

enum { DROPS_MAX = 1024 }; /* far above what any driver will count */

struct drops {
    struct wyrm_ioctl_drops head;
    DWORD64 values[DROPS_MAX];
};

/* A newer driver's reasons have numbers only. */
static void name_of(DWORD reason, CHAR name[sizeof(((WYRM_DROP_COUNTER *)0)->Name)])
{
    memset(name, 0, sizeof(((WYRM_DROP_COUNTER *)0)->Name));
    if (reason < WYRM_DROP_REASON_COUNT)
        memcpy(name, reasons[reason], strlen(reasons[reason]));
    else
        snprintf(name, sizeof(((WYRM_DROP_COUNTER *)0)->Name), "reason-%lu", reason);
}

/* The error, and in *count how many of `drops` were read. */
static DWORD drops_read(const wchar_t *path, struct drops *drops, DWORD *count)
{
    DWORD bytes = 0;
    HANDLE device = control_open(path, true);
    if (device == INVALID_HANDLE_VALUE)
        return GetLastError();
    BOOL done = DeviceIoControl(device, WYRM_IOCTL_DROPS, NULL, 0, drops, sizeof(*drops), &bytes, NULL);
    DWORD error = done ? ERROR_SUCCESS : GetLastError();
    CloseHandle(device);
    if (driver_knows_not(error)) {
        log_failure(ERROR_NOT_SUPPORTED, L"The running driver is too old for this; install a newer one");
        return ERROR_NOT_SUPPORTED;
    }
    if (error == ERROR_SUCCESS && bytes < sizeof(drops->head))
        error = ERROR_INVALID_DATA;
    if (error != ERROR_SUCCESS)
        log_failure(error, L"Cannot read the adapter's drop counters");
    else
        *count = (DWORD)((bytes - sizeof(drops->head)) / sizeof(drops->values[0]));
    return error;
}

BOOL WINAPI WyrmGetDropCounters(WIREGUARD_ADAPTER_HANDLE Adapter, WYRM_DROP_COUNTER *Counters, DWORD *Count)
{
    DWORD count = 0;
    if (!Count || (!Counters && *Count))
        return log_failure(ERROR_INVALID_PARAMETER, L"There is no buffer for the drop counters");
    struct drops *drops = malloc(sizeof(*drops));
    if (!drops)
        return log_failure(ERROR_NOT_ENOUGH_MEMORY, L"No memory for the drop counters");
    DWORD error = drops_read(Adapter->interface_path, drops, &count);
    if (error == ERROR_SUCCESS) {
        if (count > *Count)
            error = ERROR_MORE_DATA;
        for (DWORD i = 0; error == ERROR_SUCCESS && i < count; i++) {
            name_of(i, Counters[i].Name);
            Counters[i].Value = drops->values[i];
        }
        *Count = count;
    }
    free(drops);
    SetLastError(error);
    return error == ERROR_SUCCESS;
}
