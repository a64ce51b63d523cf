/* Requests to Winsock Kernel that are waited for.  Internal to wsk.c and udp_socket.c. */
#pragma once

#include "nt/io.h"
#include "nt/wsk.h"

#include <stdbool.h>

/* An IRP and its event, for one operation after the other.  PASSIVE_LEVEL. */
struct wsk_request {
    IRP *irp;
    KEVENT done;
};

bool wsk_request_initialize(struct wsk_request *request); /* false: no memory */
void wsk_request_uninitialize(struct wsk_request *request);
/* Makes the IRP ready for the next operation. */
IRP *wsk_request_begin(struct wsk_request *request);
/* Waits for the operation that was begun and whose call returned `status`; its final status.  `information`
 * (may be NULL): IoStatus.Information. */
NTSTATUS wsk_request_end(struct wsk_request *request, NTSTATUS status, ULONG_PTR *information);

/* The captured provider; valid after wsk_ensure_registered succeeded. */
const WSK_PROVIDER_NPI *wsk_provider(void);
/* Is there a transport for datagrams of this family?  Asked anew each time. */
bool wsk_has_family(ADDRESS_FAMILY family);
