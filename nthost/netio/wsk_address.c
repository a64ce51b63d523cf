/* Addresses and control data between WSK's forms and the edge's. */
#include "wsk_internal.h"

#include <string.h>

bool wsk_address_from(uint8_t family, const SOCKADDR *in, struct udp_address *out)
{
    memset(out, 0, sizeof *out);
    if (!in)
        return false;
    out->family = family;
    if (family == 4 && in->sa_family == AF_INET) {
        const SOCKADDR_IN *in4 = (const SOCKADDR_IN *)in;

        out->port = in4->sin_port;
        memcpy(out->bytes, &in4->sin_addr, 4);
        return true;
    }
    if (family == 6 && in->sa_family == AF_INET6) {
        const SOCKADDR_IN6 *in6 = (const SOCKADDR_IN6 *)in;

        out->port = in6->sin6_port;
        memcpy(out->bytes, &in6->sin6_addr, 16);
        out->scope = in6->sin6_scope_id;
        return true;
    }
    return false;
}

size_t wsk_address_to(const struct udp_address *in, void *out)
{
    if (in->family == 4) {
        SOCKADDR_IN *out4 = out;

        memset(out4, 0, sizeof *out4);
        out4->sin_family = AF_INET;
        out4->sin_port = in->port;
        memcpy(&out4->sin_addr, in->bytes, 4);
        return sizeof *out4;
    }
    SOCKADDR_IN6 *out6 = out;

    memset(out6, 0, sizeof *out6);
    out6->sin6_family = AF_INET6;
    out6->sin6_port = in->port;
    memcpy(&out6->sin6_addr, in->bytes, 16);
    out6->sin6_scope_id = in->scope;
    return sizeof *out6;
}

static NTSTATUS malformed(const char *what, uint32_t length)
{
    if (host_options.verify)
        verify_report(RULE_WSK_CONTROL_DATA, "control data of %u bytes: %s", length, what);
    return STATUS_INVALID_PARAMETER;
}

static bool any_nonzero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i])
            return true;
    return false;
}

/* Windows honours PKTINFO on a send only when another header follows it; a lone one is dropped. The length
 * must count every header's padding. */
NTSTATUS wsk_control_parse(uint8_t family, const void *control, uint32_t length, struct send_target *target)
{
    const uint8_t *at = control, *pktinfo = NULL;
    bool segmented = false;
    const int32_t level = family == 4 ? LEVEL_IP : IPPROTO_IPV6;
    const size_t info_bytes = family == 4 ? sizeof(IN_PKTINFO) : sizeof(IN6_PKTINFO);
    uint32_t left = length, headers = 0, pktinfo_index = 0;

    while (left >= sizeof(CMSGHDR)) {
        CMSGHDR header;
        size_t step;

        memcpy(&header, at, sizeof header);
        if (header.cmsg_len < sizeof header || header.cmsg_len > left)
            return malformed("a header's length is outside of the buffer", length);
        step = WSA_CMSGHDR_ALIGN(header.cmsg_len);
        if (step > left)
            return malformed("the length does not count the last header's padding", length);
        if (header.cmsg_level == level && header.cmsg_type == IP_PKTINFO) {
            if (header.cmsg_len < WSA_CMSG_LEN(info_bytes))
                return malformed("PKTINFO is too short", length);
            if (pktinfo)
                return malformed("PKTINFO twice", length);
            pktinfo = (const uint8_t *)WSA_CMSG_DATA(at);
            pktinfo_index = headers;
        } else if (header.cmsg_level == IPPROTO_UDP && header.cmsg_type == UDP_SEND_MSG_SIZE) {
            if (!target->segments)
                return STATUS_INVALID_PARAMETER; /* a system that does not know it */
            if (header.cmsg_len != WSA_CMSG_LEN(sizeof(uint32_t)))
                return malformed("UDP_SEND_MSG_SIZE is a ULONG", length);
            if (segmented)
                return malformed("UDP_SEND_MSG_SIZE twice", length);
            segmented = true;
            memcpy(&target->segment, WSA_CMSG_DATA(at), sizeof target->segment);
            if (target->segment > WSK_MESSAGE_MAX_BYTES)
                return malformed("UDP_SEND_MSG_SIZE is larger than any datagram", length);
        } else if (header.cmsg_level == IPPROTO_UDP) {
            return malformed("IPPROTO_UDP has no other control message for a send", length);
        }
        headers++;
        at += step;
        left -= (uint32_t)step;
    }
    if (left)
        return malformed("bytes that are no header remain at the end", length);
    if (!pktinfo)
        return STATUS_SUCCESS;
    if (pktinfo_index + 1 == headers) {
        if (host_options.verify)
            verify_report(RULE_WSK_CONTROL_DATA,
                          "PKTINFO without a following header (IP_OPTIONS / IPV6_RTHDR): Windows ignores it");
        return STATUS_SUCCESS;
    }
    size_t address_bytes = family == 4 ? 4 : 16;

    target->local.family = family;
    memcpy(target->local.bytes, pktinfo, address_bytes);
    memcpy(&target->ifindex, pktinfo + address_bytes, sizeof target->ifindex);
    target->has_local = any_nonzero(target->local.bytes, address_bytes);
    return STATUS_SUCCESS;
}

/* IPPROTO_UDP socket options: "The size of all but the last message can be found in the UDP_COALESCED_INFO
 * control message". */
uint32_t wsk_control_coalesced(uint32_t segment, void *out)
{
    CMSGHDR *header = out;

    memset(out, 0, WSA_CMSG_SPACE(sizeof segment));
    header->cmsg_len = WSA_CMSG_LEN(sizeof segment);
    header->cmsg_level = IPPROTO_UDP;
    header->cmsg_type = UDP_COALESCED_INFO;
    memcpy(WSA_CMSG_DATA(header), &segment, sizeof segment);
    return (uint32_t)WSA_CMSG_SPACE(sizeof segment);
}

uint32_t wsk_control_pktinfo(const struct udp_datagram *datagram, uint8_t family, void *out)
{
    size_t bytes = family == 4 ? sizeof(IN_PKTINFO) : sizeof(IN6_PKTINFO);
    size_t address_bytes = family == 4 ? 4 : 16;
    CMSGHDR *header = out;
    uint8_t *data = (uint8_t *)WSA_CMSG_DATA(header);

    memset(out, 0, WSA_CMSG_SPACE(bytes));
    header->cmsg_len = WSA_CMSG_LEN(bytes);
    header->cmsg_level = family == 4 ? LEVEL_IP : IPPROTO_IPV6;
    header->cmsg_type = IP_PKTINFO;
    memcpy(data, datagram->to.bytes, address_bytes);
    memcpy(data + address_bytes, &datagram->ifindex, sizeof datagram->ifindex);
    return (uint32_t)WSA_CMSG_SPACE(bytes);
}
