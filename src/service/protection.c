/* See protection.h. */
#include "protection.h"

#include "engine.h"
#include "library.h"
#include "log.h"
#include "names.h"
#include "win/dns_client.h"
#include "win/firewall.h"
#include "win/name_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the kill switch ---- */

/* Addresses in text that the configuration's reader has checked. */
static size_t take_servers(const struct config *config, struct netio_prefix *servers)
{
    size_t count = 0;
    for (size_t i = 0; i < config->dns_servers.count; i++) {
        bool ipv6 = strchr(config->dns_servers.items[i], ':') != NULL;
        servers[count].family = ipv6 ? 6 : 4;
        if (inet_pton(ipv6 ? AF_INET6 : AF_INET, config->dns_servers.items[i], servers[count].bytes) == 1)
            count++;
    }
    return count;
}

static DWORD open_firewall(const struct tunnel *tunnel, const struct config *config,
                           struct firewall **firewall, const char **step)
{
    WCHAR name[TUNNEL_NAME_BYTES], shown[TUNNEL_NAME_BYTES + 32], program[PATH_UNITS], engine[PATH_UNITS];
    const WCHAR *programs[] = {program, engine};
    BYTE sid[SECURITY_MAX_SID_SIZE];
    DWORD length = GetModuleFileNameW(NULL, program, PATH_UNITS);
    bool by_engine = tunnel->backend->process != NULL;
    if (!length || length >= PATH_UNITS || !utf16_of(tunnel->name, name, TUNNEL_NAME_BYTES) ||
        (by_engine && !engine_path(engine)))
        return ERROR_FILENAME_EXCED_RANGE;
    struct netio_prefix *servers = calloc(config->dns_servers.count + 1, sizeof *servers);
    if (!servers)
        return ERROR_NOT_ENOUGH_MEMORY;
    swprintf(shown, TUNNEL_NAME_BYTES + 32, L"" WYRM_VENDOR_NAME L" tunnel %ls", name);
    struct firewall_settings settings = {
        .name = shown,
        .luid = tunnel->luid,
        .programs = programs,
        .program_count = by_engine ? 2 : 1,
        .service = firewall_service_sid(sid, sizeof sid) ? sid : NULL,
        .dns = servers,
        .dns_count = take_servers(config, servers),
    };
    DWORD code = firewall_open(&settings, firewall, step);
    free(servers);
    return code;
}

bool protection_begin(struct protection *protection, const struct tunnel *tunnel, const struct config *config,
                      struct failure *failure)
{
    const char *step = "";
    protection_abort(protection);
    if (!plan_wants_kill_switch(config))
        return true;
    DWORD code = open_firewall(tunnel, config, &protection->next, &step);
    return !code ||
           fail_windows(failure, code, "%.60s: the kill switch cannot be turned on (%s)", tunnel->name, step);
}

void protection_commit(struct protection *protection)
{
    struct firewall *opened = protection->next;
    firewall_close(protection->firewall);
    if (!protection->firewall && opened)
        log_line(LOG_INFO, "the kill switch is on: only the tunnel carries traffic");
    if (protection->firewall && !opened)
        log_line(LOG_INFO, "the kill switch is off");
    protection->firewall = opened;
    protection->next = NULL;
}

void protection_abort(struct protection *protection)
{
    firewall_close(protection->next);
    protection->next = NULL;
}

/* ---- split DNS ---- */

static WCHAR *wide_copy(const char *text)
{
    int units = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    WCHAR *wide = units > 0 ? malloc((size_t)units * sizeof *wide) : NULL;
    if (wide)
        MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, wide, units);
    return wide;
}

/* Both families in one list. */
static WCHAR *server_list(const struct config_strings *servers)
{
    size_t length = 1;
    for (size_t i = 0; i < servers->count; i++)
        length += strlen(servers->items[i]) + 1;
    char *text = calloc(1, length);
    for (size_t i = 0, used = 0; text && i < servers->count; i++)
        used += (size_t)snprintf(text + used, length - used, "%s%s", i ? "," : "", servers->items[i]);
    WCHAR *wide = text ? wide_copy(text) : NULL;
    free(text);
    return wide;
}

static DWORD set_rules(const WCHAR *name, const struct config *config)
{
    const struct config_strings *domains = &config->dns_domains;
    WCHAR **wide = calloc(domains->count + 1, sizeof(*wide)), *servers = server_list(&config->dns_servers);
    bool good = wide && servers;
    for (size_t i = 0; good && i < domains->count; i++)
        good = (wide[i] = wide_copy(domains->items[i])) != NULL;
    DWORD code = ERROR_NOT_ENOUGH_MEMORY;
    if (good)
        code =
            name_rules_set(L"" WYRM_VENDOR_NAME, name, (const WCHAR *const *)wide, domains->count, servers);
    for (size_t i = 0; wide && i < domains->count; i++)
        free(wide[i]);
    free(wide);
    free(servers);
    return code;
}

void protection_names(struct protection *protection, const char *name, const struct config *config)
{
    WCHAR wide[TUNNEL_NAME_BYTES];
    bool wanted = plan_wants_name_rules(config);
    if (!utf16_of(name, wide, TUNNEL_NAME_BYTES))
        return;
    /* Also without any: those of a process that was killed go. */
    DWORD code = wanted ? set_rules(wide, config) : name_rules_clear(L"" WYRM_VENDOR_NAME, wide);
    if (code)
        log_line(LOG_WARNING, "names below the tunnel's domains are not asked of its servers: code %lu",
                 code);
    protection->rules = wanted && !code;
    if (protection->rules && name_rules_overridden())
        log_line(LOG_WARNING,
                 "a group policy has rules for names: Windows ignores those for the tunnel's domains");
    if (protection->rules && dns_client_disabled())
        log_line(LOG_WARNING, "the service Dnscache is disabled: rules for the tunnel's domains do not work");
}

void protection_end(struct protection *protection, const char *name)
{
    WCHAR wide[TUNNEL_NAME_BYTES];
    if (protection->rules && utf16_of(name, wide, TUNNEL_NAME_BYTES))
        name_rules_clear(L"" WYRM_VENDOR_NAME, wide);
    protection_abort(protection);
    firewall_close(protection->firewall);
    *protection = (struct protection){0};
}
