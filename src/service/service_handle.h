/* Services of tunnels by the tunnel's name. */
#pragma once

#include "failure.h"

#include <stdbool.h>
#include <winsock2.h>

/* NULL: `failure` says why (EXIT_NO_ADAPTER: there is no such service). */
SC_HANDLE service_manager(DWORD access, struct failure *failure);
SC_HANDLE service_open(const char *name, DWORD access, struct failure *failure);
/* The service's name, SERVICE_NAME_UNITS of room; false: no tunnel has such a name. */
bool service_name(const char *name, WCHAR *wide, struct failure *failure);
bool service_query(SC_HANDLE service, const char *name, SERVICE_STATUS_PROCESS *status,
                   struct failure *failure);
/* Tells each tunnel's service; `visit` returns false to end it. */
typedef bool service_visit(const char *name, const SERVICE_STATUS_PROCESS *status, void *context);
bool service_each(service_visit *visit, void *context, struct failure *failure);
/* Waits until it has left `pending`; `status` is what it has come to. */
bool service_wait(SC_HANDLE service, const char *name, DWORD pending, DWORD wait_ms,
                  SERVICE_STATUS_PROCESS *status, struct failure *failure);
