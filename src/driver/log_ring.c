/* The adapter's log (facts: 64 lines of 128 bytes, each goes to one reader).  Writers format on their own
 * stack and copy under a spin lock. */
#include "log_ring.h"
#include "adapter.h"
#include "events.h"
#include "log_format.h"
#include "memory.h"
#include "nt/rtl.h"
#include "request_queue.h"
#include "wyrm/control.h"

#define LOG_LINES         64
#define LIMIT_BURST       10
#define LIMIT_INTERVAL_NS 5000000000ull

struct log_ring {
    struct adapter *adapter;

    KSPIN_LOCK lock; /* lines, limit */
    struct wyrm_ioctl_log_entry lines[LOG_LINES];
    uint32_t first, count;
    uint32_t lost; /* overwritten since the last line that a reader got */
    uint64_t limit_start_ns;
    uint32_t limit_passed, limit_swallowed;

    KSPIN_LOCK pairing; /* outermost: a reader and its line are taken together */
    struct request_queue readers;
};

/* ---- lines ---- */

static void line_stamp(struct wyrm_ioctl_log_entry *line, enum log_level level)
{
    LARGE_INTEGER now;
    KeQuerySystemTimePrecise(&now);
    line->timestamp = (uint64_t)now.QuadPart;
    line->text[0] = (char)level;
}

static void line_format(struct wyrm_ioctl_log_entry *line, enum log_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    line_stamp(line, level);
    log_format(line->text + 1, sizeof(line->text) - 1, format, arguments);
    va_end(arguments);
}

/* Takes the oldest line, or the report of a gap before it.  There is one: line_waiting said so under
 * `pairing`. */
static void line_take(struct log_ring *ring, struct wyrm_ioctl_log_entry *line)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->lock);
    uint32_t lost = ring->lost;
    ring->lost = 0;
    if (!lost) {
        *line = ring->lines[ring->first];
        ring->first = (ring->first + 1) % LOG_LINES;
        ring->count--;
    }
    KeReleaseSpinLock(&ring->lock, irql);
    if (!lost)
        return;
    *line = (struct wyrm_ioctl_log_entry){0}; /* all of it goes to the reader, also what is behind the text */
    line_format(line, LOG_WARNING, "%u log lines were overwritten before they were read", lost);
}

static bool line_waiting(struct log_ring *ring)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->lock);
    bool waiting = ring->count || ring->lost;
    KeReleaseSpinLock(&ring->lock, irql);
    return waiting;
}

/* Pairs waiting readers with lines.  Whoever adds either side calls it afterwards, so no pair is ever missed;
 * under `pairing` nobody else takes lines, so a reader that was taken out of the queue is always served. */
static void ring_pump(struct log_ring *ring)
{
    for (;;) {
        KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->pairing);
        PIRP irp = line_waiting(ring) ? request_queue_take(&ring->readers, NULL) : NULL;
        if (irp)
            line_take(ring, irp->AssociatedIrp.SystemBuffer);
        KeReleaseSpinLock(&ring->pairing, irql);
        if (!irp)
            return;
        request_queue_complete(&ring->readers, irp, STATUS_SUCCESS, sizeof(struct wyrm_ioctl_log_entry));
    }
}

static void line_add(struct log_ring *ring, const struct wyrm_ioctl_log_entry *line)
{
    bool begins_to_lose = false;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->lock);
    if (ring->count == LOG_LINES) {
        ring->first = (ring->first + 1) % LOG_LINES;
        ring->count--;
        begins_to_lose = ring->lost++ == 0;
    }
    ring->lines[(ring->first + ring->count) % LOG_LINES] = *line;
    ring->count++;
    KeReleaseSpinLock(&ring->lock, irql);
    ring_pump(ring);
    if (begins_to_lose)
        event_of_adapter(ring->adapter, WYRM_EVENT_LOG_LOST, WYRM_LOG_OVERWRITTEN);
}

void log_line(struct adapter *adapter, enum log_level level, const char *format, ...)
{
    struct wyrm_ioctl_log_entry line = {0};
    va_list arguments;
    va_start(arguments, format);
    line_stamp(&line, level);
    log_format(line.text + 1, sizeof(line.text) - 1, format, arguments);
    va_end(arguments);
    line_add(adapter->log, &line);
}

/* Returns whether a line may pass; `swallowed` = how many did not in the interval that just ended. */
static bool limit_pass(struct log_ring *ring, uint32_t *swallowed)
{
    uint64_t now = time_now_ns();
    bool pass, begins_to_swallow = false;
    *swallowed = 0;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->lock);
    if (now - ring->limit_start_ns >= LIMIT_INTERVAL_NS) {
        *swallowed = ring->limit_swallowed;
        ring->limit_start_ns = now;
        ring->limit_passed = 0;
        ring->limit_swallowed = 0;
    }
    pass = ring->limit_passed <= LIMIT_BURST;
    if (pass)
        ring->limit_passed++;
    else
        begins_to_swallow = ring->limit_swallowed++ == 0;
    KeReleaseSpinLock(&ring->lock, irql);
    if (begins_to_swallow)
        event_of_adapter(ring->adapter, WYRM_EVENT_LOG_LOST, WYRM_LOG_SUPPRESSED);
    return pass;
}

void log_line_limited(struct adapter *adapter, enum log_level level, const char *format, ...)
{
    uint32_t swallowed;
    if (!limit_pass(adapter->log, &swallowed))
        return;
    if (swallowed)
        log_line(adapter, LOG_WARNING, "%u lines swallowed", swallowed);

    struct wyrm_ioctl_log_entry line = {0};
    va_list arguments;
    va_start(arguments, format);
    line_stamp(&line, level);
    log_format(line.text + 1, sizeof(line.text) - 1, format, arguments);
    va_end(arguments);
    line_add(adapter->log, &line);
}

/* ---- life and requests ---- */

NTSTATUS log_ring_initialize(struct adapter *adapter)
{
    struct log_ring *ring = memory_allocate(MEMORY_ADAPTER, sizeof(*ring));
    if (!ring)
        return STATUS_INSUFFICIENT_RESOURCES;
    ring->adapter = adapter;
    KeInitializeSpinLock(&ring->lock);
    KeInitializeSpinLock(&ring->pairing);
    NTSTATUS status = request_queue_initialize(&ring->readers, false);
    if (!NT_SUCCESS(status)) {
        memory_free(MEMORY_ADAPTER, ring, sizeof(*ring));
        return status;
    }
    adapter->log = ring;
    return STATUS_SUCCESS;
}

void log_ring_uninitialize(struct adapter *adapter)
{
    struct log_ring *ring = adapter->log;
    if (!ring)
        return;
    request_queue_uninitialize(&ring->readers);
    adapter->log = NULL;
    memory_free(MEMORY_ADAPTER, ring, sizeof(*ring));
}

void log_ring_read(struct adapter *adapter, IRP *irp)
{
    struct log_ring *ring = adapter->log;
    request_queue_insert(&ring->readers, irp);
    ring_pump(ring);
    if (adapter->removing)
        log_ring_wake(adapter, NULL, STATUS_CANCELLED);
}

void log_ring_wake(struct adapter *adapter, FILE_OBJECT *file, NTSTATUS status)
{
    request_queue_wake(&adapter->log->readers, file, status);
}
