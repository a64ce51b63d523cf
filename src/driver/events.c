/* The ring of events; see events.h.  A reader waits only when the ring has nothing after what it knows, so a
 * new event concerns all that wait, and nobody takes an event away from another. */
#include "events.h"
#include "adapter.h"
#include "memory.h"
#include "peer.h"
#include "request_queue.h"

#define EVENTS_KEPT 128

struct event_ring {
    KSPIN_LOCK lock;
    uint64_t last;                               /* sequence of the newest event; 0: none yet */
    struct wyrm_ioctl_event events[EVENTS_KEPT]; /* event n at n % EVENTS_KEPT */
    struct request_queue readers;
};

/* What the reader knows; it stands at the beginning of its buffer until it is answered. */
static uint64_t *reader_after(const IRP *irp)
{
    return &((struct wyrm_ioctl_events_request *)irp->AssociatedIrp.SystemBuffer)->after;
}

static bool reader_is_behind(void *context, const IRP *irp)
{
    return *reader_after(irp) < *(const uint64_t *)context;
}

/* Fills the answer; returns its length.  The buffer has room for one event at least. */
static uint64_t answer(struct event_ring *ring, IRP *irp)
{
    struct wyrm_ioctl_events *out = irp->AssociatedIrp.SystemBuffer;
    struct wyrm_ioctl_event *events = (struct wyrm_ioctl_event *)(out + 1);
    uint32_t length = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.OutputBufferLength;
    uint64_t after = *reader_after(irp), lost = 0;
    uint32_t room = (length - sizeof(*out)) / sizeof(*events), count = 0;

    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->lock);
    if (ring->last - after > EVENTS_KEPT) {
        lost = ring->last - EVENTS_KEPT - after;
        after += lost;
    }
    while (count < room && after < ring->last)
        events[count++] = ring->events[++after % EVENTS_KEPT];
    KeReleaseSpinLock(&ring->lock, irql);

    *out = (struct wyrm_ioctl_events){.version = WYRM_EXTENSIONS_VERSION,
                                      .event_bytes = sizeof(*events),
                                      .last = after,
                                      .lost = lost,
                                      .count = count};
    return sizeof(*out) + count * sizeof(*events);
}

/* Answers the readers that are behind.  Whoever adds a reader or an event calls it afterwards. */
static void ring_pump(struct event_ring *ring)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->lock);
    uint64_t last = ring->last;
    KeReleaseSpinLock(&ring->lock, irql);

    struct request_filter filter = {.wanted = reader_is_behind, .context = &last};
    IRP *irp;
    while ((irp = request_queue_take(&ring->readers, &filter)))
        request_queue_complete(&ring->readers, irp, STATUS_SUCCESS, answer(ring, irp));
}

static void event_add(struct event_ring *ring, struct wyrm_ioctl_event *event)
{
    LARGE_INTEGER now;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->lock);
    KeQuerySystemTimePrecise(&now); /* here, so that times are in the order of the numbers */
    event->timestamp = (uint64_t)now.QuadPart;
    event->sequence = ++ring->last;
    ring->events[event->sequence % EVENTS_KEPT] = *event;
    KeReleaseSpinLock(&ring->lock, irql);
    ring_pump(ring);
}

void event_of_adapter(struct adapter *adapter, enum wyrm_event_kind kind, uint32_t value)
{
    struct wyrm_ioctl_event event = {.kind = (uint32_t)kind, .value = value};
    event_add(adapter->events, &event);
}

_Static_assert(sizeof(SOCKADDR_INET) == sizeof(struct wyrm_ioctl_endpoint), "the same bytes");

void event_of_peer(struct peer *peer, enum wyrm_event_kind kind, uint32_t value)
{
    struct wyrm_ioctl_event event = {.kind = (uint32_t)kind, .value = value};
    struct endpoint endpoint;
    __builtin_memcpy(event.public_key, peer->handshake.remote_static, sizeof(event.public_key));
    endpoint_read(&peer->endpoint, &endpoint);
    if (endpoint.remote.si_family != AF_UNSPEC)
        __builtin_memcpy(&event.endpoint, &endpoint.remote, sizeof(event.endpoint));
    event_add(peer->adapter->events, &event);
}

void events_read(struct adapter *adapter, IRP *irp)
{
    struct event_ring *ring = adapter->events;
    uint64_t *after = reader_after(irp);
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->lock);
    uint64_t last = ring->last;
    KeReleaseSpinLock(&ring->lock, irql);
    if (*after == WYRM_EVENTS_FROM_NOW)
        *after = last;
    if (*after > last) {
        IoMarkIrpPending(irp);
        irp->IoStatus.Status = STATUS_INVALID_PARAMETER;
        irp->IoStatus.Information = 0;
        IofCompleteRequest(irp, IO_NO_INCREMENT);
        return;
    }
    request_queue_insert(&ring->readers, irp);
    ring_pump(ring);
    if (adapter->removing)
        events_wake(adapter, NULL, STATUS_CANCELLED);
}

void events_wake(struct adapter *adapter, FILE_OBJECT *file, NTSTATUS status)
{
    request_queue_wake(&adapter->events->readers, file, status);
}

NTSTATUS events_initialize(struct adapter *adapter)
{
    struct event_ring *ring = memory_allocate(MEMORY_ADAPTER, sizeof(*ring));
    if (!ring)
        return STATUS_INSUFFICIENT_RESOURCES;
    KeInitializeSpinLock(&ring->lock);
    NTSTATUS status = request_queue_initialize(&ring->readers, true);
    if (!NT_SUCCESS(status)) {
        memory_free(MEMORY_ADAPTER, ring, sizeof(*ring));
        return status;
    }
    adapter->events = ring;
    return STATUS_SUCCESS;
}

void events_uninitialize(struct adapter *adapter)
{
    struct event_ring *ring = adapter->events;
    if (!ring)
        return;
    request_queue_uninitialize(&ring->readers);
    adapter->events = NULL;
    memory_free(MEMORY_ADAPTER, ring, sizeof(*ring));
}
