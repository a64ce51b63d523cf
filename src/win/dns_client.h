/* Windows' DNS client (the service Dnscache), as what changes its settings in the registry needs it. */
#pragma once

#include <winsock2.h>

/* Has it read its settings again (the control PARAMCHANGE).  0, or an error code of Windows:
 * ERROR_SERVICE_DOES_NOT_EXIST, ERROR_SERVICE_NOT_ACTIVE (it reads them when it starts) ... */
DWORD dns_client_refresh(void);
/* Whether it is there, and disabled: then programs ask the servers of the interfaces themselves, and rules
 * for names (name_rules.h) do not work. */
BOOL dns_client_disabled(void);
