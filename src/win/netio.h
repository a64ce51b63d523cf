/* Addresses, routes, MTU, metric and DNS of an interface on Windows: the one thin layer over the IP Helper
 * functions (Microsoft, "IP Helper") for the command-line tool and the tunnel service.  The functions are
 * looked up in iphlpapi.dll at run time, so that a recording stand-in can take its place where they are
 * missing (Wine); without one, ERROR_NOT_SUPPORTED.
 *
 * Any thread.  All return 0 or an error code of Windows; what is so already is a success.  Everything but DNS
 * of Windows before 10 2004 vanishes with the interface. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <winsock2.h>
#include <ws2ipdef.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>
#include <netioapi.h>

/* The layout of config_prefix (src/config), so that one is easily made of the other. */
struct netio_prefix {
    uint8_t family;    /* 4 or 6 */
    uint8_t length;    /* bits */
    uint8_t bytes[16]; /* network order, IPv4 in the first 4 */
};

/* Adds an address with its on-link prefix; duplicate address detection is skipped, so that it serves at once.
 */
DWORD netio_add_address(const NET_LUID *luid, const struct netio_prefix *address);
DWORD netio_delete_address(const NET_LUID *luid, const struct netio_prefix *address);
/* Adds an on-link route; host bits are cleared.  Metric: added to that of the interface. */
DWORD netio_add_route(const NET_LUID *luid, const struct netio_prefix *destination, uint32_t metric);
DWORD netio_delete_route(const NET_LUID *luid, const struct netio_prefix *destination);
/* Of one family (4 or 6): the MTU, and a metric instead of the automatic one (NETIO_METRIC_KEEP: as it is;
 * NETIO_METRIC_AUTOMATIC: the automatic one again).
 * Waits up to `wait_ms` for the family to come to a new interface. */
#define NETIO_METRIC_KEEP      0xFFFFFFFFu
#define NETIO_METRIC_AUTOMATIC 0xFFFFFFFEu
DWORD netio_set_interface(const NET_LUID *luid, uint8_t family, uint32_t mtu, uint32_t metric,
                          uint32_t wait_ms);
/* The interface of this name (of the connection). */
DWORD netio_find(const WCHAR *alias, NET_LUID *luid);
/* The MTU of one family. */
DWORD netio_get_mtu(const NET_LUID *luid, uint8_t family, uint32_t *mtu);
/* The interface that packets to an address leave by, its MTU, and not by `without` when that is not NULL
 * (then a default route there is passed over by looking at all routes). */
DWORD netio_way_to(const SOCKADDR_INET *to, const NET_LUID *without, NET_LUID *luid, uint32_t *mtu);
/* Calls `each` for every connected interface and family (4 or 6) whose settings can lead packets past a
 * tunnel: it forwards between interfaces, or sends from addresses of other interfaces (weak host model,
 * RFC 1122 section 3.3.4.2).  `alias`: its name. */
typedef void netio_risky(void *context, const WCHAR *alias, uint8_t family, bool forwards, bool weak_host);
DWORD netio_risky_interfaces(netio_risky *each, void *context);
/* DNS servers (addresses in text, with commas between) and search domains of one family of an interface,
 * given by its GUID; both empty: none.  At most 2047 UTF-16 units each. */
DWORD netio_set_dns(const NET_LUID *luid, uint8_t family, const WCHAR *servers, const WCHAR *domains);
