/* See name_rules.h. */
#include "win/name_rules.h"

#include "win/dns_client.h"

#include <objbase.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES_KEY  L"SYSTEM\\CurrentControlSet\\Services\\Dnscache\\Parameters\\DnsPolicyConfig"
#define POLICY_KEY L"SOFTWARE\\Policies\\Microsoft\\Windows NT\\DNSClient\\DnsPolicyConfig"

enum {
    GUID_UNITS = 39,
    DOMAIN_UNITS = 253,
    RULE_DOMAINS = 50, /* of one rule; longer lists have been seen to be ignored */
    RULES_MAX = NAME_RULES_DOMAINS / RULE_DOMAINS,
    OWNER_UNITS = 128,
    SERVERS_UNITS = 2048,
    VERSION = 2,              /* Windows 8 and later */
    OPTION_GENERIC_DNS = 0x8, /* ConfigOptions: GenericDNSServers counts */
};

/* ---- whose a rule is ---- */

/* "Wyrm tunnel home", as DisplayName. */
static void display_name(const WCHAR *product, const WCHAR *name, WCHAR text[OWNER_UNITS])
{
    swprintf(text, OWNER_UNITS, L"%.32ls tunnel %.64ls", product, name);
}

/* "Wyrm process 1234 since 133...", as Comment: a number alone comes again. */
static bool process_mark(const WCHAR *product, DWORD id, HANDLE process, WCHAR text[OWNER_UNITS])
{
    FILETIME made, ended, kernel, user;
    if (!GetProcessTimes(process, &made, &ended, &kernel, &user))
        return false;
    swprintf(text, OWNER_UNITS, L"%.32ls process %lu since %llu", product, id,
             (unsigned long long)made.dwHighDateTime << 32 | made.dwLowDateTime);
    return true;
}

/* Of the Comment: it is of this product, and its process is gone. */
static bool process_gone(const WCHAR *product, const WCHAR *comment)
{
    WCHAR begin[OWNER_UNITS], mark[OWNER_UNITS], *end;
    swprintf(begin, OWNER_UNITS, L"%.32ls process ", product);
    size_t length = wcslen(begin);
    if (wcsncmp(comment, begin, length) != 0)
        return false;
    DWORD id = wcstoul(comment + length, &end, 10);
    if (wcsncmp(end, L" since ", 7) != 0)
        return false;
    HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, id);
    if (!process)
        return GetLastError() == ERROR_INVALID_PARAMETER; /* no such process */
    bool gone = WaitForSingleObject(process, 0) == WAIT_OBJECT_0 ||
                (process_mark(product, id, process, mark) && wcscmp(mark, comment) != 0);
    CloseHandle(process);
    return gone;
}

static bool read_text(HKEY key, const WCHAR *value, WCHAR text[OWNER_UNITS])
{
    DWORD type, size = (OWNER_UNITS - 1) * sizeof *text;
    memset(text, 0, OWNER_UNITS * sizeof *text);
    return RegQueryValueExW(key, value, NULL, &type, (BYTE *)text, &size) == 0 && type == REG_SZ;
}

static bool is_ours(HKEY rules, const WCHAR *rule, const WCHAR *product, const WCHAR *name)
{
    WCHAR wanted[OWNER_UNITS], text[OWNER_UNITS];
    HKEY key;
    display_name(product, name, wanted);
    if (RegOpenKeyExW(rules, rule, 0, KEY_QUERY_VALUE, &key) != 0)
        return false;
    bool ours = (read_text(key, L"DisplayName", text) && wcscmp(text, wanted) == 0) ||
                (read_text(key, L"Comment", text) && process_gone(product, text));
    RegCloseKey(key);
    return ours;
}

/* ---- making and removing ---- */

struct made {
    WCHAR names[RULES_MAX][GUID_UNITS];
    size_t count;
};

static bool is_made(const struct made *made, const WCHAR *rule)
{
    for (size_t i = 0; made && i < made->count; i++)
        if (_wcsicmp(made->names[i], rule) == 0)
            return true;
    return false;
}

/* Removes what is ours, but for `keep`; the first error, and whether anything was removed. */
static DWORD remove_ours(HKEY rules, const WCHAR *product, const WCHAR *name, const struct made *keep,
                         bool *removed)
{
    WCHAR rule[256];
    DWORD first = 0;
    for (DWORD i = 0;;) {
        DWORD units = sizeof rule / sizeof *rule;
        DWORD code = (DWORD)RegEnumKeyExW(rules, i, rule, &units, NULL, NULL, NULL, NULL);
        if (code)
            return code == ERROR_NO_MORE_ITEMS ? first : code;
        if (is_made(keep, rule) || !is_ours(rules, rule, product, name)) {
            i++;
            continue;
        }
        code = (DWORD)RegDeleteTreeW(rules, rule);
        *removed = *removed || !code;
        if (code) {
            first = first ? first : code;
            i++;
        }
    }
}

static DWORD set_text(HKEY key, const WCHAR *value, const WCHAR *text)
{
    return (DWORD)RegSetValueExW(key, value, 0, REG_SZ, (const BYTE *)text,
                                 (DWORD)((wcslen(text) + 1) * sizeof *text));
}

static DWORD set_number(HKEY key, const WCHAR *value, DWORD number)
{
    return (DWORD)RegSetValueExW(key, value, 0, REG_DWORD, (const BYTE *)&number, sizeof number);
}

/* The domains with the dot before them that means "at and below". */
static DWORD set_domains(HKEY key, const WCHAR *const *domains, size_t count)
{
    WCHAR *text = calloc(count * (DOMAIN_UNITS + 2) + 1, sizeof *text), *at = text;
    if (!text)
        return ERROR_NOT_ENOUGH_MEMORY;
    for (size_t i = 0; i < count; i++) {
        if (domains[i][0] != L'.')
            *at++ = L'.';
        wcscpy(at, domains[i]);
        at += wcslen(at) + 1;
    }
    DWORD code = (DWORD)RegSetValueExW(key, L"Name", 0, REG_MULTI_SZ, (const BYTE *)text,
                                       (DWORD)((size_t)(at + 1 - text) * sizeof *text));
    free(text);
    return code;
}

struct rule {
    const WCHAR *const *domains;
    size_t count;
    const WCHAR *servers; /* with semicolons */
    WCHAR display[OWNER_UNITS], comment[OWNER_UNITS];
};

static DWORD fill_rule(HKEY key, const struct rule *rule)
{
    /* ConfigOptions last: a rule without it does nothing. */
    DWORD code = set_number(key, L"Version", VERSION);
    if (!code)
        code = set_text(key, L"DisplayName", rule->display);
    if (!code)
        code = set_text(key, L"Comment", rule->comment);
    if (!code)
        code = set_domains(key, rule->domains, rule->count);
    if (!code)
        code = set_text(key, L"GenericDNSServers", rule->servers);
    return code ? code : set_number(key, L"ConfigOptions", OPTION_GENERIC_DNS);
}

static DWORD make_rule(HKEY rules, const struct rule *rule, struct made *made)
{
    WCHAR *name = made->names[made->count];
    GUID guid;
    HKEY key;
    DWORD code = (DWORD)CoCreateGuid(&guid);
    if (code)
        return code;
    if (!StringFromGUID2(&guid, name, GUID_UNITS))
        return ERROR_INVALID_PARAMETER;
    code = (DWORD)RegCreateKeyExW(rules, name, 0, NULL, 0, KEY_SET_VALUE, NULL, &key, NULL);
    if (code)
        return code;
    made->count++;
    code = fill_rule(key, rule);
    RegCloseKey(key);
    return code;
}

static DWORD make_rules(HKEY rules, const struct rule *all, struct made *made)
{
    DWORD code = 0;
    for (size_t i = 0; !code && i < all->count; i += RULE_DOMAINS) {
        struct rule one = *all;
        one.domains = all->domains + i;
        one.count = all->count - i < RULE_DOMAINS ? all->count - i : RULE_DOMAINS;
        code = make_rule(rules, &one, made);
    }
    for (size_t i = 0; code && i < made->count; i++)
        RegDeleteTreeW(rules, made->names[i]);
    return code;
}

/* ---- the whole ---- */

static DWORD check(const WCHAR *const *domains, size_t count, const WCHAR *servers)
{
    if (count > NAME_RULES_DOMAINS || !servers[0] || wcslen(servers) >= SERVERS_UNITS)
        return ERROR_INVALID_PARAMETER;
    for (size_t i = 0; i < count; i++)
        if (!domains[i][0] || wcslen(domains[i]) > DOMAIN_UNITS)
            return ERROR_INVALID_PARAMETER;
    return 0;
}

DWORD name_rules_set(const WCHAR *product, const WCHAR *name, const WCHAR *const *domains, size_t count,
                     const WCHAR *servers)
{
    struct rule rule = {.domains = domains, .count = count};
    struct made made = {.count = 0};
    WCHAR list[SERVERS_UNITS];
    HKEY rules;
    bool removed = false;
    if (!count)
        return name_rules_clear(product, name);
    DWORD code = check(domains, count, servers);
    if (code)
        return code;
    wcscpy(list, servers);
    for (WCHAR *at = list; *at; at++)
        if (*at == L',')
            *at = L';';
    rule.servers = list;
    display_name(product, name, rule.display);
    if (!process_mark(product, GetCurrentProcessId(), GetCurrentProcess(), rule.comment))
        return GetLastError();
    code = (DWORD)RegCreateKeyExW(HKEY_LOCAL_MACHINE, RULES_KEY, 0, NULL, 0, KEY_READ | KEY_WRITE, NULL,
                                  &rules, NULL);
    if (code)
        return code;
    code = make_rules(rules, &rule, &made);
    if (!code)
        code = remove_ours(rules, product, name, &made, &removed);
    RegCloseKey(rules);
    dns_client_refresh();
    return code;
}

DWORD name_rules_clear(const WCHAR *product, const WCHAR *name)
{
    HKEY rules;
    bool removed = false;
    DWORD code = (DWORD)RegOpenKeyExW(HKEY_LOCAL_MACHINE, RULES_KEY, 0, KEY_READ | KEY_WRITE, &rules);
    if (code)
        return code == ERROR_FILE_NOT_FOUND ? 0 : code;
    code = remove_ours(rules, product, name, NULL, &removed);
    RegCloseKey(rules);
    if (removed)
        dns_client_refresh();
    return code;
}

bool name_rules_overridden(void)
{
    HKEY policy;
    DWORD rules = 0;
    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, POLICY_KEY, 0, KEY_READ, &policy) != 0)
        return false;
    bool known =
        RegQueryInfoKeyW(policy, NULL, NULL, NULL, &rules, NULL, NULL, NULL, NULL, NULL, NULL, NULL) == 0;
    RegCloseKey(policy);
    return known && rules;
}
