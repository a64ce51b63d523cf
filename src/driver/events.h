/* What happens to the adapter and its peers, for programs that want to know
 * (include/wyrm/control_extensions.h): a bounded ring with sequence numbers.  Each reader says which event it
 * knew last; what was overwritten since is counted. */
#pragma once

#include "nt/io.h"
#include "wyrm/control_extensions.h"

#include <stdint.h>

struct adapter;
struct peer;

NTSTATUS events_initialize(struct adapter *adapter);
/* Cancels the readers that still wait, frees.  PASSIVE_LEVEL. */
void events_uninitialize(struct adapter *adapter);

/* Something happened.  The caller holds no lock under which a request must not be completed, that is no spin
 * lock.  IRQL <= DISPATCH_LEVEL. */
void event_of_adapter(struct adapter *adapter, enum wyrm_event_kind kind, uint32_t value);
void event_of_peer(struct peer *peer, enum wyrm_event_kind kind, uint32_t value);

/* EVENTS request, the lengths of which were checked: completes when there are events, or pends.  The dispatch
 * routine returns STATUS_PENDING in any case.  PASSIVE_LEVEL. */
void events_read(struct adapter *adapter, IRP *irp);
/* Completes every waiting reader: of one handle (cleanup), or all (file NULL: removal, halt). */
void events_wake(struct adapter *adapter, FILE_OBJECT *file, NTSTATUS status);
