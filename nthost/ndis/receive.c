/* Driver to upper edge: indicated chains are coalesced into super-segments, written to the TUN straight from
 * the driver's MDLs, and returned at once in one call.  Verify mode also returns late, from another context.
 */
#include "dice.h"
#include "ndis.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define PIECES_PER_PACKET 160u /* a unit of coalesced segments is a chain of their MDLs */
#define CHECKSUM_GOOD                                                                                        \
    (NDIS_CHECKSUM_RECEIVE_TCP_CHECKSUM_SUCCEEDED | NDIS_CHECKSUM_RECEIVE_UDP_CHECKSUM_SUCCEEDED)

static void write_packet(void *context, const struct tun_packet *header, const struct iovec *iov,
                         unsigned iov_count, unsigned count)
{
    struct ndis_adapter *adapter = context;

    __atomic_add_fetch(&adapter->rx_writes, 1, __ATOMIC_RELAXED);
    if (tun_write(adapter->tun, header, iov, iov_count) != 0)
        __atomic_add_fetch(&adapter->rx_write_errors, count, __ATOMIC_RELAXED);
}

void receive_initialize(struct ndis_adapter *adapter)
{
    for (unsigned i = 0; i < sched_cpu_count(); i++)
        coalesce_initialize(&adapter->receive[i].coalescer, tun_accepts_tcp_segments(adapter->tun),
                            tun_accepts_udp_segments(adapter->tun), write_packet, adapter);
}

/* The bytes of a NET_BUFFER as an iovec. Returns pieces, 0 if the chain is too short or too scattered. */
static unsigned buffer_pieces(const NET_BUFFER *buffer, struct iovec *iov)
{
    MDL *mdl = buffer->CurrentMdl;
    uint32_t offset = buffer->CurrentMdlOffset, left = buffer->DataLength;
    unsigned count = 0;

    while (left > 0) {
        uint32_t take;
        uint8_t *at;

        if (!mdl || count == PIECES_PER_PACKET || offset > mdl->ByteCount)
            return 0;
        take = mdl->ByteCount - offset;
        if (take > left)
            take = left;
        if (take > 0) {
            at = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);
            if (!at)
                return 0;
            iov[count++] = (struct iovec){at + offset, take};
        }
        left -= take;
        offset = 0;
        mdl = mdl->Next;
    }
    return count;
}

static void check_indicated(struct ndis_adapter *adapter, NET_BUFFER_LIST *list)
{
    const NET_BUFFER *buffer;
    struct iovec iov[PIECES_PER_PACKET];
    uintptr_t protocol;
    uint8_t version;

    if (!ledger_owned_by(HOST_NBL_OWN, list, OWNER_DRIVER))
        verify_report(
            RULE_NBL_NOT_OWNED,
            "NdisMIndicateReceiveNetBufferLists: %p was not allocated from a pool, or was freed already",
            (void *)list);
    if (ledger_owned_by(HOST_NBL_INDICATED, list, OWNER_STACK))
        verify_report(RULE_NBL_NOT_OWNED, "NdisMIndicateReceiveNetBufferLists: %p is indicated already",
                      (void *)list);
    buffer = list->FirstNetBuffer;
    protocol = (uintptr_t)list->NetBufferListInfo[NetBufferListProtocolId];
    if (list->ParentNetBufferList)
        verify_report(RULE_NBL_FIELDS, "indicated NET_BUFFER_LIST %p: ParentNetBufferList must be NULL",
                      (void *)list);
    if (list->SourceHandle != adapter)
        verify_report(RULE_NBL_FIELDS,
                      "indicated NET_BUFFER_LIST %p: SourceHandle is %p, not the adapter's handle %p",
                      (void *)list, list->SourceHandle, (void *)adapter);
    if (!buffer || buffer->Next)
        verify_report(RULE_NBL_FIELDS, "indicated NET_BUFFER_LIST %p must have exactly one NET_BUFFER",
                      (void *)list);
    if (buffer->DataLength < 20 || buffer_pieces(buffer, iov) == 0)
        verify_report(RULE_NBL_FIELDS,
                      "indicated NET_BUFFER_LIST %p: its MDL chain does not hold its %u bytes", (void *)list,
                      buffer->DataLength);
    version = *(uint8_t *)iov[0].iov_base >> 4;
    if (!(version == 4 && protocol == 0x0008) && !(version == 6 && protocol == 0xdd86))
        verify_report(
            RULE_NBL_FIELDS,
            "indicated NET_BUFFER_LIST %p: NetBufferListProtocolId 0x%llx (network order expected) does "
            "not fit IP version %u",
            (void *)list, (unsigned long long)protocol, version);
    offload_check_received(adapter, list, iov, buffer_pieces(buffer, iov));
}

/* ---- verify mode: late returns ---- */

struct late_return {
    struct ndis_adapter *adapter;
    NET_BUFFER_LIST *chain;
    bool raised;
};

static void return_chain(struct ndis_adapter *adapter, NET_BUFFER_LIST *chain, int64_t count, bool raised)
{
    struct host_callback cb;

    host_count_add(HOST_NBL_INDICATED, -count);
    __atomic_sub_fetch(&adapter->rx_outstanding, count, __ATOMIC_RELEASE);
    host_callback_begin(&cb, "MiniportReturnNetBufferLists");
    adapter->driver->handlers.ReturnNetBufferListsHandler(adapter->context, chain,
                                                          raised ? NDIS_RETURN_FLAGS_DISPATCH_LEVEL : 0);
    host_callback_end(&cb);
}

static void late_return_run(void *context)
{
    struct late_return *late = context;
    uint8_t irql = late->raised ? sched_irql_raise(SCHED_DISPATCH) : 0;

    ledger_remove(HOST_NBL_INDICATED, late->chain, OWNER_STACK, RULE_NBL_NOT_OWNED);
    return_chain(late->adapter, late->chain, 1, late->raised);
    if (late->raised)
        sched_irql_lower(irql);
    free(late);
}

/* Gives the chain back in random parts: at once, or later on the loop thread at either IRQL. */
static void return_strict(struct ndis_adapter *adapter, NET_BUFFER_LIST *chain, bool raised)
{
    NET_BUFFER_LIST *now = NULL, **tail = &now, *next;
    int64_t now_count = 0;

    for (NET_BUFFER_LIST *list = chain; list; list = next) {
        struct late_return *late = dice_chance(3) ? malloc(sizeof *late) : NULL;

        next = list->Next;
        list->Next = NULL;
        if (late) {
            *late = (struct late_return){adapter, list, dice_chance(2)};
            loop_post(late_return_run, late);
        } else {
            ledger_remove(HOST_NBL_INDICATED, list, OWNER_STACK, RULE_NBL_NOT_OWNED);
            *tail = list;
            tail = &list->Next;
            now_count++;
        }
    }
    if (now)
        return_chain(adapter, now, now_count, raised);
}

/* ---- the indication ---- */

static int64_t deliver(struct ndis_adapter *adapter, NET_BUFFER_LIST *chain)
{
    struct coalescer *coalescer = &adapter->receive[sched_cpu_current()].coalescer;
    struct iovec iov[1 + PIECES_PER_PACKET]; /* one more for the headers of a unit */
    int64_t count = 0;

    for (NET_BUFFER_LIST *list = chain; list; list = list->Next) {
        uintptr_t checksum = (uintptr_t)list->NetBufferListInfo[TcpIpChecksumNetBufferListInfo];
        const NET_BUFFER *buffer = list->FirstNetBuffer;
        unsigned pieces = buffer ? buffer_pieces(buffer, iov + 1) : 0;
        uint8_t headers[OFFLOAD_HEADERS_MAX];
        struct tun_packet unit;

        count++;
        if (pieces && list->NetBufferListInfo[TcpRecvSegCoalesceInfo] &&
            offload_unit(list, iov, &pieces, headers, &unit)) {
            coalesce_flush(coalescer); /* nothing of its flow is overtaken */
            write_packet(adapter, &unit, iov, pieces, 1);
        } else if (pieces)
            coalesce_add(coalescer, iov + 1, pieces, buffer->DataLength, checksum & CHECKSUM_GOOD);
        else
            __atomic_add_fetch(&adapter->rx_write_errors, 1, __ATOMIC_RELAXED);
    }
    coalesce_flush(coalescer);
    return count;
}

VOID NTAPI NdisMIndicateReceiveNetBufferLists(NDIS_HANDLE MiniportAdapterHandle,
                                              PNET_BUFFER_LIST NetBufferList, NDIS_PORT_NUMBER PortNumber,
                                              ULONG NumberOfNetBufferLists, ULONG ReceiveFlags)
{
    struct ndis_adapter *adapter =
        adapter_from_handle(MiniportAdapterHandle, "NdisMIndicateReceiveNetBufferLists");
    bool keep = !(ReceiveFlags & NDIS_RECEIVE_FLAGS_RESOURCES);
    uint8_t irql = sched_irql();
    enum adapter_state state;
    int64_t count = 0;

    if (!adapter || !NetBufferList)
        return;
    state = __atomic_load_n(&adapter->state, __ATOMIC_ACQUIRE);
    if (host_options.verify) {
        uint32_t number = 0;

        if (state != ADAPTER_RUNNING && state != ADAPTER_PAUSING && state != ADAPTER_RESTARTING)
            verify_report(RULE_NDIS_STATE, "NdisMIndicateReceiveNetBufferLists while %s is paused or halted",
                          adapter->name);
        if (irql < SCHED_DISPATCH && (ReceiveFlags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL))
            verify_report(RULE_NDIS_FLAGS,
                          "NdisMIndicateReceiveNetBufferLists: flags say DISPATCH_LEVEL, IRQL is %u", irql);
        for (NET_BUFFER_LIST *list = NetBufferList; list; list = list->Next, number++) {
            check_indicated(adapter, list);
            if (keep)
                ledger_add(HOST_NBL_INDICATED, list, OWNER_STACK, "indicated NET_BUFFER_LIST");
        }
        if (number != NumberOfNetBufferLists)
            verify_report(
                RULE_NBL_FIELDS,
                "NdisMIndicateReceiveNetBufferLists: %u NET_BUFFER_LISTs announced, %u in the chain",
                NumberOfNetBufferLists, number);
    }
    if (keep) {
        __atomic_add_fetch(&adapter->rx_outstanding, NumberOfNetBufferLists, __ATOMIC_RELAXED);
        host_count_add(HOST_NBL_INDICATED, NumberOfNetBufferLists);
    }
    if (irql < SCHED_DISPATCH)
        sched_irql_raise(SCHED_DISPATCH);
    if (state == ADAPTER_RUNNING || state == ADAPTER_PAUSING)
        count = deliver(adapter, NetBufferList);
    __atomic_add_fetch(&adapter->rx_packets, count, __ATOMIC_RELAXED);
    if (keep) {
        if (host_options.verify)
            return_strict(adapter, NetBufferList, true);
        else
            return_chain(adapter, NetBufferList, NumberOfNetBufferLists, true);
    }
    if (irql < SCHED_DISPATCH)
        sched_irql_lower(irql);
}
