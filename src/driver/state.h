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
/* OID_PNP_SET_POWER to anything but D0: the keys of all sessions and handshakes and the packets that wait are
 * erased, and none are made until the system is back.  PASSIVE_LEVEL. */
void state_suspended(struct adapter *adapter);
/* D0.  After a suspend the peers begin anew, as after Up; without one (a sleep that the adapter was not told
 * of) sessions older than their limit are erased at once.  PASSIVE_LEVEL. */
void state_resumed(struct adapter *adapter);
