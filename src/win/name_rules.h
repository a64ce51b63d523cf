/* Split DNS: names below some domains are asked of a tunnel's servers, all others as before.  Local rules of
 * Windows' Name Resolution Policy Table, which the DNS client reads from the registry ([MS-GPNRPT] section
 * 2.2.2 documents the same values for rules of a domain):
 * HKLM\SYSTEM\CurrentControlSet\Services\Dnscache\Parameters\DnsPolicyConfig\{GUID}.
 *
 * Rules outlive the process that made them, so each names its tunnel and its process: those of a process that
 * is gone are removed whenever rules are set or cleared.  Any thread; by one thread for a tunnel at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <winsock2.h>

/* Gives the tunnel (`name`, at most 64 units; `product` at most 32) exactly these rules: names at and below
 * each of `domains` ("corp.example"; "." is every name; at most 253 units each, and NAME_RULES_DOMAINS of
 * them) are asked of `servers` (addresses in text with commas between).  No domains: as
 * name_rules_clear().  New rules are there before the old ones go; after an error the old ones are as they
 * were. */
#define NAME_RULES_DOMAINS 1000
DWORD name_rules_set(const WCHAR *product, const WCHAR *name, const WCHAR *const *domains, size_t count,
                     const WCHAR *servers);
/* Removes the tunnel's rules, whoever made them, and those of processes that are gone.  Rules of others, and
 * of other products, stay.  What is not there is no error. */
DWORD name_rules_clear(const WCHAR *product, const WCHAR *name);
/* Rules of a group policy are there: then Windows ignores local ones. */
bool name_rules_overridden(void);
