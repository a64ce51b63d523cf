/* A singly linked chain of NET_BUFFER_LISTs that is built at its tail, and the completion of send chains. */
#pragma once

#include "nt/ndis.h"

#include <stdbool.h>
#include <stdint.h>

struct adapter;

struct nbl_chain {
    NET_BUFFER_LIST *head, *tail;
    uint32_t count;
};

static inline void nbl_chain_append(struct nbl_chain *chain, NET_BUFFER_LIST *nbl)
{
    nbl->Next = NULL;
    if (chain->tail)
        chain->tail->Next = nbl;
    else
        chain->head = nbl;
    chain->tail = nbl;
    chain->count++;
}

/* Moves all of `from` to the end of `to`. */
static inline void nbl_chain_move(struct nbl_chain *to, struct nbl_chain *from)
{
    if (!from->head)
        return;
    if (to->tail)
        to->tail->Next = from->head;
    else
        to->head = from->head;
    to->tail = from->tail;
    to->count += from->count;
    *from = (struct nbl_chain){0};
}

/* An NBL whose packets lie in several batches is completed by the last of them: its MiniportReserved[0], ours
 * while we own the NBL, counts them. */
static inline volatile uintptr_t *nbl_span_count(NET_BUFFER_LIST *nbl)
{
    return (volatile uintptr_t *)&NET_BUFFER_LIST_MINIPORT_RESERVED(nbl)[0];
}

static inline void nbl_span_begin(NET_BUFFER_LIST *nbl)
{
    __atomic_store_n(nbl_span_count(nbl), 1, __ATOMIC_RELAXED);
}

static inline void nbl_span_reference(NET_BUFFER_LIST *nbl)
{
    __atomic_add_fetch(nbl_span_count(nbl), 1, __ATOMIC_RELAXED);
}

/* True when it was the last one: the NBL is to be completed. */
static inline bool nbl_span_release(NET_BUFFER_LIST *nbl)
{
    return __atomic_sub_fetch(nbl_span_count(nbl), 1, __ATOMIC_ACQ_REL) == 0;
}

/* Completes the send NBLs of the chain (statuses are set) and gives back their rundown references on the
 * adapter, which may go away after that.  IRQL <= DISPATCH_LEVEL. */
void nbl_chain_complete(struct adapter *adapter, struct nbl_chain *chain);
