/* IRPs that the host itself makes (file requests, PnP, power): an IRP with stack locations for the whole
 * device stack, and what happens when it has been completed by all of them. */
#pragma once

#include "io/file.h"
#include "nt/io.h"

#include <stdbool.h>

struct io_request {
    int references;       /* the creator's, and one that completion drops */
    struct io_file *file; /* NULL for PnP and power */
    const struct io_token *token;
    void *user_out; /* the caller's output buffer, for METHOD_BUFFERED */
    uint32_t user_out_length;
    uint32_t user_in_length;
    uint32_t method; /* METHOD_*; METHOD_NEITHER for requests without buffers */
    void (*done)(void *context, int32_t status, uint64_t information);
    void *done_context;
    int32_t status;
    uint64_t information;
    bool pending_returned; /* a driver had marked the IRP pending when it was completed */
    bool dispatch_ended;   /* verify mode: the dispatch routine has returned */
    int completed;
    uint16_t packet_size;
    IRP *irp;
};

/* Bits of IRP.AllocationFlags, the I/O manager's own field. */
/* Verify mode: what a buffered request's output holds until the driver writes it. */
#define REQUEST_UNWRITTEN 0xa5

#define IRP_FROM_DRIVER  0x01u /* made by IoAllocateIrp */
#define IRP_FROM_REQUEST 0x40u /* belongs to a struct io_request */

/* A request for the stack on top of `device`; NULL: no memory. Two references: the caller's and completion's.
 */
struct io_request *request_create(PDEVICE_OBJECT device, const struct io_token *token);
/* Sends it to `device`. Returns what the dispatch routine returned. */
NTSTATUS request_send(struct io_request *request, PDEVICE_OBJECT device);
/* Called by IofCompleteRequest when the IRP has left its last stack location. */
void request_completed(PIRP irp);
void request_reference(struct io_request *request);
void request_release(struct io_request *request);
/* The request of an IRP; NULL if a driver made the IRP. */
struct io_request *request_of(PIRP irp);
