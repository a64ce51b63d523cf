/* Tells when this machine's routes, interfaces or addresses have changed (Microsoft, "NotifyRouteChange2",
 * "NotifyIpInterfaceChange", "NotifyUnicastIpAddressChange"), once for a burst of changes.  The functions are
 * looked up in iphlpapi.dll at run time. */
#pragma once

#include <stdint.h>

#include <winsock2.h>

struct network_watch;

/* On a thread of the watch's own, one call at a time; may take its time, but must not wait for whoever calls
 * network_watch_stop(). */
typedef void network_changed(void *context);

/* Starts.  `quiet_ms`: the call comes when nothing has changed for so long, but at the latest ten times as
 * long after the first change; a change during a call leads to another.  0, or an error code;
 * ERROR_NOT_SUPPORTED: this Windows (or Wine) lacks a function. */
DWORD network_watch_start(struct network_watch **watch, uint32_t quiet_ms, network_changed *changed,
                          void *context);
/* Stops; when it returns, no call is under way and none will come.  Not from `changed`.  NULL is allowed. */
void network_watch_stop(struct network_watch *watch);
