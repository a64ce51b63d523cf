/* Host side of one NDIS adapter: what a class installer, the PnP manager and the protocol stack do to a
 * miniport. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct _DEVICE_OBJECT;
struct _DRIVER_OBJECT;
struct ndis_adapter;
struct tun;

struct ndis_adapter_options {
    const char *name;     /* Linux interface name of the TUN, at most 15 bytes */
    uint32_t mtu;         /* initial MTU of the TUN; 0 = the driver's MtuSize, as far as a TUN can */
    bool no_segmentation; /* do not use vnet_hdr offloads on the TUN */
};

/* The configuration that NdisReadConfiguration finds: `setting` ("*LsoV2IPv4=0") replaces a default or adds
 * to them, for adapters made from now on; the last one of a name holds.  Stays the caller's memory.  False:
 * no room, or no setting. */
#define NDIS_KEYWORD_MAX 63
bool ndis_keyword_set(const char *setting);
/* Forgets all of them. */
void ndis_keyword_clear(void);

/* MiniportInitializeEx .. MiniportRestart: 0, or a negative errno with `error` filled; undone on failure. */
int ndis_adapter_create(struct _DRIVER_OBJECT *driver, const struct ndis_adapter_options *options,
                        struct ndis_adapter **adapter, char *error, unsigned error_size);
/* Pause, halt, free. Waits (bounded, reported) for outstanding NBLs. */
void ndis_adapter_destroy(struct ndis_adapter *adapter);
int32_t ndis_adapter_pause(struct ndis_adapter *adapter);
int32_t ndis_adapter_restart(struct ndis_adapter *adapter);
void ndis_adapter_surprise_remove(struct ndis_adapter *adapter);
struct _DEVICE_OBJECT *ndis_adapter_device(struct ndis_adapter *adapter);
const char *ndis_adapter_name(struct ndis_adapter *adapter);
/* OID request to the miniport; returns NDIS_STATUS; *bytes = written/read or needed. `set`: set instead of
 * query. */
int32_t ndis_adapter_oid(struct ndis_adapter *adapter, bool set, uint32_t oid, void *buffer, uint32_t length,
                         uint32_t *bytes);
/* MtuSize (NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES) of the adapter behind a Linux interface; 0 if there is
 * none. */
uint32_t ndis_adapter_media_mtu(uint32_t ifindex);
bool ndis_adapter_link_up(struct ndis_adapter *adapter);
/* Its upper edge. */
struct tun *ndis_adapter_tun(struct ndis_adapter *adapter);
