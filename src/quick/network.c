/* See network.h.  Default routes without a loop: the tunnel's own datagrams carry a mark; everything without
 * it looks first at the main table, but not at its default route (suppress_prefixlength 0), and then at a
 * table that holds the tunnel's default route. */
#include "network.h"

#include "programs.h"
#include "say.h"
#include "secure_buffer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_RULE_PRIORITY 32765u /* the main table's rule has 32766 (ip-rule(8)) */
#define FIRST_FREE_TABLE   51820u
#define TUNNEL_OVERHEAD    80u /* IPv6 40, UDP 8, data message 32 */
#define DEFAULT_LINK_MTU   1500u
#define MINIMUM_MTU        576u
#define MINIMUM_MTU_IPV6   1280u
#define SRC_VALID_MARK     "/proc/sys/net/ipv4/conf/all/src_valid_mark"

static const char *family_option(uint8_t family)
{
    return family == 4 ? "-4" : "-6";
}

/* Runs one command; says which failed. */
static bool run(const char *const *argv)
{
    int status = spawn_run(argv, NULL, NULL, 0, false);
    if (!status)
        return true;
    char line[512] = "";
    for (size_t at = 0; *argv && at < sizeof line; argv++)
        at += (size_t)snprintf(line + at, sizeof line - at, " %s", *argv);
    say("this failed with status %d:%s", status, line);
    return false;
}

/* Gives iproute2 many commands at once. */
static bool run_batch(uint8_t family, const char *commands)
{
    const char *argv[] = {"ip", family_option(family), "-batch", "-", NULL};
    if (!*commands)
        return true;
    int status = spawn_run(argv, commands, NULL, 0, false);
    if (status)
        say("`ip %s` refused one of these:\n%s", family_option(family), commands);
    return status == 0;
}

bool network_add_addresses(const char *name, const struct config *config)
{
    bool done = true;
    for (size_t i = 0; done && i < config->addresses.count; i++) {
        char prefix[CONFIG_PREFIX_TEXT];
        config_prefix_format(&config->addresses.items[i], false, prefix);
        const char *argv[] = {
            "ip", family_option(config->addresses.items[i].family), "address", "add", prefix, "dev", name,
            NULL};
        done = run(argv);
    }
    return done;
}

bool network_set_up(const char *name, uint32_t mtu)
{
    char text[16];
    snprintf(text, sizeof text, "%u", mtu);
    const char *argv[] = {"ip", "link", "set", "dev", name, "mtu", text, "up", NULL};
    return run(argv);
}

/* ---- DNS ---- */

bool network_add_dns(const char *name, const struct config *config, struct state *state)
{
    char interface[32];
    struct secure_buffer text = {0};
    if (!config->dns_servers.count && !config->dns_domains.count)
        return true;
    if (!spawn_exists("resolvconf")) {
        say("warning: DNS is not set: there is no resolvconf; install openresolv or remove DNS");
        return true;
    }
    /* Debian's resolvconf orders interfaces by a pattern list, which knows tun.* */
    bool ordered = access("/etc/resolvconf/interface-order", F_OK) == 0;
    snprintf(interface, sizeof interface, "%s%s", ordered ? "tun." : "", name);
    bool done = true;
    for (size_t i = 0; done && i < config->dns_servers.count; i++)
        done = secure_buffer_printf(&text, "nameserver %s\n", config->dns_servers.items[i]);
    for (size_t i = 0; done && i < config->dns_domains.count; i++)
        done = secure_buffer_printf(&text, "%s%s", i ? " " : "search ", config->dns_domains.items[i]);
    done = done && secure_buffer_printf(&text, "%s%c", config->dns_domains.count ? "\n" : "", 0);
    const char *undo[] = {"resolvconf", "-d", interface, "-f", NULL};
    const char *argv[] = {"resolvconf", "-a", interface, "-m", "0", "-x", NULL};
    done = done && state_add_undo(state, undo) == 0;
    if (done && spawn_run(argv, (const char *)text.data, NULL, 0, false)) {
        say("resolvconf refused the DNS servers of %s", name);
        done = false;
    }
    secure_buffer_free(&text);
    return done;
}

/* ---- routes ---- */

static bool covers(const struct config_prefix *wide, const struct config_prefix *narrow)
{
    if (wide->family != narrow->family || wide->length > narrow->length)
        return false;
    for (unsigned bit = 0; bit < wide->length; bit++)
        if ((wide->bytes[bit / 8] ^ narrow->bytes[bit / 8]) & (0x80u >> bit % 8))
            return false;
    return true;
}

/* The kernel makes a route for each address's own network. */
static bool is_connected(const struct config *config, const struct config_prefix *prefix)
{
    for (size_t i = 0; i < config->addresses.count; i++)
        if (covers(&config->addresses.items[i], prefix))
            return true;
    return false;
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The prefixes of a family that want a route of their own, each once, as `ip` commands. NULL: no memory. */
static char *route_commands(const char *name, const struct config *config, uint8_t family, bool automatic,
                            uint32_t table)
{
    size_t total = 0, count = 0;
    for (size_t i = 0; i < config->peer_count; i++)
        total += config->peers[i].allowed_ips.count;
    char **lines = calloc(total + 1, sizeof *lines);
    struct secure_buffer text = {0};
    bool done = lines != NULL;
    for (size_t i = 0; done && i < config->peer_count; i++) {
        const struct config_prefixes *list = &config->peers[i].allowed_ips;
        for (size_t k = 0; done && k < list->count; k++) {
            char prefix[CONFIG_PREFIX_TEXT], in_table[32] = "";
            if (list->items[k].family != family ||
                (automatic && (!list->items[k].length || is_connected(config, &list->items[k]))))
                continue;
            config_prefix_format(&list->items[k], true, prefix);
            if (!automatic)
                snprintf(in_table, sizeof in_table, " table %u", table);
            done = asprintf(&lines[count], "route add %s dev %s%s\n", prefix, name, in_table) >= 0;
            count += done;
        }
    }
    if (done)
        qsort(lines, count, sizeof *lines, compare_text);
    for (size_t i = 0; done && i < count; i++)
        if (!i || strcmp(lines[i - 1], lines[i]) != 0)
            done = secure_buffer_append(&text, lines[i], strlen(lines[i]));
    done = done && secure_buffer_append(&text, "", 1);
    for (size_t i = 0; i < count; i++)
        free(lines[i]);
    free(lines);
    if (!done)
        secure_buffer_free(&text);
    return (char *)text.data;
}

bool network_wants_mark(const struct config *config)
{
    for (size_t i = 0; config->table == CONFIG_TABLE_AUTO && i < config->peer_count; i++)
        for (size_t k = 0; k < config->peers[i].allowed_ips.count; k++)
            if (!config->peers[i].allowed_ips.items[k].length)
                return true;
    return false;
}

static bool has_default(const struct config *config, uint8_t family)
{
    for (size_t i = 0; i < config->peer_count; i++)
        for (size_t k = 0; k < config->peers[i].allowed_ips.count; k++)
            if (!config->peers[i].allowed_ips.items[k].length &&
                config->peers[i].allowed_ips.items[k].family == family)
                return true;
    return false;
}

uint32_t network_free_table(void)
{
    char routes[256], rules[65536];
    for (uint32_t table = FIRST_FREE_TABLE;; table++) {
        char number[16], lookup[32];
        bool used = false;
        snprintf(number, sizeof number, "%u", table);
        snprintf(lookup, sizeof lookup, "lookup %u", table);
        for (uint8_t family = 4; family <= 6; family += 2) {
            const char *show[] = {"ip", family_option(family), "route", "show", "table", number, NULL};
            const char *rule[] = {"ip", family_option(family), "rule", "show", NULL};
            if (spawn_run(show, NULL, routes, sizeof routes, true) == 0 && routes[0])
                used = true;
            if (spawn_run(rule, NULL, rules, sizeof rules, true) == 0 && strstr(rules, lookup))
                used = true;
        }
        if (!used)
            return table;
    }
}

/* Two neighbouring free priorities just above those of the main table's own rule: the first for the rule that
 * hides the main table's default route, the second for the tunnel's.  Explicit, so that each tunnel removes
 * its own rules.  0: the rules cannot be read. */
static unsigned free_priorities(uint8_t family)
{
    static char rules[1 << 20];
    const char *argv[] = {"ip", family_option(family), "rule", "show", NULL};
    if (spawn_run(argv, NULL, rules, sizeof rules, false))
        return 0;
    for (unsigned priority = LAST_RULE_PRIORITY; priority > 1; priority -= 2) {
        bool used = false;
        for (const char *line = rules; !used && *line; line += strspn(line, "\n")) {
            unsigned long number = strtoul(line, NULL, 10);
            used = number == priority || number == priority - 1;
            line += strcspn(line, "\n");
        }
        if (!used)
            return priority - 1;
    }
    return 0;
}

static bool add_rule(struct state *state, const char *const *add)
{
    const char *undo[SPAWN_ARGUMENTS_MAX];
    size_t count = 0;
    for (; add[count]; count++)
        undo[count] = strcmp(add[count], "add") == 0 ? "delete" : add[count];
    undo[count] = NULL;
    /* Recorded after it stands: deleting a rule that was not made could delete somebody else's. */
    return run(add) && state_add_undo(state, undo) == 0;
}

/* Lets the reverse path filter look at the mark of incoming datagrams. */
static bool set_src_valid_mark(struct state *state)
{
    char value = 0;
    int fd = open(SRC_VALID_MARK, O_RDWR | O_CLOEXEC);
    if (fd < 0 || read(fd, &value, 1) != 1) {
        say("warning: %s: %s", SRC_VALID_MARK, strerror(errno));
        if (fd >= 0)
            close(fd);
        return true;
    }
    bool done = true;
    if (value != '1') {
        done = state_add_sysctl(state, SRC_VALID_MARK, "0") == 0 && pwrite(fd, "1\n", 2, 0) == 2;
        if (!done)
            say("%s cannot be set: %s", SRC_VALID_MARK, strerror(errno));
    }
    close(fd);
    return done;
}

/* With strict reverse path filtering the answers to marked datagrams need the mark too (it is kept with the
 * connection); and nobody outside may reach the tunnel's addresses past the tunnel. */
static bool add_firewall(const char *name, const struct config *config, uint8_t family, uint32_t table,
                         struct state *state)
{
    const char *ip = family == 4 ? "ip" : "ip6";
    char chain[32];
    struct secure_buffer text = {0};
    if (!spawn_exists("nft")) {
        say("warning: no nft: with strict rp_filter answers may be dropped; install "
            "nftables");
        return true;
    }
    snprintf(chain, sizeof chain, "nthost_%u", if_nametoindex(name));
    bool done =
        secure_buffer_printf(&text,
                             "table %s %s {\n"
                             "chain preraw { type filter hook prerouting priority -300; policy accept;\n",
                             ip, chain);
    for (size_t i = 0; done && i < config->addresses.count; i++) {
        char prefix[CONFIG_PREFIX_TEXT];
        if (config->addresses.items[i].family != family)
            continue;
        config_prefix_format(&config->addresses.items[i], false, prefix);
        *strchr(prefix, '/') = 0;
        done = secure_buffer_printf(&text, "iifname != \"%s\" %s daddr %s fib saddr type != local drop\n",
                                    name, ip, prefix);
    }
    done = done && secure_buffer_printf(
                       &text,
                       "}\n"
                       "chain premangle { type filter hook prerouting priority -150; policy accept;\n"
                       "meta l4proto udp meta mark set ct mark\n"
                       "}\n"
                       "chain postmangle { type filter hook postrouting priority -150; policy accept;\n"
                       "meta l4proto udp meta mark %u ct mark set meta mark\n"
                       "}\n}\n%c",
                       table, 0);
    const char *argv[] = {"nft", "-f", "-", NULL};
    const char *undo[] = {"nft", "delete", "table", ip, chain, NULL};
    if (done && spawn_run(argv, (const char *)text.data, NULL, 0, false)) {
        say("warning: nft refused the rules for the default route of %s", name);
        secure_buffer_free(&text);
        return true;
    }
    secure_buffer_free(&text);
    return done && state_add_undo(state, undo) == 0;
}

static bool add_default(const char *name, const struct config *config, uint8_t family, uint32_t table,
                        struct state *state)
{
    char number[16], first[16], second[16];
    unsigned priority = free_priorities(family);
    if (!priority) {
        say("the routing rules cannot be read or are all taken");
        return false;
    }
    snprintf(number, sizeof number, "%u", table);
    snprintf(first, sizeof first, "%u", priority);
    snprintf(second, sizeof second, "%u", priority + 1);
    const char *option = family_option(family), *everything = family == 4 ? "0.0.0.0/0" : "::/0";
    const char *route[] = {"ip", option, "route", "add", everything, "dev", name, "table", number, NULL};
    const char *unmarked[] = {"ip",   option,  "rule", "add",      "not",  "fwmark",
                              number, "table", number, "priority", second, NULL};
    const char *suppress[] = {"ip", option,     "rule", "add", "table", "main", "suppress_prefixlength",
                              "0",  "priority", first,  NULL};
    return run(route) && add_rule(state, suppress) && add_rule(state, unmarked) &&
           (family == 6 || set_src_valid_mark(state)) && add_firewall(name, config, family, table, state);
}

bool network_add_routes(const char *name, const struct config *config, uint32_t table, struct state *state)
{
    bool automatic = config->table == CONFIG_TABLE_AUTO, done = true;
    if (config->table == CONFIG_TABLE_OFF)
        return true;
    for (uint8_t family = 4; done && family <= 6; family += 2) {
        char *commands = route_commands(name, config, family, automatic, config->table_number);
        done = commands && run_batch(family, commands);
        free(commands);
        if (done && automatic && has_default(config, family))
            done = add_default(name, config, family, table, state);
    }
    return done;
}

/* ---- MTU ---- */

static uint32_t interface_mtu(const char *interface)
{
    char path[64], text[16] = "";
    snprintf(path, sizeof path, "/sys/class/net/%.15s/mtu", interface);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

/* The first route in the output of `ip -o route`: its own MTU or that of its interface; 0 = none. */
static uint32_t route_mtu(char *output)
{
    char *line = strtok(output, "\n");
    uint32_t mtu = 0, device_mtu = 0;
    char *save = NULL;
    for (char *word = line ? strtok_r(line, " ", &save) : NULL; word; word = strtok_r(NULL, " ", &save)) {
        bool is_mtu = !strcmp(word, "mtu"), is_device = !strcmp(word, "dev");
        if ((is_mtu || is_device) && !(word = strtok_r(NULL, " ", &save)))
            break;
        if (is_mtu && !strcmp(word, "lock") && !(word = strtok_r(NULL, " ", &save)))
            break;
        if (is_mtu)
            mtu = (uint32_t)strtoul(word, NULL, 10);
        else if (is_device)
            device_mtu = interface_mtu(word);
    }
    return mtu ? mtu : device_mtu;
}

uint32_t network_auto_mtu(const struct config *config, const union endpoint_address *endpoints)
{
    char output[4096], address[INET6_ADDRSTRLEN];
    uint32_t link = 0;
    bool ipv6 = false;
    for (size_t i = 0; i < config->peer_count; i++) {
        uint8_t family = endpoints[i].any.sa_family == AF_INET ? 4 : 6;
        if (endpoints[i].any.sa_family == AF_UNSPEC)
            continue;
        inet_ntop(endpoints[i].any.sa_family,
                  family == 4 ? (const void *)&endpoints[i].ipv4.sin_addr
                              : (const void *)&endpoints[i].ipv6.sin6_addr,
                  address, sizeof address);
        const char *argv[] = {"ip", family_option(family), "-o", "route", "get", address, NULL};
        if (spawn_run(argv, NULL, output, sizeof output, true))
            continue;
        uint32_t mtu = route_mtu(output);
        if (mtu && (!link || mtu < link)) /* the narrowest way, so that every peer can be reached */
            link = mtu;
    }
    for (uint8_t family = 4; !link && family <= 6; family += 2) {
        const char *argv[] = {"ip", family_option(family), "-o", "route", "show", "default", NULL};
        if (spawn_run(argv, NULL, output, sizeof output, true) == 0)
            link = route_mtu(output);
    }
    for (size_t i = 0; i < config->addresses.count; i++)
        ipv6 = ipv6 || config->addresses.items[i].family == 6;
    uint32_t floor = ipv6 ? MINIMUM_MTU_IPV6 : MINIMUM_MTU;
    link = link ? link : DEFAULT_LINK_MTU;
    /* Loopback's 65536 is more than an IP packet can hold. */
    link = link > UINT16_MAX ? UINT16_MAX : link;
    return link < floor + TUNNEL_OVERHEAD ? floor : link - TUNNEL_OVERHEAD;
}
