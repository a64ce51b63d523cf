/* Whether others than administrators and a file's owner can read it, as the warnings about keys want to know.
 */
#pragma once

#include <stdbool.h>
#include <winsock2.h>

/* Of an open file of a disk: its access list lets Everyone, Authenticated Users, Interactive or Users read,
 * or it has none.  false also when that cannot be told (a file system without access lists, a pipe). */
bool file_is_exposed(HANDLE file);
