/* See endpoint.h.  The resolver's functions are those of RFC 3493, which Windows has as well. */
#include "endpoint.h"

#include "config_value.h"
#include "platform.h"
#include "sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESOLVE_ATTEMPTS 6 /* one second apart */

static bool from_sockaddr(const struct sockaddr *any, struct endpoint *endpoint)
{
    memset(endpoint, 0, sizeof *endpoint);
    if (any->sa_family == AF_INET) {
        struct sockaddr_in ipv4;
        memcpy(&ipv4, any, sizeof ipv4);
        endpoint->family = 4;
        memcpy(endpoint->address, &ipv4.sin_addr, 4);
        endpoint->port = ntohs(ipv4.sin_port);
        return true;
    }
    if (any->sa_family != AF_INET6)
        return false;
    struct sockaddr_in6 ipv6;
    memcpy(&ipv6, any, sizeof ipv6);
    endpoint->family = 6;
    memcpy(endpoint->address, &ipv6.sin6_addr, 16);
    endpoint->port = ntohs(ipv6.sin6_port);
    endpoint->scope = ipv6.sin6_scope_id;
    return true;
}

void endpoint_format(const struct endpoint *endpoint, char text[ENDPOINT_TEXT])
{
    char host[NI_MAXHOST] = "";
    if (endpoint->family == 4) {
        inet_ntop(AF_INET, endpoint->address, host, sizeof host);
        snprintf(text, ENDPOINT_TEXT, "%.64s:%u", host, endpoint->port);
        return;
    }
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_scope_id = endpoint->scope};
    memcpy(&ipv6.sin6_addr, endpoint->address, 16);
    /* Names the scope's interface, which inet_ntop() cannot. */
    if (getnameinfo((const struct sockaddr *)&ipv6, sizeof ipv6, host, sizeof host, NULL, 0, NI_NUMERICHOST))
        inet_ntop(AF_INET6, endpoint->address, host, sizeof host);
    snprintf(text, ENDPOINT_TEXT, "[%.80s]:%u", host, endpoint->port);
}

static int lookup(const char *host, uint16_t port, int flags, struct endpoint *endpoint)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV | flags}, *found;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    int problem = getaddrinfo(host, service, &hints, &found);
    if (problem)
        return problem;
    problem = from_sockaddr(found->ai_addr, endpoint) ? 0 : EAI_FAMILY;
    freeaddrinfo(found);
    return problem;
}

bool endpoint_parse(const char *text, struct endpoint *endpoint)
{
    char *host;
    uint16_t port;
    if (!value_endpoint(text, strlen(text), &host, &port))
        return false;
    bool valid = lookup(host, port, AI_NUMERICHOST, endpoint) == 0;
    free(host);
    return valid;
}

bool endpoint_resolve(const char *host, uint16_t port, struct endpoint *endpoint, struct failure *failure)
{
    int problem = EAI_AGAIN;
    for (unsigned attempt = 0; problem == EAI_AGAIN && attempt < RESOLVE_ATTEMPTS; attempt++) {
        if (attempt)
            platform_sleep_s(1);
        problem = lookup(host, port, 0, endpoint);
    }
    return !problem || fail(failure, EXIT_REFUSED, "the endpoint %.253s cannot be resolved: %s", host,
                            platform_resolver_text(problem));
}

bool endpoint_equal(const struct endpoint *left, const struct endpoint *right)
{
    return left->family == right->family && left->port == right->port && left->scope == right->scope &&
           !memcmp(left->address, right->address, left->family == 4 ? 4 : 16);
}
