/* One timer wheel per adapter: 10 ms ticks, no timer armed while it is empty.  The data path only stores
 * times; on expiry peer_timers_expire looks at them.  */
#pragma once

#include "nt/ke.h"

#include <stdbool.h>
#include <stdint.h>

struct adapter;

struct wheel_entry {
    LIST_ENTRY link; /* empty = not in the wheel */
    uint64_t deadline_ns;
    void (*expired)(struct wheel_entry *entry); /* DISPATCH_LEVEL, in an epoch */
};

NTSTATUS wheel_initialize(struct adapter *adapter);
void wheel_uninitialize(struct adapter *adapter); /* no callback runs afterwards. PASSIVE_LEVEL */
/* An entry that `expired` is called for; it is taken out of the wheel before. */
void wheel_entry_initialize(struct wheel_entry *entry, void (*expired)(struct wheel_entry *entry));
/* Puts the entry at a deadline (UINT64_MAX: nowhere); `sooner` only when it is not in the wheel or stands
 * later.  Expiry is up to 10 ms late (and what the system adds), never early.  IRQL <= DISPATCH_LEVEL. */
void wheel_set(struct adapter *adapter, struct wheel_entry *entry, uint64_t deadline_ns);
void wheel_set_sooner(struct adapter *adapter, struct wheel_entry *entry, uint64_t deadline_ns);
void wheel_remove(struct adapter *adapter, struct wheel_entry *entry);
/* Looks for what is due right now: timers do not run while the system sleeps.  IRQL <= DISPATCH_LEVEL. */
void wheel_kick(struct adapter *adapter);
uint64_t time_now_ns(void); /* interrupt time (counts sleep). any IRQL */
