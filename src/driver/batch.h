/* The unit of work: packets of one peer and one session in one direction, at most 64 packets or 64 KB of
 * plaintext. A batch owns its memory (one contiguous buffer, its MDLs), one reference to its session, and a
 * ticket. */
#pragma once

#include "nt/io.h"
#include "nt/ndis.h"
#include "nt/wsk.h"
#include "worker.h"

#include <stdint.h>

#define BATCH_PACKETS         64
#define BATCH_PLAINTEXT_BYTES 65536

struct adapter;
struct peer;
struct session_object;

enum batch_direction { BATCH_TRANSMIT, BATCH_RECEIVE };

struct batch {
    enum batch_direction direction;
    uint32_t ticket;
    uint32_t count;
    struct adapter *adapter;
    struct peer *peer;              /* held through the session, or by its own reference when there is none */
    struct session_object *session; /* referenced */
    struct work work;               /* when it goes to the pool */
    struct batch *next;             /* free list, pass-local list */
    volatile int32_t users;         /* receive: NBLs still indicated; transmit: 1 while the socket has it */
};

/* ---- transmit ---- */
struct tx_packet {
    NET_BUFFER *buffer;    /* plaintext source while it is not yet encrypted, NULL afterwards */
    const uint8_t *staged; /* or: staged copy */
    uint64_t nonce;
    uint32_t offset;    /* of the message in the batch buffer */
    uint32_t plaintext; /* bytes, without padding */
    uint16_t padding;
    uint8_t family; /* 4, 6; 0 = keepalive */
};

struct tx_batch {
    struct batch batch;
    uint8_t *buffer;       /* messages back to back, equal sizes at equal strides */
    uint32_t buffer_bytes; /* capacity */
    uint32_t used;         /* bytes of messages */
    uint32_t plaintext;    /* bytes */
    MDL *mdl;              /* describes the whole buffer */
    IRP *irp;
    struct tx_packet packets[BATCH_PACKETS];
    WSK_BUF_LIST messages[BATCH_PACKETS];
    NET_BUFFER_LIST *nbls;        /* plaintext owners, completed as one chain after encryption */
    struct staged_packet *staged; /* the same for staged copies */
};

/* ---- receive ---- */
struct rx_packet {
    WSK_DATAGRAM_INDICATION *datagram; /* while not yet opened */
    uint64_t nonce;
    uint32_t ciphertext; /* bytes, without header, with tag */
    uint32_t plaintext;  /* bytes, after opening; 0 = keepalive */
    bool valid;
};

struct rx_batch {
    struct batch batch;
    uint32_t slots, stride; /* capacity: slots packets of at most `stride` bytes */
    uint8_t *buffer;
    NET_BUFFER_LIST *nbls[BATCH_PACKETS]; /* one NBL + NB + MDL a slot, made when the batch was made */
    struct rx_packet packets[BATCH_PACKETS];
    WSK_DATAGRAM_INDICATION *datagrams; /* kept chain, released after opening */
};

/* Free lists: allocation is a pop in the common case.  Sizes beyond the largest class fail.
 * All: IRQL <= DISPATCH_LEVEL, NULL when memory (or the adapter's bound) is exhausted. */
NTSTATUS batch_initialize(struct adapter *adapter); /* NBL pool; per adapter. PASSIVE_LEVEL */
void batch_uninitialize(struct adapter *adapter);   /* every batch is back. PASSIVE_LEVEL */
/* Room for `packets` messages with `plaintext` bytes in all (padding and overhead are added here). */
struct tx_batch *tx_batch_allocate(struct adapter *adapter, uint32_t packets, uint32_t plaintext);
void tx_batch_free(struct tx_batch *batch);
/* Room for `packets` plaintexts of at most `largest` bytes each. */
struct rx_batch *rx_batch_allocate(struct adapter *adapter, uint32_t packets, uint32_t largest);
void rx_batch_free(struct rx_batch *batch);
/* MiniportReturnNetBufferLists: gives the NBLs back to their batches, which are freed with their last one. */
void rx_batch_return(NET_BUFFER_LIST *chain);
