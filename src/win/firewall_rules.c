/* See firewall_rules.h.  Identifiers: Microsoft, "Management Filtering Layer Identifiers", "Filtering
 * Condition Identifiers". */
#include "win/firewall_rules.h"

#include <stdlib.h>
#include <string.h>

#define FLAG_CLEAR_ACTION_RIGHT                                                                              \
    0x8u /* FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT: no other sublayer overrides it                              \
          */

static const GUID connect_v4 = {0xc38d57d1, 0x05a7, 0x4c33, {0x90, 0x4f, 0x7f, 0xbc, 0xee, 0xe6, 0x0e, 0x82}};
static const GUID connect_v6 = {0x4a72393b, 0x319f, 0x44bc, {0x84, 0xc3, 0xba, 0x54, 0xdc, 0xb3, 0xb6, 0xb4}};
static const GUID accept_v4 = {0xe1cd9fe7, 0xf4b5, 0x4273, {0x96, 0xc0, 0x59, 0x2e, 0x48, 0x7b, 0x86, 0x50}};
static const GUID accept_v6 = {0xa3b42c97, 0x9f04, 0x4672, {0xb8, 0x7e, 0xce, 0xe9, 0xc4, 0x83, 0x25, 0x7f}};

static const GUID by_application = {
    0xd78e1e87, 0x8644, 0x4ea5, {0x94, 0x37, 0xd8, 0x09, 0xec, 0xef, 0xc9, 0x71}};
static const GUID by_user = {0xaf043a0a, 0xb34d, 0x4f86, {0x97, 0x9c, 0xc9, 0x03, 0x71, 0xaf, 0x6e, 0x66}};
static const GUID by_flags = {0x632ce23b, 0x5167, 0x435c, {0x86, 0xd7, 0xe9, 0x03, 0x68, 0x4a, 0xa8, 0x0c}};
static const GUID by_interface = {
    0x4cd62a49, 0x59c3, 0x4969, {0xb7, 0xf3, 0xbd, 0xa5, 0xd3, 0x28, 0x90, 0xa4}};
static const GUID by_protocol = {
    0x3971ef2b, 0x623e, 0x4f9a, {0x8c, 0xb1, 0x6e, 0x79, 0xb8, 0x06, 0xb9, 0xa7}};
/* Of ICMP the local port is the type, the remote port the code. */
static const GUID by_local_port = {
    0x0c1ba1af, 0x5765, 0x453f, {0xaf, 0x22, 0xa8, 0xf7, 0x91, 0xac, 0x77, 0x5b}};
static const GUID by_remote_port = {
    0xc35a604d, 0xd22b, 0x4e1a, {0x91, 0xb4, 0x68, 0xf6, 0x74, 0xee, 0x67, 0x4b}};
static const GUID by_remote_address = {
    0xb235ae9a, 0x1d64, 0x49b8, {0xa4, 0x4c, 0x5f, 0xf3, 0xd9, 0x09, 0x50, 0x45}};

enum { CONNECT_V4 = 1, ACCEPT_V4 = 2, CONNECT_V6 = 4, ACCEPT_V6 = 8, ALL_LAYERS = 15, LAYERS = 4 };
static const GUID *const layer_of[LAYERS] = {&connect_v4, &accept_v4, &connect_v6, &accept_v6};

enum {
    PROTOCOL_TCP = 6,
    PROTOCOL_UDP = 17,
    PROTOCOL_ICMPV6 = 58,
    PORT_DNS = 53,
    PORT_DHCP_SERVER = 67, /* RFC 2131 section 4.1 */
    PORT_DHCP_CLIENT = 68,
    PORT_DHCPV6_CLIENT = 546, /* RFC 8415 section 7.2 */
    PORT_DHCPV6_SERVER = 547,
    ROUTER_SOLICITATION = 133, /* RFC 4861 section 4 */
    ROUTER_ADVERTISEMENT = 134,
    NEIGHBOR_SOLICITATION = 135,
    NEIGHBOR_ADVERTISEMENT = 136,
    REDIRECT = 137
};

struct rules {
    const WCHAR *name;
    firewall_add *add;
    void *context;
};

/* ---- conditions ---- */

static FWPM_FILTER_CONDITION0 condition(const GUID *field, FWP_DATA_TYPE type)
{
    return (FWPM_FILTER_CONDITION0){
        .fieldKey = *field, .matchType = FWP_MATCH_EQUAL, .conditionValue = {.type = type}};
}

static FWPM_FILTER_CONDITION0 protocol(UINT8 number)
{
    FWPM_FILTER_CONDITION0 made = condition(&by_protocol, FWP_UINT8);
    made.conditionValue.uint8 = number;
    return made;
}

static FWPM_FILTER_CONDITION0 number(const GUID *field, UINT16 value)
{
    FWPM_FILTER_CONDITION0 made = condition(field, FWP_UINT16);
    made.conditionValue.uint16 = value;
    return made;
}

static FWPM_FILTER_CONDITION0 remote_v6(FWP_V6_ADDR_AND_MASK *prefix)
{
    FWPM_FILTER_CONDITION0 made = condition(&by_remote_address, FWP_V6_ADDR_MASK);
    made.conditionValue.v6AddrMask = prefix;
    return made;
}

static DWORD add(const struct rules *rules, unsigned layers, UINT8 weight, UINT32 action, UINT32 flags,
                 const FWPM_FILTER_CONDITION0 *conditions, UINT32 count)
{
    DWORD code = 0;
    for (int i = 0; !code && i < LAYERS; i++) {
        struct firewall_filter filter = {rules->name, layer_of[i], weight, action, flags, conditions, count};
        if (layers & 1u << i)
            code = rules->add(rules->context, &filter);
    }
    return code;
}

static DWORD permit(const struct rules *rules, unsigned layers, UINT8 weight,
                    const FWPM_FILTER_CONDITION0 *conditions, UINT32 count)
{
    return add(rules, layers, weight, FWP_ACTION_PERMIT, 0, conditions, count);
}

/* ---- the tunnel itself ---- */

DWORD firewall_rules_program(const WCHAR *name, FWP_BYTE_BLOB *application, FWP_BYTE_BLOB *user,
                             firewall_add *to, void *context)
{
    const struct rules rules = {name, to, context};
    FWPM_FILTER_CONDITION0 conditions[2] = {condition(&by_application, FWP_BYTE_BLOB_TYPE),
                                            condition(&by_user, FWP_SECURITY_DESCRIPTOR_TYPE)};
    conditions[0].conditionValue.byteBlob = application;
    conditions[1].conditionValue.sd = user;
    return add(&rules, ALL_LAYERS, FIREWALL_WEIGHT_FIRST, FWP_ACTION_PERMIT, FLAG_CLEAR_ACTION_RIGHT,
               conditions, user ? 2 : 1);
}

static DWORD add_interface(const struct rules *rules, const NET_LUID *luid)
{
    UINT64 value = luid->Value;
    FWPM_FILTER_CONDITION0 through = condition(&by_interface, FWP_UINT64);
    through.conditionValue.uint64 = &value;
    return permit(rules, ALL_LAYERS, FIREWALL_WEIGHT_NEEDED, &through, 1);
}

static DWORD add_loopback(const struct rules *rules)
{
    FWPM_FILTER_CONDITION0 flags = condition(&by_flags, FWP_UINT32);
    flags.matchType = FWP_MATCH_FLAGS_ALL_SET;
    flags.conditionValue.uint32 = FWP_CONDITION_FLAG_IS_LOOPBACK;
    return permit(rules, ALL_LAYERS, FIREWALL_WEIGHT_LOOPBACK, &flags, 1);
}

/* ---- DNS ---- */

enum { DNS_FIXED = 3 };

static void dns_conditions(FWPM_FILTER_CONDITION0 conditions[DNS_FIXED])
{
    conditions[0] = number(&by_remote_port, PORT_DNS);
    conditions[1] = protocol(PROTOCOL_UDP);
    conditions[2] = protocol(PROTOCOL_TCP);
}

/* The servers of one family, as alternatives of one filter for each of its layers. */
static DWORD permit_dns(const struct rules *rules, uint8_t family, const struct netio_prefix *dns,
                        size_t count)
{
    FWPM_FILTER_CONDITION0 *conditions = calloc(count + DNS_FIXED, sizeof *conditions);
    FWP_BYTE_ARRAY16 *addresses = calloc(count, sizeof *addresses);
    UINT32 used = DNS_FIXED;
    DWORD code = conditions && addresses ? 0 : ERROR_NOT_ENOUGH_MEMORY;
    if (!code)
        dns_conditions(conditions);
    for (size_t i = 0; !code && i < count; i++) {
        const uint8_t *bytes = dns[i].bytes;
        if (dns[i].family != family)
            continue;
        FWPM_FILTER_CONDITION0 *one = &conditions[used++];
        *one = condition(&by_remote_address, family == 4 ? FWP_UINT32 : FWP_BYTE_ARRAY16_TYPE);
        memcpy(&addresses[i], bytes, sizeof *addresses);
        if (family == 4) /* in the host's order */
            one->conditionValue.uint32 =
                (UINT32)bytes[0] << 24 | (UINT32)bytes[1] << 16 | (UINT32)bytes[2] << 8 | bytes[3];
        else
            one->conditionValue.byteArray16 = &addresses[i];
    }
    if (!code && used > DNS_FIXED)
        code = permit(rules, family == 4 ? CONNECT_V4 | ACCEPT_V4 : CONNECT_V6 | ACCEPT_V6,
                      FIREWALL_WEIGHT_FIRST, conditions, used);
    free(addresses);
    free(conditions);
    return code;
}

static DWORD add_dns(const struct rules *rules, const struct netio_prefix *dns, size_t count)
{
    FWPM_FILTER_CONDITION0 conditions[DNS_FIXED];
    if (!count)
        return 0;
    DWORD code = permit_dns(rules, 4, dns, count);
    if (!code)
        code = permit_dns(rules, 6, dns, count);
    dns_conditions(conditions);
    return code ? code
                : add(rules, ALL_LAYERS, FIREWALL_WEIGHT_BLOCK_DNS, FWP_ACTION_BLOCK, 0, conditions,
                      DNS_FIXED);
}

/* ---- what an interface needs to have an address ---- */

static DWORD add_dhcp(const struct rules *rules)
{
    FWPM_FILTER_CONDITION0 conditions[] = {protocol(PROTOCOL_UDP), number(&by_local_port, PORT_DHCP_CLIENT),
                                           number(&by_remote_port, PORT_DHCP_SERVER)};
    /* To and from any address: leases are renewed by unicast. */
    return permit(rules, CONNECT_V4 | ACCEPT_V4, FIREWALL_WEIGHT_NEEDED, conditions, 3);
}

static DWORD add_dhcpv6(const struct rules *rules)
{
    /* RFC 8415 section 7.1: All_DHCP_Relay_Agents_and_Servers; servers on the link answer from fe80::/10. */
    FWP_V6_ADDR_AND_MASK servers = {.addr = {0xff, 0x02, [13] = 0x01, [15] = 0x02}, .prefixLength = 128};
    FWP_V6_ADDR_AND_MASK link = {.addr = {0xfe, 0x80}, .prefixLength = 10};
    FWPM_FILTER_CONDITION0 conditions[] = {protocol(PROTOCOL_UDP), number(&by_local_port, PORT_DHCPV6_CLIENT),
                                           number(&by_remote_port, PORT_DHCPV6_SERVER), remote_v6(&servers)};
    DWORD code = permit(rules, CONNECT_V6, FIREWALL_WEIGHT_NEEDED, conditions, 4);
    conditions[3] = remote_v6(&link);
    return code ? code : permit(rules, ACCEPT_V6, FIREWALL_WEIGHT_NEEDED, conditions, 4);
}

static DWORD add_ndp(const struct rules *rules)
{
    FWP_V6_ADDR_AND_MASK routers = {.addr = {0xff, 0x02, [15] = 0x02}, .prefixLength = 128};
    FWP_V6_ADDR_AND_MASK link = {.addr = {0xfe, 0x80}, .prefixLength = 10};
    const struct {
        UINT16 type;
        unsigned layers;
        FWP_V6_ADDR_AND_MASK *remote;
    } messages[] = {{ROUTER_SOLICITATION, CONNECT_V6, &routers},
                    {ROUTER_ADVERTISEMENT, ACCEPT_V6, &link},
                    {NEIGHBOR_SOLICITATION, CONNECT_V6 | ACCEPT_V6, NULL},
                    {NEIGHBOR_ADVERTISEMENT, CONNECT_V6 | ACCEPT_V6, NULL},
                    {REDIRECT, ACCEPT_V6, &link}};
    DWORD code = 0;
    for (size_t i = 0; !code && i < sizeof messages / sizeof *messages; i++) {
        FWPM_FILTER_CONDITION0 conditions[4] = {
            protocol(PROTOCOL_ICMPV6), number(&by_local_port, messages[i].type), number(&by_remote_port, 0)};
        if (messages[i].remote)
            conditions[3] = remote_v6(messages[i].remote);
        code =
            permit(rules, messages[i].layers, FIREWALL_WEIGHT_NEEDED, conditions, messages[i].remote ? 4 : 3);
    }
    return code;
}

/* ---- the whole ---- */

DWORD firewall_rules_others(const WCHAR *name, const NET_LUID *luid, const struct netio_prefix *dns,
                            size_t dns_count, firewall_add *to, void *context)
{
    const struct rules rules = {name, to, context};
    DWORD code = add_dns(&rules, dns, dns_count);
    if (!code)
        code = add_loopback(&rules);
    if (!code)
        code = add_interface(&rules, luid);
    if (!code)
        code = add_dhcp(&rules);
    if (!code)
        code = add_dhcpv6(&rules);
    if (!code)
        code = add_ndp(&rules);
    return code ? code : add(&rules, ALL_LAYERS, FIREWALL_WEIGHT_BLOCK, FWP_ACTION_BLOCK, 0, NULL, 0);
}
