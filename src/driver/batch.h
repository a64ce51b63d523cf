/* The unit of work: packets of one peer and one session in one direction, at most 64 packets or 64 KB of
 * plaintext. A batch owns its memory (one allocation: tables, MDLs, one contiguous buffer), one reference to
 * its session, and a ticket. */
#pragma once

#include "counters.h"
#include "endpoint.h"
#include "nbl_chain.h"
#include "nt/io.h"
#include "nt/ndis.h"
#include "nt/ws2.h"
#include "nt/wsk.h"
#include "worker.h"

#include <stdbool.h>
#include <stdint.h>

#define BATCH_PACKETS         64
#define BATCH_PLAINTEXT_BYTES 65536

/* What a data message adds to its plaintext: header and tag; padding is at most 15 bytes. */
#define MESSAGE_OVERHEAD_BYTES    32
#define MESSAGE_PADDING_MAX_BYTES 15
/* Messages of a transmit batch in all: what one segmented send can take over IPv6 (65535 - 40 - 8). */
#define BATCH_MESSAGES_MAX_BYTES 65487
/* The largest UDP payloads (65535 less the UDP header, over IPv4 less its own as well), and the largest
 * packets that fit into them. */
#define DATAGRAM_MAX_BYTES     65527
#define DATAGRAM_V4_MAX_BYTES  65507
#define PLAINTEXT_MAX_BYTES    (DATAGRAM_MAX_BYTES - MESSAGE_OVERHEAD_BYTES)
#define PLAINTEXT_V4_MAX_BYTES (DATAGRAM_V4_MAX_BYTES - MESSAGE_OVERHEAD_BYTES)

struct adapter;
struct batch_cache;
struct peer;
struct session_object;
struct staged_packet;
struct udp_socket;

struct batch {
    SLIST_ENTRY link; /* free list */
    struct batch_cache *home;
    uint32_t class;
    uint32_t bytes; /* of the whole allocation */
    uint32_t ticket;
    uint32_t count; /* packets */
    struct adapter *adapter;
    struct session_object *session; /* referenced; NULL: a handshake message, or done with it */
    struct peer *peer;              /* held by the session */
    uint64_t now_ns;                /* when the pass began that made it */
    struct work work;               /* when it goes to the pool */
};

/* ---- transmit ---- */
struct tx_packet {
    NET_BUFFER *buffer; /* plaintext while it is not yet encrypted */
    NET_BUFFER_LIST *nbl;
    const uint8_t *staged; /* or: a staged copy */
    uint32_t request;      /* segment_request, what is to be done to the NET_BUFFER */
    uint32_t cut;          /* where in its payload the packet begins */
    uint32_t offset;       /* of the message in the batch buffer */
    uint32_t plaintext;    /* bytes, without padding; 0 = keepalive */
    uint32_t padding;
    uint32_t sealed; /* bytes of the message, once it can be sent; 0: it cannot */
};

struct tx_batch {
    struct batch batch;
    uint8_t *buffer;       /* messages back to back, equal sizes at equal strides */
    uint32_t buffer_bytes; /* capacity */
    uint32_t limit;        /* packets that fit into the tables */
    uint32_t used;         /* bytes of messages */
    uint32_t largest;      /* of them */
    uint32_t sealed;       /* messages that can be sent; 0: nothing to send */
    uint32_t plaintext;    /* bytes */
    uint64_t first_nonce;
    MDL *mdl; /* describes the whole buffer */
    IRP *irp;
    struct tx_packet *packets;
    WSK_BUF_LIST *messages; /* one a packet; tx_batch_link */
    /* while the socket has it (udp_send.c): */
    struct endpoint endpoint;
    struct udp_socket *socket; /* only to be compared */
    uint32_t segment;          /* of the send under way, 0: message by message */
    uint32_t refused;          /* the segment size with which it was refused before; 0: was not */
    NTSTATUS refusal;
    struct nbl_chain nbls; /* plaintext owners that lie in this batch entirely */
    NET_BUFFER_LIST
    *span[2]; /* owners that have packets in neighbouring batches as well, counted (nbl_chain.h) */
    struct staged_packet *staged;
    bool hold;    /* `nbls` are completed only when the socket is done: back-pressure */
    bool message; /* a handshake message, counted in adapter.messages_outstanding */
};

/* ---- receive ---- */
/* Where datagrams came from; consecutive packets share one. */
struct rx_origin {
    SOCKADDR_INET remote, local;
    uint32_t ifindex; /* 0: no local address known */
};

struct rx_packet {
    MDL *mdl; /* while not yet opened: where the message begins */
    uint32_t offset;
    uint64_t nonce;
    uint32_t plaintext; /* bytes, with padding; 0 = keepalive */
    uint16_t origin;
    uint16_t payload_offset; /* of the slot's second MDL, 0: not built yet; outlives the batch's use */
    bool valid, alone;       /* alone: the only message of its datagram */
};

/* A datagram with messages in several batches. */
struct rx_shared {
    WSK_DATAGRAM_INDICATION *datagram;
    volatile int32_t users;
};

struct rx_batch {
    struct batch batch;
    uint32_t slots, stride; /* capacity: slots messages of at most `stride` bytes with tag, without header */
    uint8_t *buffer;
    NET_BUFFER_LIST **nbls; /* one NBL + NB + MDL a slot, made when the batch was made */
    MDL *mdls;              /* two a slot, mdl_bytes apart: the whole slot, a packet's payload */
    uint32_t mdl_bytes;
    uint32_t origin_count;
    struct rx_packet *packets;
    struct rx_origin *origins;
    WSK_DATAGRAM_INDICATION *datagrams; /* kept chain, released after opening */
    struct rx_shared *shared;           /* one more, of which others have a part as well */
    bool unmarked;                      /* something looks coalesced and was not said to be */
    struct udp_socket *socket;          /* held when the batch waits for a worker */
    volatile int32_t users;             /* NBLs still indicated */
};

/* Free lists, one per CPU and class: allocation is a pop in the common case.  NULL when memory or the
 * adapter's bound (BATCH_MEMORY_MAX_BYTES, each direction) is exhausted.  IRQL <= DISPATCH_LEVEL unless said
 * otherwise. */
#define BATCH_MEMORY_MAX_BYTES (64 * 1024 * 1024)
NTSTATUS batch_initialize(struct adapter *adapter); /* PASSIVE_LEVEL */
/* Waits until every batch is back.  PASSIVE_LEVEL. */
void batch_uninitialize(struct adapter *adapter);
/* Frees what the lists hold: the plaintext of the last packets received must not stay there for ever.  IRQL
 * <= DISPATCH_LEVEL. */
void batch_trim(struct adapter *adapter);
/* Room for at least one packet of `plaintext` bytes, and for up to `packets` of them (and BATCH_PACKETS) with
 * `plaintext` bytes in all (and BATCH_PLAINTEXT_BYTES): look at `limit` and tx_batch_room. */
struct tx_batch *tx_batch_allocate(struct adapter *adapter, uint32_t packets, uint32_t plaintext);
void tx_batch_free(struct tx_batch *batch);
/* Slots for messages of at most `largest` bytes (with tag, without header), as many as the class has for
 * about `packets` of them: look at `slots`. */
struct rx_batch *rx_batch_allocate(struct adapter *adapter, uint32_t packets, uint32_t largest);
void rx_batch_free(struct rx_batch *batch);

/* ---- tx_batch.c ---- */
/* Is there room for one more packet? */
bool tx_batch_room(const struct tx_batch *batch, uint32_t plaintext);
/* Appends a packet (there is room): of `mtu` see packet_padding.  The source is set by the caller. */
struct tx_packet *tx_batch_add(struct tx_batch *batch, uint32_t plaintext, uint32_t mtu);
/* Encrypts all packets into the buffer and notes which messages can be sent.  NBLs that are done with go to
 * `done`, unless the socket has so much to send that they are held. */
void tx_batch_encrypt(struct tx_batch *batch, struct nbl_chain *done);
/* The list of buffers to send, at least one.  With `segment`, a run of messages of just that size, and
 * perhaps a shorter one, is one buffer when it lies in one piece; nothing else is longer than `segment` if
 * the largest message is not.  `merged`: there is such a run. */
WSK_BUF_LIST *tx_batch_link(struct tx_batch *batch, uint32_t segment, bool *merged);
/* Gives back the plaintext owners without encrypting: the NBLs get `status`. */
void tx_batch_abandon(struct tx_batch *batch, NDIS_STATUS status, struct nbl_chain *done);

/* The end of an encrypted batch, sent or not: completes the NBLs it held back, and frees it. */
void tx_batch_retire(struct tx_batch *batch);

/* ---- rx_batch.c ---- */
/* Notes where a datagram came from: the index of the origin for its packets. */
uint16_t rx_batch_origin(struct rx_batch *batch, const WSK_DATAGRAM_INDICATION *datagram);
/* Opens all packets into the slots (`valid`) and counts forgeries.  The datagrams can be released afterwards.
 */
void rx_batch_open(struct rx_batch *batch);
/* Opens none of them, and counts them as dropped. */
void rx_batch_refuse(struct rx_batch *batch, enum drop_reason reason);
/* Makes slot `i` ready for indication: `bytes` of plaintext, IP `version` 4 or 6; the marks of its checksums
 * are those of `offloads` (offload_flag). */
NET_BUFFER_LIST *rx_batch_prepare(struct rx_batch *batch, uint32_t i, uint32_t bytes, uint8_t version,
                                  uint32_t offloads);
/* For coalescing: ends the MDL of slot `i`, prepared, behind `bytes` of data, and describes `bytes` of data
 * that begin `offset` bytes into slot `i` with its second MDL. */
void rx_batch_trim_first(struct rx_batch *batch, uint32_t i, uint32_t bytes);
MDL *rx_batch_payload_mdl(struct rx_batch *batch, uint32_t i, uint32_t offset, uint32_t bytes);
/* All NBLs of an indicated batch are ours again: frees it, and ends its part in adapter->receive_rundown. */
void rx_batch_returned(struct rx_batch *batch);
/* MiniportReturnNetBufferLists: gives the NBLs back to their batches, which are freed with their last one. */
void rx_batch_return(NET_BUFFER_LIST *chain);
