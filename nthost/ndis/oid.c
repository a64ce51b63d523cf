/* OID requests to a miniport: one at a time, completed inline or later, with a limit. */
#include "ndis.h"
#include "verify/verify.h"

#include <stdlib.h>
#include <string.h>

#define OID_TIMEOUT_NS (12ull * 1000000000) /* NDIS's own limit for a pending OID request */

bool completion_wait(struct completion *completion, uint64_t timeout_ns)
{
    uint64_t deadline = sched_time_ns() + timeout_ns;

    while (!__atomic_load_n(&completion->done, __ATOMIC_ACQUIRE))
        if (!sched_block(deadline) && sched_time_ns() >= deadline)
            return __atomic_load_n(&completion->done, __ATOMIC_ACQUIRE);
    return true;
}

void completion_done(struct completion *completion, int32_t status)
{
    struct sched_thread *waiter = completion->waiter;

    completion->status = status;
    __atomic_store_n(&completion->done, true, __ATOMIC_RELEASE);
    sched_wake(waiter);
}

VOID NTAPI NdisMOidRequestComplete(NDIS_HANDLE MiniportAdapterHandle, PNDIS_OID_REQUEST OidRequest,
                                   NDIS_STATUS Status)
{
    struct ndis_adapter *adapter = adapter_from_handle(MiniportAdapterHandle, "NdisMOidRequestComplete");
    struct completion *waiting;

    if (!adapter)
        return;
    waiting = __atomic_exchange_n(&adapter->oid, NULL, __ATOMIC_ACQ_REL);
    if (!waiting || adapter->oid_request != OidRequest) {
        if (host_options.verify)
            verify_report(RULE_OID_RESULT, "NdisMOidRequestComplete: request %p is not pending",
                          (void *)OidRequest);
        return;
    }
    if (Status == NDIS_STATUS_PENDING && host_options.verify)
        verify_report(RULE_OID_RESULT, "NdisMOidRequestComplete with NDIS_STATUS_PENDING");
    completion_done(waiting, Status);
}

static void check_result(const NDIS_OID_REQUEST *request, bool set, uint32_t length, int32_t status)
{
    uint32_t oid = request->DATA.QUERY_INFORMATION.Oid;
    uint32_t moved =
        set ? request->DATA.SET_INFORMATION.BytesRead : request->DATA.QUERY_INFORMATION.BytesWritten;
    uint32_t needed =
        set ? request->DATA.SET_INFORMATION.BytesNeeded : request->DATA.QUERY_INFORMATION.BytesNeeded;

    if (status == NDIS_STATUS_SUCCESS && moved > length)
        verify_report(RULE_OID_RESULT, "OID 0x%08x: %u bytes reported moved, the buffer has %u", oid, moved,
                      length);
    if ((status == NDIS_STATUS_BUFFER_TOO_SHORT || status == NDIS_STATUS_INVALID_LENGTH) && !set &&
        needed <= length)
        verify_report(RULE_OID_RESULT, "OID 0x%08x: buffer of %u bytes too short, but BytesNeeded is %u", oid,
                      length, needed);
}

int32_t ndis_adapter_oid(struct ndis_adapter *adapter, bool set, uint32_t oid, void *buffer, uint32_t length,
                         uint32_t *bytes)
{
    NDIS_OID_REQUEST *request = calloc(1, sizeof *request);
    struct completion done = {.waiter = sched_self()};
    struct host_callback cb;
    int32_t status;

    if (bytes)
        *bytes = 0;
    if (!request)
        return NDIS_STATUS_RESOURCES;
    gate_lock(&adapter->control);
    if (adapter->state == ADAPTER_HALTED || adapter->state == ADAPTER_INITIALIZING) {
        gate_unlock(&adapter->control);
        free(request);
        return NDIS_STATUS_ADAPTER_NOT_READY;
    }
    request->Header.Type = NDIS_OBJECT_TYPE_OID_REQUEST;
    request->Header.Revision = NDIS_OID_REQUEST_REVISION_2;
    request->Header.Size = NDIS_SIZEOF_OID_REQUEST_REVISION_2;
    request->RequestType = set ? NdisRequestSetInformation : NdisRequestQueryInformation;
    request->PortNumber = NDIS_DEFAULT_PORT_NUMBER;
    request->RequestId = request;
    request->RequestHandle = adapter;
    request->DATA.QUERY_INFORMATION.Oid = oid;
    request->DATA.QUERY_INFORMATION.InformationBuffer = buffer;
    request->DATA.QUERY_INFORMATION.InformationBufferLength = length;
    adapter->oid_request = request;
    __atomic_store_n(&adapter->oid, &done, __ATOMIC_RELEASE);

    host_callback_begin(&cb, "MiniportOidRequest");
    status = adapter->driver->handlers.OidRequestHandler(adapter->context, request);
    host_callback_end(&cb);
    if (status == NDIS_STATUS_PENDING) {
        if (completion_wait(&done, OID_TIMEOUT_NS)) {
            status = done.status;
        } else {
            if (host_options.verify)
                verify_report(RULE_NDIS_TIMEOUT, "OID request 0x%08x has been pending for 12 s", oid);
            host_warn("%s: OID request 0x%08x has been pending for 12 s and is given up", adapter->name, oid);
            request = NULL; /* still the driver's: not freed */
            status = NDIS_STATUS_REQUEST_ABORTED;
        }
    } else if (__atomic_exchange_n(&adapter->oid, NULL, __ATOMIC_ACQ_REL) == NULL && host_options.verify) {
        verify_report(RULE_OID_RESULT, "OID request 0x%08x returned 0x%08x and was completed as well", oid,
                      (unsigned)status);
    }
    gate_unlock(&adapter->control);
    if (!request)
        return status;
    if (host_options.verify)
        check_result(request, set, length, status);
    if (bytes) {
        if (status == NDIS_STATUS_SUCCESS)
            *bytes =
                set ? request->DATA.SET_INFORMATION.BytesRead : request->DATA.QUERY_INFORMATION.BytesWritten;
        else
            *bytes = request->DATA.QUERY_INFORMATION.BytesNeeded;
    }
    free(request);
    return status;
}
