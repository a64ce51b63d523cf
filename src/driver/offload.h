/* Which task offloads the adapter offers, has been told to do, and does: NDIS_OFFLOAD and its OIDs, and the
 * standardized keywords (Microsoft: "TCP/IP Task Offload", "Standardized INF Keywords for Network Devices").
 * The data path reads adapter.offload.active, one relaxed load a pass. */
#pragma once

#include "nt/ndis.h"

#include <stdbool.h>
#include <stdint.h>

struct adapter;

enum offload_flag {
    OFFLOAD_TX_IP4 = 1u << 0, /* transmit: IPv4 header checksum */
    OFFLOAD_TX_TCP4 = 1u << 1,
    OFFLOAD_TX_UDP4 = 1u << 2,
    OFFLOAD_TX_TCP6 = 1u << 3,
    OFFLOAD_TX_UDP6 = 1u << 4,
    OFFLOAD_RX_IP4 = 1u << 5, /* receive: say that checksums are right */
    OFFLOAD_RX_TCP4 = 1u << 6,
    OFFLOAD_RX_UDP4 = 1u << 7,
    OFFLOAD_RX_TCP6 = 1u << 8,
    OFFLOAD_RX_UDP6 = 1u << 9,
    OFFLOAD_LSO4 = 1u << 10, /* large send, version 2 */
    OFFLOAD_LSO6 = 1u << 11,
    OFFLOAD_USO4 = 1u << 12, /* UDP segmentation */
    OFFLOAD_USO6 = 1u << 13,
    OFFLOAD_RSC4 = 1u << 14, /* receive segment coalescing */
    OFFLOAD_RSC6 = 1u << 15,
    OFFLOAD_ALL = (1u << 16) - 1,
};

/* A packet to be cut: its payload is at most so long, and makes at least so many segments. */
#define OFFLOAD_CUT_MAX_BYTES    65536u
#define OFFLOAD_CUT_MIN_SEGMENTS 2u

/* Written by MiniportInitializeEx and by OID requests, which NDIS serializes. */
struct offload_state {
    uint32_t configured;      /* by the keywords, then by OID_TCP_OFFLOAD_PARAMETERS */
    bool off[2];              /* OID_OFFLOAD_ENCAPSULATION switched a family off; [0] IPv4, [1] IPv6 */
    bool bound[2];            /* it was switched on: receive offloads wait for that */
    volatile uint32_t active; /* what the data path does: offload_flag */
};

/* Reads the keywords and sets the offload attributes.  In MiniportInitializeEx, PASSIVE_LEVEL. */
NDIS_STATUS offload_set_attributes(struct adapter *adapter);
/* OID_TCP_OFFLOAD_PARAMETERS and OID_OFFLOAD_ENCAPSULATION, set.  Nothing changes unless they succeed. */
NDIS_STATUS offload_set_parameters(struct adapter *adapter, NDIS_OID_REQUEST *request);
NDIS_STATUS offload_set_encapsulation(struct adapter *adapter, NDIS_OID_REQUEST *request);
