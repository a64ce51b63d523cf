/* The kill switch: while it is on, nothing but a tunnel carries this machine's traffic.  Filters of the
 * Windows Filtering Platform (Microsoft, "Windows Filtering Platform"), all in a dynamic session: they vanish
 * with firewall_close() and with the process, however it ends.  When it applies, and what it lets pass:
 * docs/decisions/kill-switch.md, plan_wants_kill_switch() of src/tunnel.
 *
 * fwpuclnt.dll is looked up at run time, so that a recording stand-in can take its place. */
#pragma once

#include "win/netio.h"

struct firewall_settings {
    const WCHAR *name; /* shown by Windows for whatever is made, such as "Wyrm tunnel home" */
    NET_LUID luid;     /* the tunnel's interface */
    /* Who carries the tunnel: full paths, by drive letter, of the process that brings the adapter up and of
     * an engine.  At least one. */
    const WCHAR *const *programs;
    size_t program_count;
    /* The SID of the service that these run as (firewall_service_sid()); NULL: whoever runs them. */
    PSID service;
    /* The tunnel's DNS servers: no others are asked; none of them: any, as long as it is through the tunnel.
     */
    const struct netio_prefix *dns; /* lengths do not matter */
    size_t dns_count;
};

struct firewall;

/* Turns it on.  All or nothing: every filter is added in one transaction.  Returns 0, or an error code of
 * Windows or of the platform (FWP_E_..., Microsoft, "WFP Error Codes"); then `step`, if not NULL, is the
 * function that failed.  ERROR_NOT_SUPPORTED: this Windows has no fwpuclnt.dll.
 * To change settings without a gap: open the new one, then close the old one.  Any thread. */
DWORD firewall_open(const struct firewall_settings *settings, struct firewall **firewall, const char **step);
/* Turns it off.  NULL is allowed. */
void firewall_close(struct firewall *firewall);

/* The SID that the service control manager gave this process' token (S-1-5-80-...; Microsoft,
 * "SERVICE_SID_INFO"), into `size` bytes, of which SECURITY_MAX_SID_SIZE are enough.  false: it runs as no
 * service, or as one without a SID of its own. */
bool firewall_service_sid(PSID sid, DWORD size);
