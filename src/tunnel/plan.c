/* See plan.h. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

static bool add_prefix(struct config_prefixes *list, const struct config_prefix *prefix)
{
    /* Capacities are powers of two: full when the count is one. */
    if (!(list->count & (list->count - 1))) {
        struct config_prefix *items =
            realloc(list->items, (list->count ? list->count * 2 : 1) * sizeof *items);
        if (!items)
            return false;
        list->items = items;
    }
    list->items[list->count++] = *prefix;
    return true;
}

/* ---- DNS ---- */

static bool is_ipv6(const char *server)
{
    return strchr(server, ':') != NULL;
}

/* All items of the list, or those of one family. */
static char *join(const struct config_strings *list, bool servers, bool ipv6)
{
    size_t length = 1;
    for (size_t i = 0; i < list->count; i++)
        length += strlen(list->items[i]) + 1;
    char *text = calloc(1, length), *at = text;
    for (size_t i = 0; text && i < list->count; i++) {
        if (servers && is_ipv6(list->items[i]) != ipv6)
            continue;
        if (at != text)
            *at++ = ',';
        size_t bytes = strlen(list->items[i]);
        memcpy(at, list->items[i], bytes);
        at += bytes;
    }
    return text;
}

static bool plan_dns(struct plan *plan, const struct config *config)
{
    for (int i = 0; i < PLAN_FAMILIES; i++) {
        struct plan_family *family = &plan->families[i];
        family->servers = join(&config->dns_servers, true, i == PLAN_IPV6);
        family->domains = join(&config->dns_domains, false, false);
        if (!family->servers || !family->domains)
            return false;
        family->has_dns = family->servers[0] != 0;
    }
    /* Domains without servers are IPv4's, which every machine has. */
    if (plan->families[PLAN_IPV4].domains[0] && !plan->families[PLAN_IPV6].has_dns)
        plan->families[PLAN_IPV4].has_dns = true;
    return true;
}

bool plan_dns_differs(const struct plan_family *left, const struct plan_family *right)
{
    if (!left->has_dns || !right->has_dns)
        return left->has_dns != right->has_dns;
    return strcmp(left->servers, right->servers) != 0 || strcmp(left->domains, right->domains) != 0;
}

/* ---- the whole ---- */

static bool take(struct plan *plan, struct config_prefixes *list, const struct config_prefix *prefix)
{
    plan->families[prefix->family == 4 ? PLAN_IPV4 : PLAN_IPV6].used = true;
    return add_prefix(list, prefix);
}

bool plan_make(struct plan *plan, const struct config *config)
{
    *plan = (struct plan){.mtu = config->mtu};
    for (size_t i = 0; i < config->addresses.count; i++)
        if (!take(plan, &plan->addresses, &config->addresses.items[i]))
            return false;
    for (size_t i = 0; i < config->peer_count; i++) {
        const struct config_prefixes *allowed = &config->peers[i].allowed_ips;
        for (size_t k = 0; k < allowed->count; k++) {
            struct config_prefix route = config_prefix_network(&allowed->items[k]);
            struct plan_family *family = &plan->families[route.family == 4 ? PLAN_IPV4 : PLAN_IPV6];
            family->used = true;
            if (config->table == CONFIG_TABLE_OFF)
                continue;
            family->preferred |= !route.length;
            if (!add_prefix(&plan->routes, &route))
                return false;
        }
    }
    return plan_dns(plan, config);
}

void plan_free(struct plan *plan)
{
    free(plan->addresses.items);
    free(plan->routes.items);
    for (int i = 0; i < PLAN_FAMILIES; i++) {
        free(plan->families[i].servers);
        free(plan->families[i].domains);
    }
    *plan = (struct plan){0};
}

static int compare(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct config_prefix));
}

bool plan_missing(const struct config_prefixes *has, const struct config_prefixes *wanted,
                  struct config_prefixes *missing)
{
    struct config_prefix *sorted = calloc(has->count + 1, sizeof *sorted);
    bool done = sorted != NULL;
    *missing = (struct config_prefixes){0};
    if (done && has->count) {
        memcpy(sorted, has->items, has->count * sizeof *sorted);
        qsort(sorted, has->count, sizeof *sorted, compare);
    }
    for (size_t i = 0; done && i < wanted->count; i++)
        if (!has->count || !bsearch(&wanted->items[i], sorted, has->count, sizeof *sorted, compare))
            done = add_prefix(missing, &wanted->items[i]);
    free(sorted);
    return done;
}

/* ---- rules ---- */

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool begins_with(const char *name, size_t length, const char *word)
{
    if (strlen(word) != length)
        return false;
    for (size_t i = 0; i < length; i++)
        if (upper(name[i]) != word[i])
            return false;
    return true;
}

/* With any extension, too: NUL.txt is NUL. */
static bool is_dos_device(const char *name)
{
    static const char *const devices[] = {"CON", "PRN", "AUX", "NUL"};
    size_t length = strcspn(name, ".");
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (begins_with(name, length, devices[i]))
            return true;
    return length == 4 && name[3] >= '0' && name[3] <= '9' &&
           (begins_with(name, 3, "COM") || begins_with(name, 3, "LPT"));
}

bool plan_name_valid(const char *name)
{
    size_t length = strlen(name);
    return length && length <= 32 && name[length - 1] != '.' && !is_dos_device(name) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=+.-") == length;
}

const char *plan_refusal(const struct config *config)
{
    if (config->pre_up.count || config->post_up.count || config->pre_down.count || config->post_down.count)
        return "PreUp, PostUp, PreDown and PostDown are not run on Windows: take them out";
    if (config->save)
        return "SaveConfig is not possible on Windows: take it out";
    if (config->has_fwmark && config->fwmark)
        return "there is no FwMark on Windows: take it out";
    return NULL;
}

bool plan_wants_name_rules(const struct config *config)
{
    for (size_t i = 0; config->table != CONFIG_TABLE_OFF && i < config->peer_count; i++)
        for (size_t k = 0; k < config->peers[i].allowed_ips.count; k++)
            if (!config->peers[i].allowed_ips.items[k].length)
                return false;
    return config->dns_servers.count && config->dns_domains.count;
}

bool plan_wants_kill_switch(const struct config *config)
{
    if (config->peer_count != 1 || config->table == CONFIG_TABLE_OFF)
        return false;
    const struct config_prefixes *allowed = &config->peers[0].allowed_ips;
    for (size_t i = 0; i < allowed->count; i++)
        if (!allowed->items[i].length)
            return true;
    return false;
}
