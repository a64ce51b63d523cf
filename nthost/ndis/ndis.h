/* What the files of ndis/ share: registered miniport drivers, their control devices, and adapters. */
#pragma once

#include "edge/coalesce.h"
#include "edge/edge.h"
#include "gate.h"
#include "host.h"
#include "io/file.h"
#include "nbl.h"
#include "ndis/adapter.h"
#include "nt/ndis.h"
#include "nt/netioapi.h"
#include "sched/sched.h"
#include "spin.h"

#include <pthread.h>

#define NDIS_HOST_VERSION NDIS_RUNTIME_VERSION_685 /* what NdisGetVersion answers */
#define ADAPTER_MAGIC     0x74706461u
#define HOST_CPUS_MAX     64u

struct ndis_driver {
    struct ndis_driver *next;
    DRIVER_OBJECT *object;
    NDIS_HANDLE context;
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS handlers;
    unsigned adapters; /* how many there are */
};

/* Microsoft's names: a miniport starts Halted; Initializing; Paused; Restarting; Running; Pausing; Paused ...
 */
enum adapter_state {
    ADAPTER_HALTED,
    ADAPTER_INITIALIZING,
    ADAPTER_PAUSED,
    ADAPTER_RESTARTING,
    ADAPTER_RUNNING,
    ADAPTER_PAUSING,
};

enum { ATTRIBUTES_REGISTRATION = 1, ATTRIBUTES_GENERAL = 2, ATTRIBUTES_OFFLOAD = 4, ATTRIBUTES_ASSIST = 8 };

/* Something a thread waits for with a limit. */
struct completion {
    struct sched_thread *waiter;
    bool done;
    int32_t status;
};

struct tx_buffer; /* NET_BUFFER, MDL and packet memory, preallocated */
struct tx_list;   /* NET_BUFFER_LIST, preallocated */

struct adapter_receive { /* per virtual CPU: its owner at DISPATCH_LEVEL uses it alone */
    struct coalescer coalescer;
};

/* What the miniport does for the stack: its current offload configuration, as far as it is used here. */
enum {
    OFFLOAD_SUM_TCP4 = 1, /* fills in checksums */
    OFFLOAD_SUM_UDP4 = 2,
    OFFLOAD_SUM_TCP6 = 4,
    OFFLOAD_SUM_UDP6 = 8,
    OFFLOAD_LARGE_TCP4 = 16, /* cuts super-segments */
    OFFLOAD_LARGE_TCP6 = 32,
    OFFLOAD_LARGE_UDP4 = 64,
    OFFLOAD_LARGE_UDP6 = 128,
    OFFLOAD_COALESCE4 = 256, /* coalesces received segments */
    OFFLOAD_COALESCE6 = 512,
    OFFLOAD_SUM_IP4 = 1024,
    OFFLOAD_OPTIONS_IP4 = 2048, /* checksums of packets with options as well */
    OFFLOAD_OPTIONS_TCP4 = 4096,
    OFFLOAD_OPTIONS_TCP6 = 8192,
    OFFLOAD_MARK_IP4 = 16384, /* checks checksums of received packets */
    OFFLOAD_MARK_TCP4 = 32768,
    OFFLOAD_MARK_UDP4 = 65536,
    OFFLOAD_MARK_TCP6 = 131072,
    OFFLOAD_MARK_UDP6 = 262144,
};
#define OFFLOAD_HEADERS_MAX 120u

/* Super-segments that the miniport cuts. */
struct offload_limits {
    uint32_t payload_max;
    uint32_t packets_min;
    bool equal_only; /* the last packet has to be as long as the others */
};

struct ndis_adapter {
    uint32_t magic;
    struct ndis_adapter *next;
    struct ndis_driver *driver;
    char name[16];
    struct tun *tun;
    DEVICE_OBJECT *physical, *functional;
    uint16_t guid_name[64];

    NDIS_HANDLE context; /* MiniportAdapterContext */
    enum adapter_state state;
    unsigned attributes;      /* ATTRIBUTES_* seen so far */
    uint32_t attribute_flags; /* of the registration attributes */
    uint32_t media_type, mtu_size, if_type;
    uint32_t supported_filters;
    uint32_t data_backfill, context_backfill;
    bool link_up;
    uint32_t offloads;              /* OFFLOAD_*, atomic */
    uint32_t offloads_before;       /* verify mode: until offloads_changed_ns */
    uint64_t offloads_changed_ns;   /* packets may have been on their way by the older ones */
    uint32_t offload_indications;   /* of the current configuration */
    struct offload_limits large[4]; /* TCP4, TCP6, UDP4, UDP6 */
    NDIS_OFFLOAD hardware;          /* HardwareOffloadCapabilities; its header is zero: not said */
    bool surprise_removed;
    bool removal_pending; /* QUERY_REMOVE seen, not cancelled */
    struct gate control;  /* state changes and OID requests, one at a time */
    struct completion *pausing, *restarting, *oid;
    NDIS_OID_REQUEST *oid_request;

    /* transmit: TUN to driver */
    struct gate send_gate; /* held during MiniportSendNetBufferLists */
    struct spin tx_lock;
    struct tx_buffer *tx_small, *tx_large;
    struct tx_list *tx_lists;
    int64_t tx_outstanding; /* NBLs given to the driver and not completed */
    int64_t tx_bytes;       /* their bytes */
    bool tx_throttled;
    uint64_t tx_packets, tx_dropped, tx_completed_bad;

    /* receive: driver to TUN */
    int64_t rx_outstanding; /* NBLs indicated and not returned */
    uint64_t rx_packets, rx_writes, rx_write_errors;
    struct adapter_receive receive[]; /* one per virtual CPU */
};

/* Finds the adapter or reports a foreign handle (verify) and returns NULL. */
struct ndis_adapter *adapter_from_handle(NDIS_HANDLE handle, const char *function);
/* The adapter whose functional device this is; NULL if none. */
struct ndis_adapter *adapter_from_device(const DEVICE_OBJECT *device);
/* Calls MiniportDevicePnPEventNotify when the driver has it. */
void adapter_notify_pnp(struct ndis_adapter *adapter, NDIS_DEVICE_PNP_EVENT event);
/* What IRP_MN_REMOVE_DEVICE means to NDIS: pause, then halt. Nothing to do when halted. */
void adapter_stop(struct ndis_adapter *adapter);

struct ndis_driver *driver_find(const DRIVER_OBJECT *object);

bool completion_wait(struct completion *completion, uint64_t timeout_ns); /* false: not done in time */
void completion_done(struct completion *completion, int32_t status);

int transmit_initialize(struct ndis_adapter *adapter);
void transmit_free(struct ndis_adapter *adapter);
void transmit_burst(void *adapter, struct tun_packet *packets, unsigned count); /* a tun_receive */
void transmit_update_throttle(struct ndis_adapter *adapter);
void receive_initialize(struct ndis_adapter *adapter);

/* ---- task offloads: negotiation (offload.c) ---- */
/* What NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES says. */
void offload_attributes(struct ndis_adapter *adapter,
                        const NDIS_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES *attributes);
/* NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG and ..._HARDWARE_CAPABILITIES. */
void offload_indicated(struct ndis_adapter *adapter, const NDIS_STATUS_INDICATION *indication);
/* What the TCP/IP stack asks for when it binds. */
void offload_bind(struct ndis_adapter *adapter);
/* OFFLOAD_* of now, and in verify mode those of the moment before. */
uint32_t offload_lately(const struct ndis_adapter *adapter);

/* ---- task offloads: packets (offload_packet.c) ---- */
/* A TUN packet that the miniport completes itself. */
struct offload_send {
    uint32_t index; /* of NetBufferListInfo */
    uint32_t word;
    uint32_t length;
    uint32_t ip_bytes, header_bytes; /* header_bytes: of a packet to be cut, else 0 */
    uint32_t packets;                /* that it becomes */
    uint8_t version, protocol;       /* protocol: of a packet to be cut, else 0 */
};
/* False: the host itself has to cut and to sum. */
bool offload_fits(struct ndis_adapter *adapter, const struct tun_packet *packet, struct offload_send *send);
/* Writes the information into the NBL, and the packet's headers (`data`, all contiguous) as it demands. */
void offload_write(const struct offload_send *send, uint8_t *data, NET_BUFFER_LIST *list);
/* Verify mode: a completed NBL that was sent with information `index`. */
void offload_check_completed(const NET_BUFFER_LIST *list, uint32_t index);
/* Verify mode: the offload information of an indicated NBL whose bytes are iov[0..pieces-1]. */
void offload_check_received(struct ndis_adapter *adapter, const NET_BUFFER_LIST *list,
                            const struct iovec *iov, unsigned pieces);
/* Makes a received unit of coalesced segments (iov[1..*pieces]) one write to the TUN: iov[0] becomes the
 * headers, changed, in `headers`.  False: it is no TCP packet. */
bool offload_unit(const NET_BUFFER_LIST *list, struct iovec *iov, unsigned *pieces,
                  uint8_t headers[OFFLOAD_HEADERS_MAX], struct tun_packet *packet);

/* verify mode: sends with memory of their own, split at random (transmit_strict.c). The packets of one TUN
 * packet as a chain of NBLs; NULL if it is malformed. */
NET_BUFFER_LIST *strict_list(struct ndis_adapter *adapter, const struct tun_packet *packet);
/* Checks that the driver left data and MDLs as they were, then frees; returns the bytes of packets in it. */
uint32_t strict_completed(struct ndis_adapter *adapter, NET_BUFFER_LIST *list);
/* Sets all fields of an NBL about to be sent as Windows does. */
void transmit_prepare_list(struct ndis_adapter *adapter, NET_BUFFER_LIST *list, uint8_t version);

/* Names and functions that nt/ does not declare, because not every miniport uses them. */
NTKERNELAPI VOID NTAPI NdisAdjustNetBufferCurrentMdl(PNET_BUFFER NetBuffer);
NTKERNELAPI VOID NTAPI NdisAdvanceNetBufferListDataStart(PNET_BUFFER_LIST NetBufferList,
                                                         ULONG DataOffsetDelta, BOOLEAN FreeMdl,
                                                         NET_BUFFER_FREE_MDL_HANDLER FreeMdlHandler);
NTKERNELAPI NDIS_STATUS NTAPI NdisRetreatNetBufferListDataStart(
    PNET_BUFFER_LIST NetBufferList, ULONG DataOffsetDelta, ULONG DataBackFill,
    NET_BUFFER_ALLOCATE_MDL_HANDLER AllocateMdlHandler, NET_BUFFER_FREE_MDL_HANDLER FreeMdlHandler);
