/* A file of the proxy driver: frames of nthost's raw control socket (docs/control-socket.md), one thread per
 * file that reads the answers and completes the IRPs. */
#include "proxy.h"

#include <nt/ex.h>
#include <nt/rtl.h>

enum {
    OPERATION_OPEN = 2,
    OPERATION_CONTROL = 4,
    OPERATION_CANCEL = 5,
    OPERATION_ANSWER = (int)0x80000000,
    FLAG_NO_INPUT = 1,
    FLAG_NO_OUTPUT = 2,
    FLAG_ASYNCHRONOUS = 4,
};

struct frame {
    uint32_t length;
    uint32_t operation;
    uint64_t id;
};

struct open_frame {
    struct frame frame;
    struct proxy_token token;
};

struct cancel_frame {
    struct frame frame;
    uint64_t id;
};

struct control_frame {
    struct frame frame;
    uint32_t handle;
    uint32_t code;
    uint32_t flags;
    uint32_t input_length;
    uint32_t output_length;
    uint32_t given;
};

#pragma pack(push, 4)
struct control_answer {
    int32_t status;
    uint32_t output_length;
    uint64_t information;
};
#pragma pack(pop)

struct open_answer {
    struct frame frame;
    int32_t status;
    uint32_t handle;
};

/* An IRP on its way.  Only the reader, or whoever fails to send it, completes it. */
struct proxy_request {
    LIST_ENTRY link;
    struct proxy_file *file;
    IRP *irp;
    uint64_t id;
    uint8_t *output; /* where the answer goes, or NULL */
    ULONG output_length;
    BOOLEAN direct; /* the whole buffer is the program's memory, not only what Information counts */
};

static void release(struct proxy_file *file)
{
    if (__atomic_sub_fetch(&file->references, 1, __ATOMIC_ACQ_REL) == 0) {
        linux_close(file->socket);
        ExFreePoolWithTag(file, PROXY_TAG);
    }
}

static void send_cancel(struct proxy_file *file, uint64_t id)
{
    struct cancel_frame frame = {{sizeof(uint64_t), OPERATION_CANCEL, 0}, id};

    linux_write_all(file->socket, &frame, sizeof(frame));
}

/* Takes the request out of the list; NULL: no such id. */
static struct proxy_request *take(struct proxy_file *file, uint64_t id, BOOLEAN any)
{
    struct proxy_request *found = NULL;
    KIRQL irql = KeAcquireSpinLockRaiseToDpc(&file->lock);

    for (LIST_ENTRY *entry = file->pending.Flink; entry != &file->pending; entry = entry->Flink) {
        struct proxy_request *request = CONTAINING_RECORD(entry, struct proxy_request, link);
        if (any || request->id == id) {
            RemoveEntryList(entry);
            found = request;
            break;
        }
    }
    KeReleaseSpinLock(&file->lock, irql);
    return found;
}

static void finish(struct proxy_request *request, NTSTATUS status, ULONG_PTR information)
{
    IRP *irp = request->irp;

    if (!IoSetCancelRoutine(irp, NULL)) {
        /* The cancel routine runs, or has run, on another thread: it holds this lock as long as it uses the
         * request. */
        KIRQL irql;
        IoAcquireCancelSpinLock(&irql);
        IoReleaseCancelSpinLock(irql);
    }
    ExFreePoolWithTag(request, PROXY_TAG);
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = information;
    IoCompleteRequest(irp, 0);
}

/* Reads and drops. */
static BOOLEAN skip(int socket, uint64_t count)
{
    uint8_t bytes[256];

    while (count) {
        size_t part = count < sizeof(bytes) ? (size_t)count : sizeof(bytes);
        if (!linux_read_all(socket, bytes, part)) {
            return FALSE;
        }
        count -= part;
    }
    return TRUE;
}

static BOOLEAN read_answer(struct proxy_file *file)
{
    struct frame frame = {0};
    struct control_answer answer = {0};
    struct proxy_request *request;
    ULONG wanted = 0;
    BOOLEAN whole;

    if (!linux_read_all(file->socket, &frame, sizeof(frame))) {
        return FALSE;
    }
    if (frame.operation != ((uint32_t)OPERATION_ANSWER | OPERATION_CONTROL)) { /* of a CANCEL */
        return skip(file->socket, frame.length);
    }
    if (frame.length < sizeof(answer) || !linux_read_all(file->socket, &answer, sizeof(answer))) {
        return FALSE;
    }
    request = take(file, frame.id, FALSE);
    if (!request) {
        return FALSE;
    }
    if (request->output) {
        wanted = frame.length - (ULONG)sizeof(answer);
        if (wanted > request->output_length) {
            wanted = request->output_length;
        }
        if (!request->direct && wanted > answer.information) {
            wanted = (ULONG)answer.information;
        }
    }
    whole = (!wanted || linux_read_all(file->socket, request->output, wanted)) &&
            skip(file->socket, frame.length - sizeof(answer) - wanted);
    if (whole) {
        finish(request, answer.status, (ULONG_PTR)answer.information);
    } else {
        finish(request, STATUS_DEVICE_NOT_CONNECTED, 0);
    }
    return whole;
}

static VOID NTAPI read_answers(PVOID context)
{
    struct proxy_file *file = context;
    struct proxy_request *request;

    while (read_answer(file)) {
    }
    __atomic_store_n(&file->broken, 1, __ATOMIC_SEQ_CST);
    while ((request = take(file, 0, TRUE)) != NULL) {
        finish(request, STATUS_CANCELLED, 0);
    }
    release(file);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS open_handle(struct proxy_file *file, const struct proxy_token *token)
{
    struct open_frame frame = {{sizeof(*token), OPERATION_OPEN, 0}, *token};
    struct open_answer answer = {0};

    if (!linux_write_all(file->socket, &frame, sizeof(frame)) ||
        !linux_read_all(file->socket, &answer.frame, sizeof(answer.frame)) ||
        answer.frame.length != sizeof(answer) - sizeof(answer.frame) ||
        !linux_read_all(file->socket, &answer.status, answer.frame.length)) {
        return STATUS_DEVICE_NOT_CONNECTED;
    }
    file->handle = answer.handle;
    return answer.status;
}

NTSTATUS proxy_file_open(struct proxy_device *device, struct proxy_file **result)
{
    struct proxy_file *file = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*file), PROXY_TAG);
    HANDLE thread;
    NTSTATUS status;

    if (!file) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *file = (struct proxy_file){.owner = device, .references = 1, .next_id = 1};
    file->pending.Flink = file->pending.Blink = &file->pending;
    file->socket = linux_connect(device->adapter.socket);
    if (file->socket < 0) {
        ExFreePoolWithTag(file, PROXY_TAG);
        return STATUS_NO_SUCH_DEVICE;
    }
    status = open_handle(file, &device->adapter.token);
    if (NT_SUCCESS(status)) {
        file->references = 2;
        status = PsCreateSystemThread(&thread, 0, NULL, NULL, NULL, read_answers, file);
        if (NT_SUCCESS(status)) {
            ZwClose(thread);
            *result = file;
            return status;
        }
        file->references = 1;
    }
    release(file);
    return status;
}

void proxy_file_close(struct proxy_file *file)
{
    linux_shutdown(file->socket); /* wakes the reader, which completes what is pending */
    release(file);
}

static VOID NTAPI cancel(DEVICE_OBJECT *object, IRP *irp)
{
    struct proxy_request *request = irp->Tail.Overlay.DriverContext[0];
    KIRQL irql;

    (void)object;
    irql = KeAcquireSpinLockRaiseToDpc(&request->file->send_lock);
    send_cancel(request->file, request->id);
    KeReleaseSpinLock(&request->file->send_lock, irql);
    IoReleaseCancelSpinLock(irp->CancelIrql);
}

/* The program's buffers by the method of the code: what goes to the driver and where the answer is put. */
static void buffers(IRP *irp, struct control_frame *frame, struct proxy_request *request,
                    const uint8_t **input, const uint8_t **given)
{
    IO_STACK_LOCATION *stack = IoGetCurrentIrpStackLocation(irp);
    uint8_t *direct =
        irp->MdlAddress ? MmGetSystemAddressForMdlSafe(irp->MdlAddress, NormalPagePriority) : NULL;

    request->direct = METHOD_FROM_CTL_CODE(frame->code) != METHOD_BUFFERED;
    request->output_length = stack->Parameters.DeviceIoControl.OutputBufferLength;
    request->output = request->direct ? direct : irp->AssociatedIrp.SystemBuffer;
    *input = irp->AssociatedIrp.SystemBuffer;
    *given = request->output;
    frame->input_length = stack->Parameters.DeviceIoControl.InputBufferLength;
    frame->output_length = request->output_length;
    if (!frame->input_length || !*input) {
        frame->flags |= FLAG_NO_INPUT;
    }
    if (!frame->output_length || !request->output) {
        frame->flags |= FLAG_NO_OUTPUT;
        request->output = NULL;
    } else if (request->direct) {
        frame->given = frame->output_length;
    }
}

NTSTATUS proxy_file_control(struct proxy_file *file, IRP *irp)
{
    struct proxy_request *request = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*request), PROXY_TAG);
    struct control_frame frame = {.handle = file->handle, .flags = FLAG_ASYNCHRONOUS};
    const uint8_t *input, *given;
    ULONG input_bytes;
    BOOLEAN sent;
    KIRQL irql;

    if (!request) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    *request = (struct proxy_request){.file = file, .irp = irp, .id = file->next_id++};
    frame.code = IoGetCurrentIrpStackLocation(irp)->Parameters.DeviceIoControl.IoControlCode;
    buffers(irp, &frame, request, &input, &given);
    input_bytes = frame.flags & FLAG_NO_INPUT ? 0 : frame.input_length;
    frame.frame = (struct frame){(ULONG)(sizeof(frame) - sizeof(frame.frame)) + input_bytes + frame.given,
                                 OPERATION_CONTROL, request->id};

    irp->Tail.Overlay.DriverContext[0] = request;
    IoMarkIrpPending(irp);
    irql = KeAcquireSpinLockRaiseToDpc(&file->lock);
    InsertTailList(&file->pending, &request->link);
    KeReleaseSpinLock(&file->lock, irql);
    /* A cancellation waits for this lock, so that it is sent after what it cancels. */
    irql = KeAcquireSpinLockRaiseToDpc(&file->send_lock);
    IoSetCancelRoutine(irp, cancel);
    sent = !file->broken && linux_write_all(file->socket, &frame, sizeof(frame)) &&
           linux_write_all(file->socket, input, input_bytes) &&
           linux_write_all(file->socket, given, frame.given);
    if (!sent) {
        linux_shutdown(file->socket);
    }
    KeReleaseSpinLock(&file->send_lock, irql);
    if (!sent && file->broken) { /* the reader may have emptied the list before this one was in it */
        struct proxy_request *left = take(file, request->id, FALSE);
        if (left) {
            finish(left, STATUS_CANCELLED, 0);
        }
    }
    return STATUS_PENDING;
}
