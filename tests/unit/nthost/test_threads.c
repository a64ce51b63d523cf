/* System threads, objects, handles, extended processor state. */
#include "support.h"

#include "ob/exports.h"
#include "ob/object.h"
#include "ps/exports.h"
#include "ps/process.h"

static uint64_t ended;

static VOID NTAPI returns(PVOID context)
{
    __atomic_fetch_add(&ended, 1, __ATOMIC_RELEASE);
}

static void deep_end(unsigned depth)
{
    volatile char frame[64];
    frame[0] = (char)depth;
    if (depth != 0)
        deep_end(depth - 1);
    PsTerminateSystemThread((NTSTATUS)0x1234);
    frame[1] = frame[0];
}

static VOID NTAPI terminates(PVOID context)
{
    HANDLE *ids = context;
    ids[0] = PsGetCurrentThreadId();
    EXPECT(PsIsSystemThread(PsGetCurrentThread()) &&
           PsGetThreadExitStatus(PsGetCurrentThread()) == STATUS_PENDING);
    deep_end(5);
    EXPECT(false); /* never comes back */
}

static void close_handle(void *context)
{
    ZwClose(context);
}

static void expect_not_open(HANDLE handle)
{
    if (host_options.verify)
        EXPECT(reports(RULE_OBJECT_REFERENCE, close_handle, handle));
    else
        EXPECT(ZwClose(handle) == STATUS_INVALID_HANDLE);
}

static void system_threads(void)
{
    HANDLE handle, ids[1] = {NULL};
    CLIENT_ID client;
    PVOID thread, object;
    /* the thread that runs the tests is a system thread itself, and referenced */
    int64_t threads = host_count_read(HOST_THREAD).now, references = host_count_read(HOST_OBJECT_REF).now;
    EXPECT(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, &client, terminates, ids) ==
           STATUS_SUCCESS);
    EXPECT(host_count_read(HOST_HANDLE).now == 1);
    EXPECT(ObReferenceObjectByHandle(handle, 0, *PsProcessType, KernelMode, &object, NULL) ==
           STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(object == NULL);
    EXPECT(ObReferenceObjectByHandle(handle, 0, *PsThreadType, UserMode, &object, NULL) ==
           STATUS_INVALID_HANDLE);
    EXPECT(ObReferenceObjectByHandle(handle, 0, *PsThreadType, KernelMode, &thread, NULL) == STATUS_SUCCESS);
    EXPECT(ObIsKernelHandle(handle));
    EXPECT(ZwWaitForSingleObject(handle, FALSE, NULL) == STATUS_SUCCESS);
    EXPECT(host_count_read(HOST_THREAD).now == threads);
    EXPECT(PsGetThreadExitStatus(thread) == 0x1234 && PsGetThreadId(thread) == client.UniqueThread);
    EXPECT(ids[0] == client.UniqueThread && client.UniqueProcess == PsGetCurrentProcessId());
    EXPECT(KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL) == STATUS_SUCCESS);
    EXPECT(ZwClose(handle) == STATUS_SUCCESS);
    expect_not_open(handle);
    EXPECT(ObReferenceObjectByHandle(handle, 0, NULL, KernelMode, &object, NULL) == STATUS_INVALID_HANDLE);
    EXPECT(host_count_read(HOST_OBJECT_REF).now == references + 1);
    EXPECT(ObReferenceObject(thread) > ObDereferenceObject(thread));
    ObDereferenceObject(thread);
    EXPECT(host_count_read(HOST_OBJECT_REF).now == references && host_count_read(HOST_HANDLE).now == 0);
    for (unsigned i = 0; i < 60; i++) {
        EXPECT(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, returns, NULL) ==
               STATUS_SUCCESS);
        EXPECT(ZwClose(handle) == STATUS_SUCCESS);
    }
    for (uint64_t end = now_ms() + 5000; host_count_read(HOST_THREAD).now != threads && now_ms() < end;)
        sleep_ms(1);
    EXPECT(__atomic_load_n(&ended, __ATOMIC_ACQUIRE) == 60);
}

static unsigned destroyed;

static void destroy(void *body)
{
    destroyed++;
}

static void objects(void)
{
    static OBJECT_TYPE type = {.name = "Test", .destroy = destroy};
    void *body = ob_create(&type, 100), *found;
    HANDLE first, second, pseudo = (HANDLE)(intptr_t)-2;
    EXPECT(body != NULL && (uintptr_t)body % 16 == 0 && ob_reference_count(body) == 1 &&
           ob_type(body) == &type);
    EXPECT(ob_open_handle(body, 0, &first) == STATUS_SUCCESS);
    EXPECT(ob_open_handle(body, OBJ_KERNEL_HANDLE, &second) == STATUS_SUCCESS && first != second);
    EXPECT(ob_reference_count(body) == 3 && !ObIsKernelHandle(first));
    EXPECT(ob_reference_handle(first, &type, UserMode, &found) == STATUS_SUCCESS && found == body);
    ob_dereference(found);
    EXPECT(ObReferenceObjectByPointer(body, 0, *PsThreadType, KernelMode) == STATUS_OBJECT_TYPE_MISMATCH);
    EXPECT(ZwClose(first) == STATUS_SUCCESS && ZwClose(second) == STATUS_SUCCESS && destroyed == 0);
    ob_dereference(body);
    EXPECT(destroyed == 1);
    EXPECT(ob_reference_handle(pseudo, &ps_thread_type, KernelMode, &found) == STATUS_SUCCESS);
    EXPECT(found == PsGetCurrentThread());
    ob_dereference(found);
    expect_not_open((HANDLE)(uintptr_t)0);
    expect_not_open((HANDLE)(uintptr_t)0x7ffffffc);
}

/* In verify mode it really saves and restores. */
static void extended_state(void)
{
    XSTATE_SAVE outer, inner;
    EXPECT(KeSaveExtendedProcessorState(XSTATE_MASK_AVX, &outer) == STATUS_SUCCESS);
    EXPECT(KeSaveExtendedProcessorState(XSTATE_MASK_AVX | XSTATE_MASK_AVX512, &inner) == STATUS_SUCCESS);
    KeRestoreExtendedProcessorState(&inner);
    KeRestoreExtendedProcessorState(&outer);
    EXPECT(outer.Thread == NULL && inner.Thread == NULL);
}

void test_threads(void)
{
    system_threads();
    objects();
    extended_state();
}
