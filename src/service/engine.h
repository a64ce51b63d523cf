/* The user-space engine instead of the driver: wyrm-engine.exe beside this program (docs/engine.md), one
 * process, whose end is the adapter's. */
#pragma once

#include "backend.h"

/* The registry value UseUserspaceImplementation of the vendor's key, a DWORD other than 0. */
bool engine_is_chosen(void);
/* Its program, PATH_UNITS of room.  false: GetLastError(). */
bool engine_path(WCHAR *path);
/* One in a process. */
struct backend *backend_engine(void);
