/* The adapter's state machine: halted / paused / running crossed with down / up, removal and power.  Sessions
 * survive a pause; nothing is indicated and nothing accepted while paused. */
#pragma once

#include "adapter.h"

/* MiniportRestart / MiniportPause. PASSIVE_LEVEL. Pause returns when every accepted NBL is completed and no
 * indication is under way and every indicated NBL is back. */
NDIS_STATUS state_restart(struct adapter *adapter);
NDIS_STATUS state_pause(struct adapter *adapter);
/* STATE verbs; config_lock held by the caller.  STATUS_ALREADY_COMPLETE when there is nothing to do.  Up
 * opens the sockets (owner = current process), indicates link up, starts timers and keepalives, flushes
 * staged packets; Down undoes it and erases sessions and handshakes. PASSIVE_LEVEL. */
NTSTATUS state_up(struct adapter *adapter);
NTSTATUS state_down(struct adapter *adapter);
/* IRP_MN_QUERY_REMOVE / SURPRISE_REMOVAL, and CANCEL_REMOVE. */
void state_removing(struct adapter *adapter, bool removing);
/* Resume from suspend (OID_PNP_SET_POWER D0): sessions older than their limit are erased at once. */
void state_resumed(struct adapter *adapter);
