/* What oid.c, offload.c and keyword.c ask of NDIS and of the driver, for native tests: attributes and
 * indications are kept, the configuration is a table.  Included once, by the test's own source. */
#pragma once

#include "driver.h"
#include "oid.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

struct driver driver;
static struct adapter adapter;

/* ---- attributes and indications ---- */

/* By what the structure's header says: registration, general, offload. */
static uint32_t attributes_set;
static uint32_t attributes_refused_at; /* the call, from 1, that fails; 0: none */
static NDIS_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES last_registration;
static NDIS_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES last_general;
static NDIS_OFFLOAD last_default, last_capabilities;
static uint32_t indications;
static NDIS_STATUS last_status;
static ULONG last_size;
static union {
    NDIS_OFFLOAD offload;
    NDIS_LINK_STATE link;
} last_indicated;

NDIS_STATUS NTAPI NdisMSetMiniportAttributes(NDIS_HANDLE miniport,
                                             PNDIS_MINIPORT_ADAPTER_ATTRIBUTES attributes)
{
    CHECK(miniport == adapter.miniport);
    if (++attributes_set == attributes_refused_at)
        return NDIS_STATUS_RESOURCES;
    switch (attributes->OffloadAttributes.Header.Type) {
    case NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_REGISTRATION_ATTRIBUTES:
        last_registration = attributes->RegistrationAttributes;
        break;
    case NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_GENERAL_ATTRIBUTES:
        last_general = attributes->GeneralAttributes;
        break;
    case NDIS_OBJECT_TYPE_MINIPORT_ADAPTER_OFFLOAD_ATTRIBUTES:
        last_default = *attributes->OffloadAttributes.DefaultOffloadConfiguration;
        last_capabilities = *attributes->OffloadAttributes.HardwareOffloadCapabilities;
        break;
    default:
        CHECK(false);
    }
    return NDIS_STATUS_SUCCESS;
}

VOID NTAPI NdisMIndicateStatusEx(NDIS_HANDLE miniport, PNDIS_STATUS_INDICATION indication)
{
    CHECK(miniport == adapter.miniport && indication->SourceHandle == miniport);
    CHECK(indication->StatusBufferSize <= sizeof(last_indicated));
    indications++;
    last_status = indication->StatusCode;
    last_size = indication->StatusBufferSize;
    memcpy(&last_indicated, indication->StatusBuffer, indication->StatusBufferSize);
}

/* ---- configuration ---- */

#define CONFIGURATION ((NDIS_HANDLE)0x77)

struct keyword_value {
    const char *name;
    uint32_t value;
};

static struct keyword_value configuration[32];
static uint32_t configured;
static bool configuration_refused;
static bool parameter_missing; /* a status of success without a parameter */
static int configuration_open;
static NDIS_CONFIGURATION_PARAMETER parameter;

NDIS_STATUS NTAPI NdisOpenConfigurationEx(PNDIS_CONFIGURATION_OBJECT object, PNDIS_HANDLE handle)
{
    CHECK(object->Header.Type == NDIS_OBJECT_TYPE_CONFIGURATION_OBJECT &&
          object->NdisHandle == adapter.miniport);
    CHECK(object->Header.Size == NDIS_SIZEOF_CONFIGURATION_OBJECT_REVISION_1 && object->Flags == 0);
    if (configuration_refused)
        return NDIS_STATUS_FAILURE;
    configuration_open++;
    *handle = CONFIGURATION;
    return NDIS_STATUS_SUCCESS;
}

VOID NTAPI NdisReadConfiguration(PNDIS_STATUS status, PNDIS_CONFIGURATION_PARAMETER *result,
                                 NDIS_HANDLE handle, PNDIS_STRING keyword, NDIS_PARAMETER_TYPE type)
{
    CHECK(handle == CONFIGURATION && configuration_open == 1 && type == NdisParameterInteger);
    CHECK(keyword->MaximumLength == keyword->Length + 2 && keyword->Buffer[keyword->Length / 2] == 0);
    *status = NDIS_STATUS_FAILURE;
    for (uint32_t i = 0; i < configured; i++) {
        uint32_t length = (uint32_t)strlen(configuration[i].name), same = 0;
        while (same < length && keyword->Length == 2 * length &&
               keyword->Buffer[same] == (WCHAR)configuration[i].name[same])
            same++;
        if (same != length || length == 0)
            continue;
        parameter.ParameterType = NdisParameterInteger;
        parameter.ParameterData.IntegerData = configuration[i].value;
        *result = parameter_missing ? NULL : &parameter;
        *status = NDIS_STATUS_SUCCESS;
    }
}

VOID NTAPI NdisCloseConfiguration(NDIS_HANDLE handle)
{
    CHECK(handle == CONFIGURATION && configuration_open == 1);
    configuration_open--;
}

/* ---- the driver ---- */

static uint32_t suspensions, resumptions;
static counters_sum counted;

void state_suspended(struct adapter *of)
{
    CHECK(of == &adapter);
    suspensions++;
}

void state_resumed(struct adapter *of)
{
    CHECK(of == &adapter);
    resumptions++;
}

void counters_read(struct adapter *of, counters_sum *sum)
{
    CHECK(of == &adapter);
    *sum = counted;
}

/* ---- requests ---- */

/* A fresh system of that NDIS version, without keywords, and the adapter's attributes not yet set. */
static void fresh(uint32_t version)
{
    memset(&adapter, 0, sizeof(adapter));
    memset(&last_indicated, 0, sizeof(last_indicated));
    adapter.miniport = (NDIS_HANDLE)0x1234;
    driver.ndis_version = version;
    attributes_set = attributes_refused_at = indications = configured = 0;
    configuration_refused = parameter_missing = false;
}

/* Buffers have exactly the length that is said, so that the sanitizer sees any byte beyond it. */
static inline NDIS_STATUS query_oid(NDIS_OID oid, void *value, uint32_t length, NDIS_OID_REQUEST *request)
{
    uint8_t *buffer = malloc(length ? length : 1);
    memset(buffer, 0xA5, length ? length : 1);
    *request = (NDIS_OID_REQUEST){.RequestType = NdisRequestQueryInformation};
    request->DATA.QUERY_INFORMATION.Oid = oid;
    request->DATA.QUERY_INFORMATION.InformationBuffer = length ? buffer : NULL;
    request->DATA.QUERY_INFORMATION.InformationBufferLength = length;
    request->DATA.QUERY_INFORMATION.BytesWritten = 0xFFFF;
    NDIS_STATUS status = oid_request(&adapter, request);
    if (length)
        memcpy(value, buffer, length);
    free(buffer);
    return status;
}

static inline NDIS_STATUS set_oid(NDIS_OID oid, const void *value, uint32_t length, NDIS_OID_REQUEST *request)
{
    uint8_t *buffer = malloc(length ? length : 1);
    if (length)
        memcpy(buffer, value, length);
    *request = (NDIS_OID_REQUEST){.RequestType = NdisRequestSetInformation};
    request->DATA.SET_INFORMATION.Oid = oid;
    request->DATA.SET_INFORMATION.InformationBuffer = length ? buffer : NULL;
    request->DATA.SET_INFORMATION.InformationBufferLength = length;
    request->DATA.SET_INFORMATION.BytesRead = 0xFFFF;
    NDIS_STATUS status = oid_request(&adapter, request);
    free(buffer);
    return status;
}
