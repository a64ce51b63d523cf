/* The adapter's log: a ring of 64 lines that LOG requests consume; when it is full the oldest line goes and
 * the gap is counted and reported.  A line is formatted before it enters, so none is ever torn.  No secrets,
 * ever. */
#pragma once

#include "nt/io.h"

#include <stdint.h>

struct adapter;

enum log_level { LOG_ERROR = '1', LOG_WARNING = '2', LOG_INFORMATION = '3' };

/* printf subset: %s %u %d %x %llu %pI (const SOCKADDR_INET *, printed as address:port) %% .  UTF-8, cut at
 * 119 bytes. IRQL <= DISPATCH_LEVEL. */
void log_line(struct adapter *adapter, enum log_level level, const char *format, ...);
/* The same, rate-limited per adapter: burst of 10 per 5 s, then one line that says how many were swallowed.
 * The test comes before any formatting. */
void log_line_limited(struct adapter *adapter, enum log_level level, const char *format, ...);

NTSTATUS log_ring_initialize(struct adapter *adapter);
/* Cancels the readers that still wait, frees. PASSIVE_LEVEL. */
void log_ring_uninitialize(struct adapter *adapter);
/* LOG request: completes with the oldest line or pends until there is one (cancel-safe).  The dispatch
 * routine returns STATUS_PENDING in any case.  PASSIVE_LEVEL. */
void log_ring_read(struct adapter *adapter, IRP *irp);
/* Completes every waiting reader: of one handle (cleanup), or all (file NULL: removal, halt) with `status`.
 */
void log_ring_wake(struct adapter *adapter, FILE_OBJECT *file, NTSTATUS status);
