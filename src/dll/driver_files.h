/* The driver that comes with the DLL, as files that SetupAPI can read, and the age of an INF. */
#pragma once

#include "wyrm/wireguard.h"

#include <stdbool.h>

enum { PATH_UNITS = 520 };

struct driver_files {
    wchar_t inf[PATH_UNITS];
    wchar_t folder[PATH_UNITS]; /* to be removed with its files; empty: the files stand beside the DLL */
};

/* Finds or unpacks them.  False: there are none (ERROR_FILE_NOT_FOUND, not logged) or they cannot be written
 * (logged). */
bool driver_files_get(struct driver_files *files);
void driver_files_remove(struct driver_files *files);

/* DriverVer of an INF as one number that grows with the date first, the version second; 0: it says none. */
struct driver_age {
    DWORD64 date, version;
};
struct driver_age driver_age_of(const wchar_t *inf);
/* Negative, 0, positive: a is older, the same, newer. */
int driver_age_compare(struct driver_age a, struct driver_age b);
