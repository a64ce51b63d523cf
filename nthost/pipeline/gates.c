/* The gates: the driver's own handlers are replaced by functions that take the time around them.  Only the
 * two that the data path enters by. */
#include "internal.h"
#include "ndis/ndis.h"
#include "netio/wsk_internal.h"

__thread struct meter meter = {.phase = PHASE_OUTSIDE};

static MINIPORT_SEND_NET_BUFFER_LISTS_HANDLER driver_send;
static PFN_WSK_RECEIVE_FROM_EVENT driver_receive;

struct passage {
    enum phase outer;
    uint64_t start, edge;
};

static inline void enter(struct passage *passage, enum phase phase)
{
    passage->outer = meter.phase;
    passage->edge = meter.edge_cycles;
    meter.phase = phase;
    passage->start = pipeline_tsc();
}

static inline void leave(const struct passage *passage, enum pipeline_direction direction)
{
    uint64_t cycles = pipeline_tsc() - passage->start - (meter.edge_cycles - passage->edge);

    meter.phase = passage->outer;
    if (passage->outer == PHASE_OUTSIDE)
        meter.cycles[direction] += cycles;
}

static VOID NTAPI measured_send(NDIS_HANDLE context, PNET_BUFFER_LIST chain, NDIS_PORT_NUMBER port,
                                ULONG flags)
{
    struct passage passage;

    enter(&passage, PHASE_TRANSMIT);
    driver_send(context, chain, port, flags);
    leave(&passage, PIPELINE_TRANSMIT);
}

static NTSTATUS NTAPI measured_receive(PVOID context, ULONG flags, PWSK_DATAGRAM_INDICATION chain)
{
    struct passage passage;
    NTSTATUS status;

    enter(&passage, PHASE_RECEIVE);
    status = driver_receive(context, flags, chain);
    leave(&passage, PIPELINE_RECEIVE);
    return status;
}

void gates_install(struct ndis_adapter *adapter)
{
    NDIS_MINIPORT_DRIVER_CHARACTERISTICS *handlers = &adapter->driver->handlers;

    if (handlers->SendNetBufferListsHandler != measured_send) {
        driver_send = handlers->SendNetBufferListsHandler;
        handlers->SendNetBufferListsHandler = measured_send;
    }
}

void gates_install_socket(void *receive_context)
{
    struct wsk_socket *socket = receive_context;

    if (socket->receive_from && socket->receive_from != measured_receive) {
        driver_receive = socket->receive_from;
        socket->receive_from = measured_receive;
    }
}

uint64_t pipeline_cycles(enum pipeline_direction direction)
{
    return meter.cycles[direction];
}

uint64_t pipeline_tsc(void)
{
    return __builtin_ia32_rdtsc();
}
