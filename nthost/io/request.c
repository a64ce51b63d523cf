/* Requests of the host: an IRP with its buffers, sent to the top of a device stack, reference counted so that
 * it can be cancelled safely while it completes on another thread. */
#include "io/request.h"

#include "host.h"
#include "io/device.h"
#include "loader/image.h"
#include "mm/mdl.h"
#include "sched/sched.h"
#include "se/token.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define QUARANTINE                                                                                           \
    64u /* verify mode: that many finished requests keep their memory, so that late use is seen */

#define UNWRITTEN_RUN 12u /* that many bytes with the pattern are no chance */

/* The IRP stands behind this, so that it leads back to its request. */
struct request_irp {
    struct io_request *request;
    uint64_t padding;
    IRP irp;
};

static pthread_mutex_t quarantine_lock = PTHREAD_MUTEX_INITIALIZER;
static struct io_request *quarantine[QUARANTINE];
static unsigned quarantine_next;

struct io_request *request_of(PIRP irp)
{
    if (!(irp->AllocationFlags & IRP_FROM_REQUEST))
        return NULL;
    return ((struct request_irp *)((char *)irp - offsetof(struct request_irp, irp)))->request;
}

struct io_request *request_create(PDEVICE_OBJECT device, const struct io_token *token)
{
    CCHAR stack = device->StackSize;
    uint16_t packet = IoSizeOfIrp(stack);
    struct io_request *request = calloc(1, sizeof *request);
    struct request_irp *holder =
        aligned_alloc(16, (offsetof(struct request_irp, irp) + packet + 15u) & ~(size_t)15);
    if (!request || !holder) {
        free(request);
        free(holder);
        return NULL;
    }
    holder->request = request;
    request->irp = &holder->irp;
    request->packet_size = packet;
    request->references = 2;
    request->token = token;
    request->method = METHOD_NEITHER;
    IoInitializeIrp(request->irp, packet, stack);
    request->irp->AllocationFlags = IRP_FROM_REQUEST;
    request->irp->Tail.Overlay.Thread = PsGetCurrentThread();
    return request;
}

void request_reference(struct io_request *request)
{
    __atomic_fetch_add(&request->references, 1, __ATOMIC_RELAXED);
}

static void free_request(struct io_request *request)
{
    free((char *)request->irp - offsetof(struct request_irp, irp));
    free(request);
}

void request_release(struct io_request *request)
{
    if (__atomic_sub_fetch(&request->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    if (host_options.verify) {
        pthread_mutex_lock(&quarantine_lock);
        struct io_request *oldest = quarantine[quarantine_next];
        quarantine[quarantine_next] = request;
        quarantine_next = (quarantine_next + 1) % QUARANTINE;
        pthread_mutex_unlock(&quarantine_lock);
        request = oldest;
    }
    if (request)
        free_request(request);
}

/* STATUS_PENDING is returned if and only if the IRP was marked pending. */
static void check_pending(struct io_request *request, NTSTATUS status, const void *routine)
{
    bool completed = __atomic_load_n(&request->completed, __ATOMIC_ACQUIRE);
    const char *problem = NULL, *name = "a dispatch routine";
    size_t offset;
    if (status == STATUS_PENDING) {
        if (completed && !request->pending_returned)
            problem = "without having called IoMarkIrpPending";
    } else if (!completed) {
        problem = "without having completed the IRP; it must return STATUS_PENDING";
    } else if (request->pending_returned) {
        problem = "after IoMarkIrpPending; it must return STATUS_PENDING";
    }
    if (problem) {
        (void)image_symbol(routine, &name, &offset);
        verify_report(RULE_IRP_PENDING_MARK, "%s returned 0x%08X %s", name, (unsigned)status, problem);
    }
}

NTSTATUS request_send(struct io_request *request, PDEVICE_OBJECT device)
{
    host_count_add(HOST_IRP_PENDING, 1);
    request_reference(request);
    UCHAR major = IoGetNextIrpStackLocation(request->irp)->MajorFunction;
    const void *routine = (const void *)device->DriverObject->MajorFunction[major];
    const struct io_token *previous = token_enter(request->token);
    NTSTATUS status = IofCallDriver(device, request->irp);
    token_leave(previous);
    if (host_options.verify)
        check_pending(request, status, routine);
    request_release(request);
    return status;
}

/* Bytes that the driver claims to have written and has not show what the kernel's memory held before. */
static void check_written(const struct io_request *request, const uint8_t *buffer, uint64_t length)
{
    unsigned run = 0;
    for (uint64_t i = request->user_in_length; i < length; i++) {
        run = buffer[i] == REQUEST_UNWRITTEN ? run + 1 : 0;
        if (run == UNWRITTEN_RUN)
            verify_report(
                RULE_IRP_INFORMATION,
                "IoStatus.Information is %llu, but byte %llu and those around it were never written",
                (unsigned long long)length, (unsigned long long)i);
    }
}

/* Results go back to the caller's memory: for buffered requests that did not fail, Information bytes. */
static void return_results(struct io_request *request)
{
    PIRP irp = request->irp;
    if (request->method == METHOD_BUFFERED && irp->AssociatedIrp.SystemBuffer) {
        uint64_t length = request->information;
        if (host_options.verify && length > request->user_out_length && !NT_ERROR(request->status))
            verify_report(RULE_IRP_INFORMATION,
                          "IoStatus.Information is %llu, the output buffer has %u bytes",
                          (unsigned long long)length, request->user_out_length);
        if (length > request->user_out_length)
            length = request->user_out_length;
        if (host_options.verify && !NT_ERROR(request->status))
            check_written(request, irp->AssociatedIrp.SystemBuffer, length);
        if (!NT_ERROR(request->status) && length)
            memcpy(request->user_out, irp->AssociatedIrp.SystemBuffer, length);
    }
    if (irp->MdlAddress) {
        if (irp->MdlAddress->MdlFlags & MDL_PAGES_LOCKED)
            MmUnlockPages(irp->MdlAddress);
        lent_free(irp->MdlAddress);
        irp->MdlAddress = NULL;
    }
    if (irp->AssociatedIrp.SystemBuffer) {
        lent_free(irp->AssociatedIrp.SystemBuffer);
        irp->AssociatedIrp.SystemBuffer = NULL;
    }
}

void request_completed(PIRP irp)
{
    struct io_request *request = request_of(irp);
    if (__atomic_exchange_n(&request->completed, 1, __ATOMIC_ACQ_REL)) {
        host_fatal("an IRP was completed twice");
    }
    request->pending_returned = irp->PendingReturned;
    request->status = irp->IoStatus.Status;
    request->information = irp->IoStatus.Information;
    return_results(request);
    host_count_add(HOST_IRP_PENDING, -1);
    if (request->done)
        request->done(request->done_context, request->status, request->information);
    request_release(request);
}
