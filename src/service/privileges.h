/* The least privileges that work: what the service's configuration asks for, and what the process keeps. */
#pragma once

#include <winsock2.h>

/* For SERVICE_REQUIRED_PRIVILEGES_INFO: a list of names, ended by an empty one. */
extern WCHAR privileges_required[];

/* Takes all others away from this process, for good.  0 or a code of Windows. */
DWORD privileges_drop(void);
