/* The adapter's log (facts: 64 lines of 128 bytes, each goes to one reader).  Writers format on their own
 * stack and copy under a spin lock; readers are pended IRPs in a cancel-safe queue, so that no thread ever
 * blocks in the driver. */
#include "log_ring.h"
#include "adapter.h"
#include "log_format.h"
#include "memory.h"
#include "nt/rtl.h"
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

    EX_RUNDOWN_REF
    pended; /* one per reader in the queue: a cancel routine may still be inside when the ring goes */
    IO_CSQ readers;
    KSPIN_LOCK readers_lock;
    KSPIN_LOCK pairing; /* outermost: a reader and its line are taken together */
    LIST_ENTRY reader_list;
};

/* ---- readers: the cancel-safe queue's callbacks (Microsoft: "Cancel-Safe IRP Queues") ---- */

static VOID NTAPI reader_insert(PIO_CSQ csq, PIRP irp)
{
    struct log_ring *ring = CONTAINING_RECORD(csq, struct log_ring, readers);
    InsertTailList(&ring->reader_list, &irp->Tail.Overlay.ListEntry);
}

static VOID NTAPI reader_remove(PIO_CSQ csq, PIRP irp)
{
    RemoveEntryList(&irp->Tail.Overlay.ListEntry);
}

/* `context`: only readers of this file object; NULL = any. */
static PIRP NTAPI reader_peek(PIO_CSQ csq, PIRP irp, PVOID context)
{
    struct log_ring *ring = CONTAINING_RECORD(csq, struct log_ring, readers);
    LIST_ENTRY *entry = irp ? irp->Tail.Overlay.ListEntry.Flink : ring->reader_list.Flink;
    for (; entry != &ring->reader_list; entry = entry->Flink) {
        PIRP candidate = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
        if (!context || IoGetCurrentIrpStackLocation(candidate)->FileObject == context)
            return candidate;
    }
    return NULL;
}

static VOID NTAPI reader_lock(PIO_CSQ csq, PKIRQL irql)
{
    struct log_ring *ring = CONTAINING_RECORD(csq, struct log_ring, readers);
    *irql = KeAcquireSpinLockRaiseToDpc(&ring->readers_lock);
}

static VOID NTAPI reader_unlock(PIO_CSQ csq, KIRQL irql)
{
    struct log_ring *ring = CONTAINING_RECORD(csq, struct log_ring, readers);
    KeReleaseSpinLock(&ring->readers_lock, irql);
}

static void reader_complete(struct log_ring *ring, PIRP irp, NTSTATUS status, ULONG_PTR information)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IofCompleteRequest(irp, IO_NO_INCREMENT);
    ExReleaseRundownProtection(&ring->pended);
}

static VOID NTAPI reader_canceled(PIO_CSQ csq, PIRP irp)
{
    reader_complete(CONTAINING_RECORD(csq, struct log_ring, readers), irp, STATUS_CANCELLED, 0);
}

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
        PIRP irp = line_waiting(ring) ? IoCsqRemoveNextIrp(&ring->readers, NULL) : NULL;
        if (irp)
            line_take(ring, irp->AssociatedIrp.SystemBuffer);
        KeReleaseSpinLock(&ring->pairing, irql);
        if (!irp)
            return;
        reader_complete(ring, irp, STATUS_SUCCESS, sizeof(struct wyrm_ioctl_log_entry));
    }
}

static void line_add(struct log_ring *ring, const struct wyrm_ioctl_log_entry *line)
{
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&ring->lock);
    if (ring->count == LOG_LINES) {
        ring->first = (ring->first + 1) % LOG_LINES;
        ring->count--;
        ring->lost++;
    }
    ring->lines[(ring->first + ring->count) % LOG_LINES] = *line;
    ring->count++;
    KeReleaseSpinLock(&ring->lock, irql);
    ring_pump(ring);
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
    bool pass;
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
        ring->limit_swallowed++;
    KeReleaseSpinLock(&ring->lock, irql);
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
    KeInitializeSpinLock(&ring->readers_lock);
    KeInitializeSpinLock(&ring->pairing);
    ExInitializeRundownProtection(&ring->pended);
    InitializeListHead(&ring->reader_list);
    NTSTATUS status = IoCsqInitialize(&ring->readers, reader_insert, reader_remove, reader_peek, reader_lock,
                                      reader_unlock, reader_canceled);
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
    log_ring_wake(adapter, NULL, STATUS_CANCELLED);
    ExWaitForRundownProtectionRelease(&ring->pended);
    adapter->log = NULL;
    memory_free(MEMORY_ADAPTER, ring, sizeof(*ring));
}

NTSTATUS log_ring_read(struct adapter *adapter, IRP *irp)
{
    struct log_ring *ring = adapter->log;
    if (!ExAcquireRundownProtection(&ring->pended)) {
        irp->IoStatus.Status = STATUS_CANCELLED;
        irp->IoStatus.Information = 0;
        IofCompleteRequest(irp, IO_NO_INCREMENT);
        return STATUS_CANCELLED;
    }
    IoCsqInsertIrp(&ring->readers, irp, NULL); /* marks it pending */
    ring_pump(ring);
    if (adapter->removing)
        log_ring_wake(adapter, NULL, STATUS_CANCELLED);
    return STATUS_PENDING;
}

void log_ring_wake(struct adapter *adapter, FILE_OBJECT *file, NTSTATUS status)
{
    PIRP irp;
    while ((irp = IoCsqRemoveNextIrp(&adapter->log->readers, file)) != NULL)
        reader_complete(adapter->log, irp, status, 0);
}
