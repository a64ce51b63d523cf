/* OID requests (oid.c) and the adapter's attributes: every OID of the list is answered, with buffers of every
 * length; sets take exactly what they need; link state and sleep. */
#include "check.h"
#include "ndis_stub.h"
#include "version.h"

/* OIDs that have an answer of a fixed length. */
static const struct {
    NDIS_OID oid;
    uint32_t bytes;
} answers[] = {
    {OID_GEN_MAXIMUM_TOTAL_SIZE, 4},
    {OID_GEN_TRANSMIT_BUFFER_SPACE, 4},
    {OID_GEN_RECEIVE_BUFFER_SPACE, 4},
    {OID_GEN_TRANSMIT_BLOCK_SIZE, 4},
    {OID_GEN_RECEIVE_BLOCK_SIZE, 4},
    {OID_GEN_VENDOR_DESCRIPTION, sizeof("Wyrm Tunnel")},
    {OID_GEN_VENDOR_ID, 4},
    {OID_GEN_VENDOR_DRIVER_VERSION, 4},
    {OID_GEN_STATISTICS, NDIS_SIZEOF_STATISTICS_INFO_REVISION_1},
    {OID_GEN_INTERRUPT_MODERATION, NDIS_SIZEOF_INTERRUPT_MODERATION_PARAMETERS_REVISION_1},
    {OID_TCP_RSC_STATISTICS, NDIS_SIZEOF_RSC_STATISTICS_REVISION_1},
};

static uint8_t value[4096];
static NDIS_OID_REQUEST request;

static uint32_t query_u32(NDIS_OID oid)
{
    uint32_t result = 0;
    CHECK(query_oid(oid, &result, sizeof(result), &request) == NDIS_STATUS_SUCCESS);
    return result;
}

/* One byte too few: what is needed is said and nothing written.  More than enough: only the answer is
 * written. */
static void test_lengths(void)
{
    for (uint32_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        uint32_t bytes = answers[i].bytes;
        for (uint32_t length = 0; length < bytes; length++) {
            CHECK(query_oid(answers[i].oid, value, length, &request) == NDIS_STATUS_BUFFER_TOO_SHORT);
            CHECK_MSG(request.DATA.QUERY_INFORMATION.BytesNeeded == bytes &&
                          request.DATA.QUERY_INFORMATION.BytesWritten == 0,
                      "OID %#x of %u bytes", answers[i].oid, length);
            for (uint32_t j = 0; j < length; j++)
                if (value[j] != 0xA5)
                    CHECK_MSG(false, "OID %#x wrote into %u bytes", answers[i].oid, length);
        }
        for (uint32_t more = 0; more < 9; more++) {
            CHECK(query_oid(answers[i].oid, value, bytes + more, &request) == NDIS_STATUS_SUCCESS);
            CHECK(request.DATA.QUERY_INFORMATION.BytesWritten == bytes);
            CHECK(more == 0 || (value[bytes] == 0xA5 && value[bytes + more - 1] == 0xA5));
        }
    }
}

static void test_values(void)
{
    CHECK(query_u32(OID_GEN_MAXIMUM_TOTAL_SIZE) == 0x7FFFFFA0);
    CHECK(query_u32(OID_GEN_TRANSMIT_BLOCK_SIZE) == 0x7FFFFFA0);
    CHECK(query_u32(OID_GEN_RECEIVE_BUFFER_SPACE) == 64u << 20);
    CHECK(query_u32(OID_GEN_VENDOR_ID) == 0xFFFFFF);
    CHECK(query_u32(OID_GEN_VENDOR_DRIVER_VERSION) == (WYRM_VERSION_MAJOR << 16 | WYRM_VERSION_MINOR));
    CHECK(query_oid(OID_GEN_VENDOR_DESCRIPTION, value, 64, &request) == NDIS_STATUS_SUCCESS &&
          strcmp((char *)value, "Wyrm Tunnel") == 0);

    NDIS_INTERRUPT_MODERATION_PARAMETERS moderation;
    CHECK(query_oid(OID_GEN_INTERRUPT_MODERATION, &moderation, sizeof(moderation), &request) == 0);
    CHECK(moderation.InterruptModeration == NdisInterruptModerationNotSupported);
    CHECK(query_oid(OID_PNP_QUERY_POWER, value, 0, &request) == NDIS_STATUS_SUCCESS &&
          request.DATA.QUERY_INFORMATION.BytesWritten == 0);
}

static void test_statistics(void)
{
    counted =
        (counters_sum){.tx_packets = 0x1111111100000001, .tx_bytes = 2, .tx_errors = 3, .tx_discards = 4};
    counted.rx_packets = 0x2222222200000005, counted.rx_bytes = 6;
    counted.rx_errors = 7, counted.rx_discards = 8;
    counted.rsc_packets = 9, counted.rsc_bytes = 10, counted.rsc_units = 11, counted.rsc_aborts = 12;

    NDIS_STATISTICS_INFO info;
    CHECK(query_oid(OID_GEN_STATISTICS, &info, sizeof(info), &request) == NDIS_STATUS_SUCCESS);
    CHECK(info.Header.Type == NDIS_OBJECT_TYPE_DEFAULT &&
          info.Header.Size == NDIS_SIZEOF_STATISTICS_INFO_REVISION_1);
    CHECK(info.ifHCOutUcastPkts == counted.tx_packets && info.ifHCOutOctets == 2 &&
          info.ifHCOutUcastOctets == 2);
    CHECK(info.ifOutErrors == 3 && info.ifOutDiscards == 4);
    CHECK(info.ifHCInUcastPkts == counted.rx_packets && info.ifHCInOctets == 6 &&
          info.ifHCInUcastOctets == 6);
    CHECK(info.ifInErrors == 7 && info.ifInDiscards == 8);
    CHECK(info.ifHCInMulticastPkts == 0 && info.ifHCOutBroadcastOctets == 0);

    NDIS_RSC_STATISTICS_INFO coalescing;
    CHECK(query_oid(OID_TCP_RSC_STATISTICS, &coalescing, sizeof(coalescing), &request) ==
          NDIS_STATUS_SUCCESS);
    CHECK(coalescing.CoalescedPkts == 9 && coalescing.CoalescedOctets == 10 &&
          coalescing.CoalesceEvents == 11 && coalescing.Aborts == 12);

    /* Counters: 8 bytes, or the lower 4 with the hint that there are 8 (Microsoft: "OID_GEN_XMIT_OK"). */
    static const NDIS_OID oids[] = {OID_GEN_XMIT_OK, OID_GEN_RCV_OK};
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t whole = i ? counted.rx_packets : counted.tx_packets, got = 0;
        for (uint32_t length = 0; length < 12; length++) {
            NDIS_STATUS status = query_oid(oids[i], value, length, &request);
            uint32_t bytes = length < 4 ? 0 : length < 8 ? 4 : 8;
            CHECK(status == (bytes ? NDIS_STATUS_SUCCESS : NDIS_STATUS_BUFFER_TOO_SHORT));
            CHECK(request.DATA.QUERY_INFORMATION.BytesWritten == bytes);
            CHECK(bytes == 8 || request.DATA.QUERY_INFORMATION.BytesNeeded == 8);
            memcpy(&got, value, bytes);
            CHECK(bytes != 4 || (uint32_t)got == (uint32_t)whole);
            CHECK(bytes != 8 || got == whole);
        }
        request.RequestType = NdisRequestQueryStatistics; /* the same answers */
        request.DATA.QUERY_INFORMATION.InformationBuffer = &got;
        request.DATA.QUERY_INFORMATION.InformationBufferLength = 8;
        got = 0;
        CHECK(oid_request(&adapter, &request) == NDIS_STATUS_SUCCESS && got == whole);
    }
}

/* A set that takes exactly 4 bytes. */
static void check_u32(NDIS_OID oid)
{
    uint32_t number = 3;
    for (uint32_t length = 0; length < 9; length++) {
        uint64_t longer = number;
        NDIS_STATUS status = set_oid(oid, &longer, length, &request);
        CHECK(status == (length == 4 ? NDIS_STATUS_SUCCESS : NDIS_STATUS_INVALID_LENGTH));
        CHECK(request.DATA.SET_INFORMATION.BytesRead == (length == 4 ? 4 : 0));
        CHECK(length == 4 || request.DATA.SET_INFORMATION.BytesNeeded == 4);
    }
}

static void test_sets(void)
{
    check_u32(OID_GEN_CURRENT_PACKET_FILTER);
    check_u32(OID_GEN_CURRENT_LOOKAHEAD);
    CHECK(set_oid(OID_GEN_LINK_PARAMETERS, value, 40, &request) == NDIS_STATUS_SUCCESS &&
          request.DATA.SET_INFORMATION.BytesRead == 40);
    CHECK(set_oid(OID_GEN_INTERRUPT_MODERATION, value, 12, &request) == NDIS_STATUS_INVALID_DATA);
    CHECK(suspensions == 0 && resumptions == 0);
}

static void test_power(void)
{
    uint32_t sleeps = 0;
    for (uint32_t power = NdisDeviceStateD1; power <= NdisDeviceStateD3; power++) {
        CHECK(set_oid(OID_PNP_SET_POWER, &power, 4, &request) == NDIS_STATUS_SUCCESS);
        CHECK(suspensions == ++sleeps && resumptions == 0);
    }
    uint32_t power = NdisDeviceStateD0;
    CHECK(set_oid(OID_PNP_SET_POWER, &power, 4, &request) == NDIS_STATUS_SUCCESS && resumptions == 1);
    CHECK(set_oid(OID_PNP_SET_POWER, &power, 3, &request) == NDIS_STATUS_INVALID_LENGTH);
    CHECK(set_oid(OID_PNP_SET_POWER, &power, 0, &request) == NDIS_STATUS_INVALID_LENGTH);
    CHECK(suspensions == sleeps && resumptions == 1);
}

/* What is not ours.  NDIS itself answers for the offloads what it was told. */
static void test_unknown(void)
{
    static const NDIS_OID oids[] = {OID_TCP_OFFLOAD_CURRENT_CONFIG, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, 0,
                                    0xFFFFFFFF};
    for (uint32_t i = 0; i < 4; i++) {
        CHECK(query_oid(oids[i], value, 512, &request) == NDIS_STATUS_NOT_SUPPORTED);
        CHECK(set_oid(oids[i], value, 512, &request) == NDIS_STATUS_NOT_SUPPORTED);
    }
    CHECK(set_oid(OID_GEN_STATISTICS, value, 512, &request) == NDIS_STATUS_NOT_SUPPORTED);
    CHECK(query_oid(OID_PNP_SET_POWER, value, 4, &request) == NDIS_STATUS_NOT_SUPPORTED);
    for (uint32_t type = 0; type < 16; type++) {
        request = (NDIS_OID_REQUEST){.RequestType = (NDIS_REQUEST_TYPE)type};
        request.DATA.QUERY_INFORMATION.Oid = OID_GEN_VENDOR_ID;
        NDIS_STATUS expected =
            type == NdisRequestMethod ? NDIS_STATUS_INVALID_OID : NDIS_STATUS_NOT_SUPPORTED;
        if (type == NdisRequestQueryInformation || type == NdisRequestQueryStatistics)
            expected = NDIS_STATUS_BUFFER_TOO_SHORT;
        CHECK(oid_request(&adapter, &request) == expected);
    }
}

static void test_attributes(void)
{
    fresh(NDIS_RUNTIME_VERSION_685);
    CHECK(oid_set_attributes(&adapter) == NDIS_STATUS_SUCCESS && attributes_set == 3);
    CHECK(last_registration.MiniportAdapterContext == &adapter &&
          last_registration.InterfaceType == NdisInterfaceInternal);
    CHECK(last_general.MediaType == NdisMediumIP && last_general.MacAddressLength == 0);
    CHECK(last_general.MediaConnectState == MediaConnectStateDisconnected);

    /* Each OID of the list is known, as a query or as a set. */
    uint32_t count = last_general.SupportedOidListLength / sizeof(NDIS_OID);
    CHECK(count > 15);
    for (uint32_t i = 0; i < count; i++) {
        NDIS_OID oid = last_general.SupportedOidList[i];
        bool known = query_oid(oid, value, 512, &request) != NDIS_STATUS_NOT_SUPPORTED;
        memset(value, 0, sizeof(value));
        known = known || set_oid(oid, value, 512, &request) != NDIS_STATUS_NOT_SUPPORTED;
        CHECK_MSG(known, "OID %#x", oid);
    }
    for (uint32_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        bool listed = false;
        for (uint32_t j = 0; j < count; j++)
            listed = listed || last_general.SupportedOidList[j] == answers[i].oid;
        CHECK_MSG(listed, "OID %#x", answers[i].oid);
    }
    /* A refusal ends it. */
    for (uint32_t at = 1; at <= 3; at++) {
        fresh(NDIS_RUNTIME_VERSION_685);
        attributes_refused_at = at;
        CHECK(oid_set_attributes(&adapter) == NDIS_STATUS_RESOURCES && attributes_set == at);
        CHECK(configuration_open == 0);
    }
}

static void test_link(void)
{
    fresh(NDIS_RUNTIME_VERSION_685);
    for (uint32_t up = 0; up < 2; up++) {
        oid_indicate_link(&adapter, up);
        CHECK(indications == up + 1 && last_status == NDIS_STATUS_LINK_STATE);
        CHECK(last_size == NDIS_SIZEOF_LINK_STATE_REVISION_1 && last_indicated.link.Header.Size == last_size);
        CHECK(last_indicated.link.MediaConnectState ==
              (up ? MediaConnectStateConnected : MediaConnectStateDisconnected));
    }
}

int main(void)
{
    fresh(NDIS_RUNTIME_VERSION_685);
    test_lengths();
    test_values();
    test_statistics();
    test_sets();
    test_power();
    test_unknown();
    test_attributes();
    test_link();
    return check_summary();
}
