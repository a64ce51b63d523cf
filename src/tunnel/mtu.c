/* See mtu.h. */
#include "mtu.h"

#include <string.h>

uint32_t mtu_within(uint32_t way)
{
    if (!way || way > MTU_OF_WAY)
        way = MTU_OF_WAY;
    return way < MTU_MINIMUM4 + MTU_HEADERS ? MTU_MINIMUM4 : way - MTU_HEADERS;
}

static void take_way(const NET_LUID *luid, const SOCKADDR_INET *to, uint32_t *least)
{
    NET_LUID through;
    uint32_t mtu;
    if (netio_way_to(to, luid, &through, &mtu) == 0 && mtu && (!*least || mtu < *least))
        *least = mtu;
}

uint32_t mtu_automatic(const NET_LUID *luid, const struct endpoint *endpoints, size_t count)
{
    uint32_t least = 0;
    for (size_t i = 0; i < count; i++) {
        SOCKADDR_INET to = {0};
        to.si_family = endpoints[i].family == 4 ? AF_INET : AF_INET6;
        if (endpoints[i].family == 4)
            memcpy(&to.Ipv4.sin_addr, endpoints[i].address, 4);
        else
            memcpy(&to.Ipv6.sin6_addr, endpoints[i].address, 16);
        if (endpoints[i].family)
            take_way(luid, &to, &least);
    }
    /* The unspecified address is in no prefix but that of a default route. */
    for (int i = 0; !least && i < 2; i++) {
        SOCKADDR_INET anywhere = {0};
        anywhere.si_family = i ? AF_INET6 : AF_INET;
        take_way(luid, &anywhere, &least);
    }
    return mtu_within(least);
}
