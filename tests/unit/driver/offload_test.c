/* Negotiation of offloads (offload.c, keyword.c): each keyword and each member of NDIS_OFFLOAD_PARAMETERS
 * with each value, structures of wrong lengths, types and revisions, requests that are refused in part, which
 * change nothing. */
#include "check.h"
#include "keyword.h"
#include "ndis_stub.h"

#define RX4 (OFFLOAD_RX_IP4 | OFFLOAD_RX_TCP4 | OFFLOAD_RX_UDP4)
#define RX6 (OFFLOAD_RX_TCP6 | OFFLOAD_RX_UDP6)
#define USO (OFFLOAD_USO4 | OFFLOAD_USO6)
#define IPV4                                                                                                 \
    (OFFLOAD_TX_IP4 | OFFLOAD_TX_TCP4 | OFFLOAD_TX_UDP4 | RX4 | OFFLOAD_LSO4 | OFFLOAD_USO4 | OFFLOAD_RSC4)
#define IPV6 (OFFLOAD_ALL & ~IPV4)
/* What nobody is given before he has said that he knows it. */
#define RECEIVE (RX4 | RX6 | OFFLOAD_RSC4 | OFFLOAD_RSC6)

#define AT(name) __builtin_offsetof(NDIS_OFFLOAD_PARAMETERS, name)
static const struct {
    const char *keyword;
    uint32_t member, tx, rx;
} table[] = {
    {"*IPChecksumOffloadIPv4", AT(IPv4Checksum), OFFLOAD_TX_IP4, OFFLOAD_RX_IP4},
    {"*TCPChecksumOffloadIPv4", AT(TCPIPv4Checksum), OFFLOAD_TX_TCP4, OFFLOAD_RX_TCP4},
    {"*UDPChecksumOffloadIPv4", AT(UDPIPv4Checksum), OFFLOAD_TX_UDP4, OFFLOAD_RX_UDP4},
    {"*TCPChecksumOffloadIPv6", AT(TCPIPv6Checksum), OFFLOAD_TX_TCP6, OFFLOAD_RX_TCP6},
    {"*UDPChecksumOffloadIPv6", AT(UDPIPv6Checksum), OFFLOAD_TX_UDP6, OFFLOAD_RX_UDP6},
    {"*LsoV2IPv4", AT(LsoV2IPv4), OFFLOAD_LSO4, 0},
    {"*LsoV2IPv6", AT(LsoV2IPv6), OFFLOAD_LSO6, 0},
    {"*UsoIPv4", AT(UdpSegmentation.IPv4), OFFLOAD_USO4, 0},
    {"*UsoIPv6", AT(UdpSegmentation.IPv6), OFFLOAD_USO6, 0},
    {"*RscIPv4", AT(RscIPv4), OFFLOAD_RSC4, 0},
    {"*RscIPv6", AT(RscIPv6), OFFLOAD_RSC6, 0},
};
#define ROWS (sizeof(table) / sizeof(table[0]))

static NDIS_OID_REQUEST request;

/* ---- reading NDIS_OFFLOAD ---- */

static uint32_t two_bits(uint32_t supported, uint32_t shift, uint32_t flag)
{
    uint32_t bits = supported >> shift & 3;
    CHECK(bits == 0 || bits == NDIS_OFFLOAD_SUPPORTED);
    return bits ? flag : 0;
}

/* The flags that a structure describes; what is described is described wholly. */
static uint32_t described(const NDIS_OFFLOAD *offload)
{
    const NDIS_TCP_IP_CHECKSUM_OFFLOAD *sum = &offload->Checksum;
    uint32_t flags = two_bits(sum->IPv4Transmit.Supported, 8, OFFLOAD_TX_IP4) |
                     two_bits(sum->IPv4Transmit.Supported, 4, OFFLOAD_TX_TCP4) |
                     two_bits(sum->IPv4Transmit.Supported, 6, OFFLOAD_TX_UDP4) |
                     two_bits(sum->IPv6Transmit.Supported, 4, OFFLOAD_TX_TCP6) |
                     two_bits(sum->IPv6Transmit.Supported, 6, OFFLOAD_TX_UDP6) |
                     two_bits(sum->IPv4Receive.Supported, 8, OFFLOAD_RX_IP4) |
                     two_bits(sum->IPv4Receive.Supported, 4, OFFLOAD_RX_TCP4) |
                     two_bits(sum->IPv4Receive.Supported, 6, OFFLOAD_RX_UDP4) |
                     two_bits(sum->IPv6Receive.Supported, 4, OFFLOAD_RX_TCP6) |
                     two_bits(sum->IPv6Receive.Supported, 6, OFFLOAD_RX_UDP6);
    CHECK((sum->IPv4Transmit.Encapsulation == NDIS_ENCAPSULATION_NULL) == (sum->IPv4Transmit.Supported != 0));
    CHECK((sum->IPv4Receive.Encapsulation == NDIS_ENCAPSULATION_NULL) == (sum->IPv4Receive.Supported != 0));
    CHECK((sum->IPv6Transmit.Encapsulation == NDIS_ENCAPSULATION_NULL) == (sum->IPv6Transmit.Supported != 0));
    CHECK((sum->IPv6Receive.Encapsulation == NDIS_ENCAPSULATION_NULL) == (sum->IPv6Receive.Supported != 0));
    /* TCP options belong to TCP's checksum. */
    CHECK((sum->IPv4Transmit.Supported >> 2 & 3) == (sum->IPv4Transmit.Supported >> 4 & 3));
    CHECK((sum->IPv4Receive.Supported >> 2 & 3) == (sum->IPv4Receive.Supported >> 4 & 3));

    flags |= offload->LsoV2.IPv4.Encapsulation ? OFFLOAD_LSO4 : 0;
    flags |= offload->LsoV2.IPv6.Encapsulation ? OFFLOAD_LSO6 : 0;
    flags |= offload->UdpSegmentation.IPv4.Encapsulation ? OFFLOAD_USO4 : 0;
    flags |= offload->UdpSegmentation.IPv6.Encapsulation ? OFFLOAD_USO6 : 0;
    flags |= offload->Rsc.IPv4.Enabled ? OFFLOAD_RSC4 : 0;
    flags |= offload->Rsc.IPv6.Enabled ? OFFLOAD_RSC6 : 0;
    CHECK(offload->LsoV2.IPv4.MaxOffLoadSize == (flags & OFFLOAD_LSO4 ? 65536 : 0));
    CHECK(offload->LsoV2.IPv6.MinSegmentCount == (flags & OFFLOAD_LSO6 ? 2 : 0));
    CHECK(offload->UdpSegmentation.IPv4.Segments == (flags & OFFLOAD_USO4 ? 0x42 : 0));
    CHECK(offload->UdpSegmentation.IPv6.MaxOffLoadSize == (flags & OFFLOAD_USO6 ? 65536 : 0));
    return flags;
}

/* Coalescing changes what has checksums, so it needs those of receiving. */
static uint32_t coalescible(uint32_t flags)
{
    const uint32_t tcp4 = OFFLOAD_RX_IP4 | OFFLOAD_RX_TCP4;
    flags &= (flags & tcp4) == tcp4 ? ~0u : ~(uint32_t)OFFLOAD_RSC4;
    return flags & OFFLOAD_RX_TCP6 ? flags : flags & ~(uint32_t)OFFLOAD_RSC6;
}

/* ---- starting ---- */

static void configure(const char *name, uint32_t value)
{
    configuration[configured++] = (struct keyword_value){name, value};
}

static void start(uint32_t version)
{
    CHECK(offload_set_attributes(&adapter) == NDIS_STATUS_SUCCESS && configuration_open == 0);
    CHECK(driver.ndis_version == version && indications == 0);
}

/* A system that knows everything and has bound its IP layer. */
static void ready(void)
{
    fresh(NDIS_RUNTIME_VERSION_685);
    start(NDIS_RUNTIME_VERSION_685);
    NDIS_OFFLOAD_ENCAPSULATION on = {
        .Header = {NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION, 1, NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1}};
    on.IPv4.Enabled = on.IPv6.Enabled = NDIS_OFFLOAD_SET_ON;
    on.IPv4.EncapsulationType = on.IPv6.EncapsulationType = NDIS_ENCAPSULATION_NULL;
    CHECK(set_oid(OID_OFFLOAD_ENCAPSULATION, &on, sizeof(on), &request) == NDIS_STATUS_SUCCESS);
    CHECK(adapter.offload.active == OFFLOAD_ALL);
    indications = 0;
}

static void test_versions(void)
{
    static const struct {
        uint32_t version, revision, size;
    } versions[] = {
        {NDIS_RUNTIME_VERSION_630, 4, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_4},
        {NDIS_RUNTIME_VERSION_670 - 1, 4, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_4},
        {NDIS_RUNTIME_VERSION_670, 5, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_5},
        {NDIS_RUNTIME_VERSION_682, 5, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_5},
        {NDIS_RUNTIME_VERSION_683, 6, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_6},
        {NDIS_RUNTIME_VERSION_684, 6, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_6},
        {NDIS_RUNTIME_VERSION_685, 7, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_7},
        {NDIS_RUNTIME_VERSION_686, 7, NDIS_SIZEOF_NDIS_OFFLOAD_REVISION_7},
    };
    for (uint32_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        bool old = versions[i].version < NDIS_RUNTIME_VERSION_683;
        uint32_t all = old ? OFFLOAD_ALL & ~USO : OFFLOAD_ALL;
        fresh(versions[i].version);
        start(versions[i].version);
        CHECK(last_default.Header.Type == NDIS_OBJECT_TYPE_OFFLOAD);
        CHECK_MSG(last_default.Header.Revision == versions[i].revision &&
                      last_default.Header.Size == versions[i].size,
                  "NDIS %#x", versions[i].version);
        CHECK(memcmp(&last_default.Header, &last_capabilities.Header, sizeof(NDIS_OBJECT_HEADER)) == 0);
        CHECK(described(&last_default) == all && described(&last_capabilities) == all);
        /* Receiving waits for the IP layer. */
        CHECK(adapter.offload.active == (all & ~(uint32_t)RECEIVE));

        /* An old system cannot be told to cut datagrams, but to leave it. */
        NDIS_OFFLOAD_PARAMETERS parameters = {.Header = {NDIS_OBJECT_TYPE_DEFAULT, 5, sizeof(parameters)}};
        parameters.UdpSegmentation.IPv4 = NDIS_OFFLOAD_PARAMETERS_USO_ENABLED;
        CHECK(set_oid(OID_TCP_OFFLOAD_PARAMETERS, &parameters, sizeof(parameters), &request) ==
              (old ? NDIS_STATUS_INVALID_PARAMETER : NDIS_STATUS_SUCCESS));
        parameters.UdpSegmentation.IPv4 = NDIS_OFFLOAD_PARAMETERS_USO_DISABLED;
        CHECK(set_oid(OID_TCP_OFFLOAD_PARAMETERS, &parameters, sizeof(parameters), &request) ==
              NDIS_STATUS_SUCCESS);
        CHECK(described(&last_indicated.offload) == (all & ~(uint32_t)OFFLOAD_USO4));
        CHECK(last_status == NDIS_STATUS_TASK_OFFLOAD_CURRENT_CONFIG && last_size == versions[i].size);
    }
}

/* ---- keywords ---- */

static void test_keyword_read(void)
{
    fresh(NDIS_RUNTIME_VERSION_685);
    configure("PassBudget", 64);
    NDIS_HANDLE handle = keywords_open(&adapter);
    CHECK(handle != NULL);
    CHECK(keyword_read(handle, u"PassBudget", 0, 100, 7) == 64);
    CHECK(keyword_read(handle, u"PassBudget", 64, 64, 7) == 64);
    CHECK(keyword_read(handle, u"PassBudget", 65, 100, 7) == 7);
    CHECK(keyword_read(handle, u"PassBudget", 0, 63, 7) == 7);
    CHECK(keyword_read(handle, u"PassBudge", 0, 100, 7) == 7);
    CHECK(keyword_read(handle, u"PassBudgets", 0, 100, 7) == 7);
    CHECK(keyword_read(handle, u"", 0, 100, 7) == 7);
    parameter_missing = true;
    CHECK(keyword_read(handle, u"PassBudget", 0, 100, 7) == 7);
    parameter_missing = false;
    NdisCloseConfiguration(handle);
    configuration_refused = true;
    CHECK(keywords_open(&adapter) == NULL && configuration_open == 0);
}

static void test_keywords(void)
{
    for (uint32_t i = 0; i < ROWS; i++)
        for (uint32_t number = 0; number < 6; number++) {
            uint32_t value = number < 5 ? number : 0xFFFFFFFF;
            uint32_t flags = OFFLOAD_ALL;
            if (table[i].rx) { /* 0 off, 1 transmit, 2 receive, 3 both; anything else is not a value */
                flags &= value == 0 || value == 2 ? ~table[i].tx : ~0u;
                flags &= value == 0 || value == 1 ? ~table[i].rx : ~0u;
            } else {
                flags &= value == 0 ? ~table[i].tx : ~0u;
            }
            fresh(NDIS_RUNTIME_VERSION_685);
            configure(table[i].keyword, value);
            start(NDIS_RUNTIME_VERSION_685);
            CHECK_MSG(adapter.offload.configured == flags, "%s = %u: %#x", table[i].keyword, value,
                      adapter.offload.configured);
            CHECK(described(&last_default) == coalescible(flags) &&
                  described(&last_capabilities) == OFFLOAD_ALL);
        }
    /* All of them; none; no configuration at all. */
    fresh(NDIS_RUNTIME_VERSION_685);
    for (uint32_t i = 0; i < ROWS; i++)
        configure(table[i].keyword, 0);
    start(NDIS_RUNTIME_VERSION_685);
    CHECK(adapter.offload.configured == 0 && adapter.offload.active == 0 && described(&last_default) == 0);
    fresh(NDIS_RUNTIME_VERSION_685);
    configuration_refused = true;
    start(NDIS_RUNTIME_VERSION_685);
    CHECK(adapter.offload.configured == OFFLOAD_ALL);
    /* A keyword cannot offer what the system does not know. */
    fresh(NDIS_RUNTIME_VERSION_670);
    configure("*UsoIPv4", 1);
    start(NDIS_RUNTIME_VERSION_670);
    CHECK(!(adapter.offload.configured & USO));
}

/* ---- OID_TCP_OFFLOAD_PARAMETERS ---- */

static NDIS_OFFLOAD_PARAMETERS no_change(void)
{
    return (NDIS_OFFLOAD_PARAMETERS){.Header = {.Type = NDIS_OBJECT_TYPE_DEFAULT,
                                                .Revision = NDIS_OFFLOAD_PARAMETERS_REVISION_6,
                                                .Size = NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_6}};
}

/* The same of fewer bytes than the compiler's structure has. */
static NDIS_STATUS send_parameters(const NDIS_OFFLOAD_PARAMETERS *parameters)
{
    return set_oid(OID_TCP_OFFLOAD_PARAMETERS, parameters, parameters->Header.Size, &request);
}

/* The request was refused: nothing is different and nobody was told anything. */
static void check_unchanged(NDIS_STATUS status, NDIS_STATUS expected, uint32_t before)
{
    CHECK_MSG(status == expected, "%#x instead of %#x", (uint32_t)status, (uint32_t)expected);
    CHECK(adapter.offload.configured == before && indications == 0);
}

static void test_members(void)
{
    for (uint32_t i = 0; i < ROWS; i++)
        for (uint32_t value = 0; value < 7; value++)
            for (uint32_t all_off = 0; all_off < 2; all_off++) {
                NDIS_OFFLOAD_PARAMETERS parameters = no_change();
                uint32_t both = table[i].tx | table[i].rx, before = all_off ? 0 : OFFLOAD_ALL, on = 0;
                uint32_t values = table[i].rx ? 5 : 3;
                ready();
                adapter.offload.configured = before;
                ((uint8_t *)&parameters)[table[i].member] = (uint8_t)value;
                NDIS_STATUS status = send_parameters(&parameters);
                if (value >= values) {
                    check_unchanged(status, NDIS_STATUS_INVALID_DATA, before);
                    continue;
                }
                if (table[i].rx)
                    on = (value == 2 || value == 4 ? table[i].tx : 0) |
                         (value == 3 || value == 4 ? table[i].rx : 0);
                else
                    on = value == 2 ? table[i].tx : 0;
                uint32_t after = value == 0 ? before : (before & ~both) | on;
                CHECK(status == NDIS_STATUS_SUCCESS && indications == 1);
                CHECK_MSG(adapter.offload.configured == after, "%s = %u: %#x instead of %#x",
                          table[i].keyword, value, adapter.offload.configured, after);
                CHECK(described(&last_indicated.offload) == coalescible(after));
                CHECK(adapter.offload.active == coalescible(after));
            }
}

/* What is not ours may be switched off, not on, and then the rest of the request does not happen either. */
static void test_foreign(void)
{
    static const struct {
        uint32_t member, off, on;
    } foreign[] = {
        {AT(LsoV1), NDIS_OFFLOAD_PARAMETERS_LSOV1_DISABLED, NDIS_OFFLOAD_PARAMETERS_LSOV1_ENABLED},
        {AT(IPsecV1), 1, 2},
        {AT(IPsecV1), 1, 4},
        {AT(TcpConnectionIPv4), NDIS_OFFLOAD_PARAMETERS_CONNECTION_OFFLOAD_DISABLED,
         NDIS_OFFLOAD_PARAMETERS_CONNECTION_OFFLOAD_ENABLED},
        {AT(TcpConnectionIPv6), NDIS_OFFLOAD_PARAMETERS_CONNECTION_OFFLOAD_DISABLED,
         NDIS_OFFLOAD_PARAMETERS_CONNECTION_OFFLOAD_ENABLED},
        {AT(IPsecV2), 1, 2},
        {AT(IPsecV2IPv4), 1, 4},
        {AT(UdpRsc.Enabled), NDIS_OFFLOAD_PARAMETERS_UDP_RSC_DISABLED,
         NDIS_OFFLOAD_PARAMETERS_UDP_RSC_ENABLED},
        /* This member has the values of another set (Microsoft: "NDIS_OFFLOAD_PARAMETERS"). */
        {AT(EncapsulatedPacketTaskOffload), NDIS_OFFLOAD_SET_OFF, NDIS_OFFLOAD_SET_ON},
    };
    for (uint32_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        NDIS_OFFLOAD_PARAMETERS parameters = no_change();
        parameters.LsoV2IPv4 = NDIS_OFFLOAD_PARAMETERS_LSOV2_DISABLED;
        ready();
        ((uint8_t *)&parameters)[foreign[i].member] = (uint8_t)foreign[i].on;
        check_unchanged(send_parameters(&parameters), NDIS_STATUS_INVALID_PARAMETER, OFFLOAD_ALL);
        ((uint8_t *)&parameters)[foreign[i].member] = (uint8_t)foreign[i].off;
        CHECK_MSG(send_parameters(&parameters) == NDIS_STATUS_SUCCESS, "member at %u", foreign[i].member);
        CHECK(adapter.offload.configured == (OFFLOAD_ALL & ~OFFLOAD_LSO4));
    }
}

/* One bad value among good ones, wherever it stands. */
static void test_partly_refused(void)
{
    for (uint32_t bad = 0; bad < ROWS; bad++) {
        NDIS_OFFLOAD_PARAMETERS parameters = no_change();
        for (uint32_t i = 0; i < ROWS; i++)
            ((uint8_t *)&parameters)[table[i].member] = i == bad ? 9 : 1;
        ready();
        check_unchanged(send_parameters(&parameters), NDIS_STATUS_INVALID_DATA, OFFLOAD_ALL);
        CHECK(adapter.offload.active == OFFLOAD_ALL);
    }
}

/* Headers that do not fit are refused; what lies behind the structure is not looked at. */
static void test_structures(void)
{
    NDIS_OFFLOAD_PARAMETERS parameters = no_change();
    parameters.IPv4Checksum = NDIS_OFFLOAD_PARAMETERS_TX_RX_DISABLED;
    for (uint32_t length = 0; length < NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1; length++) {
        ready();
        parameters.Header.Size = (USHORT)length;
        check_unchanged(send_parameters(&parameters), NDIS_STATUS_INVALID_LENGTH, OFFLOAD_ALL);
        CHECK(request.DATA.SET_INFORMATION.BytesNeeded == NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1);
        CHECK(request.DATA.SET_INFORMATION.BytesRead == 0);
    }
    static const struct {
        uint8_t type, revision;
        uint16_t size;
        uint32_t length;
    } wrong[] = {
        {NDIS_OBJECT_TYPE_OFFLOAD, 6, 0x23, 0x23}, /* another structure */
        {NDIS_OBJECT_TYPE_DEFAULT, 0, 0x23, 0x23}, /* there is no revision 0 */
        {NDIS_OBJECT_TYPE_DEFAULT, 6, 0x13, 0x23}, /* smaller than revision 1 */
        {NDIS_OBJECT_TYPE_DEFAULT, 6, 0, 0x23},
        {NDIS_OBJECT_TYPE_DEFAULT, 6, 0x24, 0x23}, /* longer than the buffer */
        {NDIS_OBJECT_TYPE_DEFAULT, 6, 0xFFFF, 0x23},
        {NDIS_OBJECT_TYPE_DEFAULT, 2, 0x16, 0x14},
    };
    for (uint32_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ready();
        parameters.Header = (NDIS_OBJECT_HEADER){wrong[i].type, wrong[i].revision, wrong[i].size};
        check_unchanged(set_oid(OID_TCP_OFFLOAD_PARAMETERS, &parameters, wrong[i].length, &request),
                        NDIS_STATUS_INVALID_DATA, OFFLOAD_ALL);
        CHECK(request.DATA.SET_INFORMATION.BytesRead == 0);
    }
    /* Each revision: members that it has are heeded, rubbish where later ones begin is not. */
    static const struct {
        uint32_t size, off;
    } revisions[] = {
        {NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_1, OFFLOAD_LSO6},
        {NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_2, OFFLOAD_LSO6},
        {NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_3, OFFLOAD_LSO6 | OFFLOAD_RSC6},
        {NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_4, OFFLOAD_LSO6 | OFFLOAD_RSC6},
        {NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_5, OFFLOAD_LSO6 | OFFLOAD_RSC6 | OFFLOAD_USO6},
        {NDIS_SIZEOF_OFFLOAD_PARAMETERS_REVISION_6, OFFLOAD_LSO6 | OFFLOAD_RSC6 | OFFLOAD_USO6},
        {64, OFFLOAD_LSO6 | OFFLOAD_RSC6 | OFFLOAD_USO6}, /* one of the future */
    };
    for (uint32_t i = 0; i < sizeof(revisions) / sizeof(revisions[0]); i++) {
        uint8_t buffer[64];
        parameters = no_change();
        parameters.Header.Revision = (UCHAR)(i + 1);
        parameters.Header.Size = (USHORT)revisions[i].size;
        parameters.LsoV2IPv6 = parameters.RscIPv6 = parameters.UdpSegmentation.IPv6 = 1;
        memset(buffer, 0, sizeof(buffer));
        memcpy(buffer, &parameters, sizeof(parameters));
        memset(buffer + revisions[i].size, 0xEE, sizeof(buffer) - revisions[i].size);
        ready();
        CHECK(set_oid(OID_TCP_OFFLOAD_PARAMETERS, buffer, sizeof(buffer), &request) == NDIS_STATUS_SUCCESS);
        CHECK_MSG(adapter.offload.configured == (OFFLOAD_ALL & ~revisions[i].off), "revision %u: %#x", i + 1,
                  adapter.offload.configured);
        uint32_t known = sizeof(NDIS_OFFLOAD_PARAMETERS);
        CHECK(request.DATA.SET_INFORMATION.BytesRead ==
              (revisions[i].size < known ? revisions[i].size : known));
    }
}

/* ---- OID_OFFLOAD_ENCAPSULATION ---- */

static NDIS_STATUS encapsulate(uint32_t enabled4, uint32_t enabled6, uint32_t type, uint32_t header)
{
    NDIS_OFFLOAD_ENCAPSULATION wanted = {
        .Header = {NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION, 1, NDIS_SIZEOF_OFFLOAD_ENCAPSULATION_REVISION_1}};
    wanted.IPv4.Enabled = enabled4, wanted.IPv6.Enabled = enabled6;
    wanted.IPv4.EncapsulationType = wanted.IPv6.EncapsulationType = type;
    wanted.IPv4.HeaderSize = wanted.IPv6.HeaderSize = header;
    indications = 0;
    return set_oid(OID_OFFLOAD_ENCAPSULATION, &wanted, sizeof(wanted), &request);
}

static void test_encapsulation(void)
{
    enum { KEEP = NDIS_OFFLOAD_SET_NO_CHANGE, ON = NDIS_OFFLOAD_SET_ON, OFF = NDIS_OFFLOAD_SET_OFF };
    const uint32_t sending = OFFLOAD_ALL & ~(uint32_t)RECEIVE, none = NDIS_ENCAPSULATION_NULL;

    fresh(NDIS_RUNTIME_VERSION_685);
    start(NDIS_RUNTIME_VERSION_685);
    CHECK(encapsulate(KEEP, KEEP, none, 0) == NDIS_STATUS_SUCCESS && adapter.offload.active == sending);
    CHECK(encapsulate(ON, KEEP, none, 0) == NDIS_STATUS_SUCCESS && indications == 1);
    CHECK(adapter.offload.active == (sending | IPV4) && described(&last_indicated.offload) == OFFLOAD_ALL);
    CHECK(encapsulate(KEEP, ON, none, 0) == NDIS_STATUS_SUCCESS && adapter.offload.active == OFFLOAD_ALL);
    CHECK(encapsulate(OFF, KEEP, none, 0) == NDIS_STATUS_SUCCESS && adapter.offload.active == IPV6);
    CHECK(described(&last_indicated.offload) == IPV6);
    CHECK(encapsulate(ON, OFF, none, 0) == NDIS_STATUS_SUCCESS && adapter.offload.active == IPV4);
    CHECK(described(&last_indicated.offload) == IPV4);
    CHECK(encapsulate(OFF, OFF, 0, 14) == NDIS_STATUS_SUCCESS && adapter.offload.active == 0);
    CHECK(encapsulate(ON, ON, none, 0) == NDIS_STATUS_SUCCESS && adapter.offload.active == OFFLOAD_ALL);

    /* Refused: link layers, headers, unknown words; in either family, and then for both. */
    CHECK(encapsulate(ON, OFF, NDIS_ENCAPSULATION_IEEE_802_3, 14) == NDIS_STATUS_INVALID_PARAMETER);
    CHECK(encapsulate(OFF, ON, NDIS_ENCAPSULATION_IEEE_802_3, 0) == NDIS_STATUS_INVALID_PARAMETER);
    CHECK(encapsulate(OFF, ON, none, 14) == NDIS_STATUS_INVALID_PARAMETER);
    CHECK(encapsulate(3, OFF, none, 0) == NDIS_STATUS_INVALID_PARAMETER);
    CHECK(encapsulate(OFF, 0xFFFFFFFF, none, 0) == NDIS_STATUS_INVALID_PARAMETER);
    CHECK(adapter.offload.active == OFFLOAD_ALL && indications == 0);

    /* Structures that do not fit. */
    NDIS_OFFLOAD_ENCAPSULATION wanted = {
        .Header = {NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION, 1, sizeof(wanted)}};
    wanted.IPv4.Enabled = wanted.IPv6.Enabled = OFF;
    for (uint32_t length = 0; length < sizeof(wanted); length++) {
        CHECK(set_oid(OID_OFFLOAD_ENCAPSULATION, &wanted, length, &request) == NDIS_STATUS_INVALID_LENGTH);
        CHECK(request.DATA.SET_INFORMATION.BytesNeeded == sizeof(wanted));
    }
    wanted.Header.Type = NDIS_OBJECT_TYPE_DEFAULT;
    CHECK(set_oid(OID_OFFLOAD_ENCAPSULATION, &wanted, sizeof(wanted), &request) == NDIS_STATUS_INVALID_DATA);
    CHECK(adapter.offload.active == OFFLOAD_ALL && indications == 0);
    wanted.Header.Type = NDIS_OBJECT_TYPE_OFFLOAD_ENCAPSULATION;
    CHECK(set_oid(OID_OFFLOAD_ENCAPSULATION, &wanted, sizeof(wanted), &request) == NDIS_STATUS_SUCCESS);
    CHECK(request.DATA.SET_INFORMATION.BytesRead == sizeof(wanted) && adapter.offload.active == 0);

    /* What was configured meanwhile holds when a family comes back. */
    NDIS_OFFLOAD_PARAMETERS parameters = no_change();
    parameters.LsoV2IPv4 = NDIS_OFFLOAD_PARAMETERS_LSOV2_DISABLED;
    CHECK(send_parameters(&parameters) == NDIS_STATUS_SUCCESS && adapter.offload.active == 0);
    CHECK(encapsulate(ON, ON, none, 0) == NDIS_STATUS_SUCCESS);
    CHECK(adapter.offload.active == (OFFLOAD_ALL & ~OFFLOAD_LSO4));
}

int main(void)
{
    test_versions();
    test_keyword_read();
    test_keywords();
    test_members();
    test_foreign();
    test_partly_refused();
    test_structures();
    test_encapsulation();
    return check_summary();
}
