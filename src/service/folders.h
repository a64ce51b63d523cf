/* The service's folders, %ProgramData%\Wyrm\Configurations and \Logs, for LocalSystem and administrators
 * only.
 */
#pragma once

#include "failure.h"

#include <winsock2.h>

enum folder { FOLDER_CONFIGURATIONS, FOLDER_LOGS };

/* The path of NAME with `extension` in it; PATH_UNITS of room.  false: it does not fit, or the system does
 * not say where %ProgramData% is. */
bool folder_file(enum folder folder, const char *name, const WCHAR *extension, WCHAR *path);
/* Makes both.  Users may make folders in %ProgramData%: one of a stranger's is refused, and the access list
 * of one that is there is set again. */
bool folders_prepare(struct failure *failure);
