/* Files: what the I/O manager does for a process that opens a device, sends control codes, cancels and
 * closes. Buffers are passed as the control code's transfer method says. */
#include "io/file.h"

#include "host.h"
#include "io/device.h"
#include "io/request.h"
#include "mm/mdl.h"
#include "nt/rtl.h"
#include "ob/object.h"
#include "sched/sched.h"
#include "se/access.h"
#include "se/token.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* IRP.Flags (Microsoft's wdm.h values). */
#define IRP_BUFFERED_IO       0x10u
#define IRP_DEALLOCATE_BUFFER 0x20u
#define IRP_INPUT_OPERATION   0x40u

#define CLEANUP_WARNING_NS 10000000000ull

struct io_file {
    FILE_OBJECT *object;
    struct io_token token;
    int requests;                /* sent and not completed */
    struct sched_thread *closer; /* waits for requests to become 0 */
};

static OBJECT_TYPE file_type = {"File", NULL};
static POBJECT_TYPE file_type_pointer = &file_type;
POBJECT_TYPE *IoFileObjectType = &file_type_pointer;

/* ---- waiting for a request ---- */

struct waiter {
    struct sched_thread *thread;
    bool done;
};

/* Whoever completes holds this until it no longer needs waiter, file and thread; whoever waits looks at the
 * state under it, and so cannot free them too early. */
static pthread_mutex_t wait_lock = PTHREAD_MUTEX_INITIALIZER;

static void wake_waiter(void *context, int32_t status, uint64_t information)
{
    struct waiter *waiter = context;
    (void)status, (void)information;
    pthread_mutex_lock(&wait_lock);
    waiter->done = true;
    sched_wake(waiter->thread);
    pthread_mutex_unlock(&wait_lock);
}

static bool waiter_done(struct waiter *waiter)
{
    pthread_mutex_lock(&wait_lock);
    bool done = waiter->done;
    pthread_mutex_unlock(&wait_lock);
    return done;
}

static NTSTATUS send_and_wait(struct io_request *request, PDEVICE_OBJECT device, uint64_t *information)
{
    struct waiter waiter = {.thread = sched_self()};
    request->done = wake_waiter;
    request->done_context = &waiter;
    request_send(request, device);
    while (!waiter_done(&waiter))
        sched_block(SCHED_FOREVER);
    NTSTATUS status = request->status;
    if (information)
        *information = request->information;
    request_release(request);
    return status;
}

/* ---- open and close ---- */

static struct io_request *file_request(struct io_file *file, UCHAR major)
{
    PDEVICE_OBJECT top = device_stack_top(file->object->DeviceObject);
    struct io_request *request = request_create(top, &file->token);
    if (!request)
        return NULL;
    request->file = file;
    request->irp->Tail.Overlay.OriginalFileObject = file->object;
    request->irp->RequestorMode = UserMode;
    PIO_STACK_LOCATION stack = IoGetNextIrpStackLocation(request->irp);
    stack->MajorFunction = major;
    stack->FileObject = file->object;
    return request;
}

static NTSTATUS send_simple(struct io_file *file, UCHAR major, void (*prepare)(PIO_STACK_LOCATION, void *),
                            void *context)
{
    struct io_request *request = file_request(file, major);
    if (!request)
        return STATUS_INSUFFICIENT_RESOURCES;
    if (prepare)
        prepare(IoGetNextIrpStackLocation(request->irp), context);
    return send_and_wait(request, device_stack_top(file->object->DeviceObject), NULL);
}

static void prepare_create(PIO_STACK_LOCATION stack, void *context)
{
    stack->Parameters.Create.SecurityContext = context;
    stack->Parameters.Create.Options = 1u << 24; /* FILE_OPEN */
    stack->Parameters.Create.ShareAccess = 7;    /* read, write, delete */
}

static void free_file(struct io_file *file)
{
    device_dereference(file->object->DeviceObject);
    ob_dereference(file->object);
    free(file);
}

int32_t io_file_open(struct _DEVICE_OBJECT *device, const struct io_token *token, struct io_file **result)
{
    *result = NULL;
    ACCESS_MASK wanted = FILE_GENERIC_READ | FILE_GENERIC_WRITE, granted;
    PDEVICE_OBJECT top = device_stack_top(device);
    if (top->SecurityDescriptor) {
        NTSTATUS status;
        if (!access_check(top->SecurityDescriptor, token, wanted, 0, IoGetFileObjectGenericMapping(),
                          &granted, &status))
            return status;
    }
    struct io_file *file = calloc(1, sizeof *file);
    FILE_OBJECT *object = file ? ob_create(&file_type, sizeof *object) : NULL;
    if (!object) {
        free(file);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    file->object = object;
    file->token = *token;
    object->Type = IO_TYPE_FILE;
    object->Size = sizeof *object;
    object->DeviceObject = device;
    object->ReadAccess = object->WriteAccess = TRUE;
    object->SharedRead = object->SharedWrite = object->SharedDelete = TRUE;
    KeInitializeEvent(&object->Lock, SynchronizationEvent, TRUE);
    KeInitializeEvent(&object->Event, NotificationEvent, FALSE);
    InitializeListHead(&object->IrpList);
    device_reference(device);

    IO_SECURITY_CONTEXT security = {.DesiredAccess = wanted};
    NTSTATUS status = send_simple(file, IRP_MJ_CREATE, prepare_create, &security);
    if (!NT_SUCCESS(status)) {
        free_file(file);
        return status;
    }
    *result = file;
    return status;
}

void io_file_pass(struct io_file *file, const struct io_token *token)
{
    file->token = *token;
}

/* The calling thread will be woken when none is left. */
static int requests_left(struct io_file *file)
{
    pthread_mutex_lock(&wait_lock);
    file->closer = sched_self();
    int left = file->requests;
    pthread_mutex_unlock(&wait_lock);
    return left;
}

void io_file_close(struct io_file *file)
{
    send_simple(file, IRP_MJ_CLEANUP, NULL, NULL);
    bool warned = false;
    int left;
    while ((left = requests_left(file)) != 0) {
        if (!sched_block(warned ? SCHED_FOREVER : sched_time_ns() + CLEANUP_WARNING_NS) && !warned) {
            host_warn("the driver keeps %d requests of a file 10 s after IRP_MJ_CLEANUP", left);
            warned = true;
        }
    }
    send_simple(file, IRP_MJ_CLOSE, NULL, NULL);
    free_file(file);
}

/* ---- control ---- */

/* What request->done is for asynchronous requests: the file's count goes down after the caller was told. */
struct control {
    struct io_file *file;
    void (*done)(void *context, int32_t status, uint64_t information);
    void *context;
};

static void control_done(void *context, int32_t status, uint64_t information)
{
    struct control control = *(struct control *)context;
    free(context);
    control.done(control.context, status, information);
    pthread_mutex_lock(&wait_lock);
    if (--control.file->requests == 0 && control.file->closer)
        sched_wake(control.file->closer);
    pthread_mutex_unlock(&wait_lock);
}

/* The buffers of a device control IRP.  False: no memory. */
static bool prepare_buffers(struct io_request *request, const void *in, uint32_t in_length, void *out,
                            uint32_t out_length)
{
    PIRP irp = request->irp;
    uint32_t system_length = 0;
    irp->UserBuffer = out;
    request->user_out = out;
    request->user_out_length = out_length;
    request->user_in_length = in_length;
    if (request->method == METHOD_NEITHER) {
        IoGetNextIrpStackLocation(irp)->Parameters.DeviceIoControl.Type3InputBuffer = (PVOID)(uintptr_t)in;
        return true;
    }
    if (request->method == METHOD_BUFFERED)
        system_length = in_length > out_length ? in_length : out_length;
    else
        system_length = in_length;
    if (system_length) {
        char *buffer = lent_allocate(system_length, "system buffer of a request", RULE_IRP_NOT_OWNED);
        if (!buffer)
            return false;
        if (in_length)
            memcpy(buffer, in, in_length);
        /* Not initialised on Windows; a pattern shows output that the driver only claims to have written. */
        memset(buffer + in_length, host_options.verify ? REQUEST_UNWRITTEN : 0, system_length - in_length);
        irp->AssociatedIrp.SystemBuffer = buffer;
        irp->Flags |= IRP_BUFFERED_IO | IRP_DEALLOCATE_BUFFER;
    }
    if (request->method == METHOD_BUFFERED) {
        if (out_length)
            irp->Flags |= IRP_INPUT_OPERATION;
        return true;
    }
    if (out_length) {
        irp->MdlAddress = mdl_allocate(out, out_length);
        if (!irp->MdlAddress)
            return false;
        mdl_lock(irp->MdlAddress, request->method == METHOD_OUT_DIRECT);
    }
    return true;
}

struct io_request *io_file_control_async(struct io_file *file, uint32_t code, const void *in,
                                         uint32_t in_length, void *out, uint32_t out_length,
                                         void (*done)(void *context, int32_t status, uint64_t information),
                                         void *context)
{
    struct control *control = malloc(sizeof *control);
    struct io_request *request = control ? file_request(file, IRP_MJ_DEVICE_CONTROL) : NULL;
    bool good = request != NULL;
    if (good) {
        PIO_STACK_LOCATION stack = IoGetNextIrpStackLocation(request->irp);
        stack->Parameters.DeviceIoControl.IoControlCode = code;
        stack->Parameters.DeviceIoControl.InputBufferLength = in_length;
        stack->Parameters.DeviceIoControl.OutputBufferLength = out_length;
        request->method = METHOD_FROM_CTL_CODE(code);
        good = prepare_buffers(request, in, in_length, out, out_length);
    }
    if (!good) {
        free(control);
        if (request) {
            lent_free(request->irp->AssociatedIrp.SystemBuffer);
            request_release(request);
            request_release(request);
        }
        done(context, STATUS_INSUFFICIENT_RESOURCES, 0);
        return NULL;
    }
    *control = (struct control){file, done, context};
    request->done = control_done;
    request->done_context = control;
    pthread_mutex_lock(&wait_lock);
    file->requests++;
    pthread_mutex_unlock(&wait_lock);
    request_send(request, device_stack_top(file->object->DeviceObject));
    return request;
}

struct control_wait {
    struct waiter waiter;
    int32_t status;
    uint64_t information;
};

static void control_wait_done(void *context, int32_t status, uint64_t information)
{
    struct control_wait *wait = context;
    wait->status = status;
    wait->information = information;
    wake_waiter(&wait->waiter, status, information);
}

int32_t io_file_control(struct io_file *file, uint32_t code, const void *in, uint32_t in_length, void *out,
                        uint32_t out_length, uint64_t *information)
{
    struct control_wait wait = {.waiter.thread = sched_self()};
    struct io_request *request =
        io_file_control_async(file, code, in, in_length, out, out_length, control_wait_done, &wait);
    while (!waiter_done(&wait.waiter))
        sched_block(SCHED_FOREVER);
    if (request)
        io_request_release(request);
    if (information)
        *information = wait.information;
    return wait.status;
}

void io_request_cancel(struct io_request *request)
{
    if (!__atomic_load_n(&request->completed, __ATOMIC_ACQUIRE))
        IoCancelIrp(request->irp);
}

void io_request_release(struct io_request *request)
{
    request_release(request);
}

/* ---- PnP and power ---- */

static NTSTATUS send_system(PDEVICE_OBJECT device, UCHAR major, UCHAR minor, uint32_t state)
{
    PDEVICE_OBJECT top = device_stack_top(device);
    struct io_request *request = request_create(top, &io_token_system);
    if (!request)
        return STATUS_INSUFFICIENT_RESOURCES;
    request->irp->RequestorMode = KernelMode;
    request->irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    PIO_STACK_LOCATION stack = IoGetNextIrpStackLocation(request->irp);
    stack->MajorFunction = major;
    stack->MinorFunction = minor;
    if (major == IRP_MJ_POWER) {
        stack->Parameters.Power.Type = 1; /* DevicePowerState */
        stack->Parameters.Power.State.DeviceState = (DEVICE_POWER_STATE)state;
    }
    device_reference(top);
    NTSTATUS status = send_and_wait(request, top, NULL);
    device_dereference(top);
    return status;
}

int32_t io_pnp(struct _DEVICE_OBJECT *device, uint8_t minor)
{
    return send_system(device, IRP_MJ_PNP, minor, 0);
}

int32_t io_power(struct _DEVICE_OBJECT *device, uint8_t minor, uint32_t state)
{
    return send_system(device, IRP_MJ_POWER, minor, state);
}
