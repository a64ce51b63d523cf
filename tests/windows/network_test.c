/* What the tunnel service has of the network (src/win, src/service), call by call, for suite 75:
 *   network_test firewall [service]   the kill switch, against the stand-in of fwpuclnt.dll
 *   network_test dns                  servers of an interface by the registry
 *   network_test rules DOMAIN...      rules for names, and waits for a line; "" as the only domain: clears
 *   network_test rules-die DOMAIN...  rules for names, and dies
 *   network_test watch                a burst of changes, against the stand-in of iphlpapi.dll
 *   network_test resolve HOST         the addresses of a name
 *   network_test mtu                  what is left of the MTU of a way */
#include "lib/report.h"

#include "mtu.h"
#include "resolve.h"
#include "win/dns_client.h"
#include "win/firewall.h"
#include "win/name_rules.h"
#include "win/network_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRODUCT L"Wyrm"

/* ---- kill switch ---- */

static const struct netio_prefix servers[] = {
    {4, 32, {10, 64, 0, 1}}, {6, 128, {0xfd, 0x64, [15] = 1}}, {4, 32, {192, 0, 2, 200}}};

static int firewall(bool service)
{
    static const WCHAR *const programs[] = {L"C:\\wyrm\\wyrm-service.exe", L"C:\\wyrm\\wyrm-engine.exe"};
    struct {
        SID sid;
        DWORD more[5];
    } sid = {.sid = {SID_REVISION, 6, SECURITY_NT_AUTHORITY, {SECURITY_SERVICE_ID_BASE_RID}},
             .more = {1, 2, 3, 4, 5}};
    BYTE own[SECURITY_MAX_SID_SIZE];
    struct firewall_settings settings = {.name = L"Wyrm tunnel home",
                                         .luid = {.Value = 0x35000012345600},
                                         .programs = programs,
                                         .program_count = service ? 1 : 2,
                                         .service = service ? &sid : NULL,
                                         .dns = servers,
                                         .dns_count = service ? 0 : 3};
    struct firewall *made = NULL;
    const char *step = NULL;
    /* A program that was started by hand runs as no service. */
    if (firewall_service_sid(own, sizeof own))
        puts("a service's SID");
    DWORD code = firewall_open(&settings, &made, &step);
    if (code)
        printf("code %lx at %s\n", code, step);
    fflush(stdout);
    firewall_close(made);
    firewall_close(NULL);
    return 0;
}

static int firewall_of_nobody(void)
{
    struct firewall_settings settings = {.name = L"x"};
    struct firewall *made = NULL;
    check(firewall_open(&settings, &made, NULL) == ERROR_INVALID_PARAMETER && !made,
          "a kill switch that lets no program pass is refused");
    return report();
}

/* ---- DNS ---- */

static int dns(void)
{
    NET_LUID luid = {.Value = 0x35000012345600};
    WCHAR *longer = calloc(2049, sizeof *longer);
    check(netio_set_dns(&luid, 4, L"10.0.0.53,10.0.0.54", L"a.example,b.example") == 0, "IPv4's servers");
    check(netio_set_dns(&luid, 6, L"fd00::53", L"") == 0, "IPv6's servers");
    for (int i = 0; longer && i < 2048; i++)
        longer[i] = L'1';
    check(longer && netio_set_dns(&luid, 4, longer, L"") == ERROR_BUFFER_OVERFLOW, "a list that is too long");
    free(longer);
    check(!dns_client_disabled(), "the DNS client is not disabled");
    return report();
}

/* ---- rules for names ---- */

static int rules(int count, char **words, bool die)
{
    WCHAR domains[8][256];
    const WCHAR *list[8];
    for (int i = 0; i < count && i < 8; i++) {
        MultiByteToWideChar(CP_UTF8, 0, words[i], -1, domains[i], 256);
        list[i] = domains[i];
    }
    if (count == 1 && !words[0][0])
        count = 0;
    DWORD code = name_rules_set(PRODUCT, L"home", list, (size_t)count, L"10.64.0.1,fd64::1");
    printf("code %lu%s\n", code, name_rules_overridden() ? " overridden" : "");
    fflush(stdout);
    if (die)
        TerminateProcess(GetCurrentProcess(), 0);
    return code != 0;
}

static int bad_rules(void)
{
    static WCHAR longer[300];
    const WCHAR *one = L"a.example", *empty = L"", *too_long = longer;
    for (int i = 0; i < 254; i++)
        longer[i] = L'a';
    check(name_rules_set(PRODUCT, L"bad", &one, 1, L"") == ERROR_INVALID_PARAMETER, "rules without a server");
    check(name_rules_set(PRODUCT, L"bad", &empty, 1, L"10.0.0.1") == ERROR_INVALID_PARAMETER,
          "a rule for no name");
    check(name_rules_set(PRODUCT, L"bad", &too_long, 1, L"10.0.0.1") == ERROR_INVALID_PARAMETER,
          "a rule for a name of 254 units");
    static const WCHAR *many[NAME_RULES_DOMAINS + 1];
    for (size_t i = 0; i <= NAME_RULES_DOMAINS; i++)
        many[i] = one;
    check(name_rules_set(PRODUCT, L"bad", many, NAME_RULES_DOMAINS + 1, L"10.0.0.1") ==
              ERROR_INVALID_PARAMETER,
          "too many rules");
    check(name_rules_set(PRODUCT, L"many", many, 101, L"10.0.0.1") == 0, "101 domains");
    return report();
}

/* ---- watch ---- */

static LONG calls;
static HANDLE inside, leave;

static void changed(void *context)
{
    InterlockedIncrement(&calls);
    if (context)
        SetEvent(inside);
    if (context)
        WaitForSingleObject(leave, 5000);
}

/* The stand-in's word for "something has changed". */
static void (*stand_in_change)(void);
static unsigned (*stand_in_subscriptions)(void);

static void burst(unsigned count, DWORD pause_ms)
{
    for (unsigned i = 0; i < count; i++) {
        stand_in_change();
        Sleep(pause_ms);
    }
}

static DWORD WINAPI stop(void *watch)
{
    network_watch_stop(watch);
    return 0;
}

static int watch(void)
{
    struct network_watch *made = NULL;
    HMODULE module = LoadLibraryExW(L"iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC change = module ? GetProcAddress(module, "StandInChange") : NULL;
    FARPROC subscriptions = module ? GetProcAddress(module, "StandInSubscriptions") : NULL;
    if (!check(change && subscriptions, "the stand-in"))
        return report();
    memcpy(&stand_in_change, &change, sizeof change);
    memcpy(&stand_in_subscriptions, &subscriptions, sizeof subscriptions);
    inside = CreateEventW(NULL, FALSE, FALSE, NULL);
    leave = CreateEventW(NULL, TRUE, FALSE, NULL);

    check(network_watch_start(&made, 200, changed, NULL) == 0 && stand_in_subscriptions() == 3,
          "three notifications");
    Sleep(600);
    check(calls == 0, "no call without a change");
    burst(20, 5);
    check(calls == 0, "none while it changes");
    Sleep(800);
    check(calls == 1, "one for a burst (%ld)", calls);
    burst(120, 25); /* for 3 s without 200 ms of quiet */
    check(calls >= 2, "one at the latest after 2 s of changes (%ld)", calls);
    network_watch_stop(made);
    LONG before = calls;
    check(stand_in_subscriptions() == 0, "the notifications are given back");
    Sleep(500);
    check(calls == before, "no call after it was stopped");

    check(network_watch_start(&made, 20, changed, &calls) == 0, "another");
    burst(1, 0);
    check(WaitForSingleObject(inside, 3000) == WAIT_OBJECT_0, "a call");
    HANDLE stopper = CreateThread(NULL, 0, stop, made, 0, NULL);
    check(WaitForSingleObject(stopper, 300) == WAIT_TIMEOUT, "stop waits for a call that is under way");
    SetEvent(leave);
    check(WaitForSingleObject(stopper, 3000) == WAIT_OBJECT_0, "and no longer");

    SetEnvironmentVariableW(L"WYRM_RECORD_FAIL", L"NotifyUnicastIpAddressChange");
    check(network_watch_start(&made, 20, changed, NULL) == ERROR_ACCESS_DENIED && !made &&
              stand_in_subscriptions() == 0,
          "what is refused leaves nothing");
    network_watch_stop(NULL);
    return report();
}

/* ---- names ---- */

static int resolve(const char *host)
{
    struct endpoint addresses[ENDPOINT_ADDRESSES];
    char text[ENDPOINT_TEXT];
    size_t count = 0;
    DWORD code;
    uint32_t wait = 0;
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
    HANDLE event = CreateEventW(NULL, FALSE, FALSE, NULL);
    for (int i = 0; i < 50; i++) {
        struct resolve *dropped = resolve_start(host, 1, event);
        check(dropped != NULL, "started");
        resolve_end(dropped); /* at once: threads go on by themselves */
    }
    struct resolve *asked = resolve_start(host, 51820, event);
    uint64_t begin = GetTickCount64();
    while (asked && !resolve_take(asked, addresses, &count, &code, &wait))
        WaitForSingleObject(event, wait);
    check(asked && GetTickCount64() - begin < RESOLVE_LONGEST_MS + 2000, "answered within the bound");
    for (size_t i = 0; i < count; i++) {
        endpoint_format(&addresses[i], text);
        printf("address %s\n", text);
    }
    if (!count)
        printf("no address\n");
    resolve_end(asked);
    resolve_end(NULL);
    return report();
}

/* ---- MTU ---- */

static int mtu(void)
{
    static const struct {
        uint32_t way, within;
    } cases[] = {{0, 1420},  {1500, 1420},       {9000, 1420}, {1492, 1412}, {1280, 1200},
                 {656, 576}, {655, 576},         {576, 576},   {80, 576},    {79, 576},
                 {1, 576},   {0xFFFFFFFF, 1420}, {1400, 1320}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(mtu_within(cases[i].way) == cases[i].within, "within %u: %u", cases[i].way, cases[i].within);
    return report();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "firewall"))
        return firewall(argc > 2);
    if (!strcmp(what, "firewall-nobody"))
        return firewall_of_nobody();
    if (!strcmp(what, "dns"))
        return dns();
    if (!strcmp(what, "rules") || !strcmp(what, "rules-die"))
        return rules(argc - 2, argv + 2, what[5] != 0);
    if (!strcmp(what, "bad-rules"))
        return bad_rules();
    if (!strcmp(what, "watch"))
        return watch();
    if (!strcmp(what, "resolve") && argc > 2)
        return resolve(argv[2]);
    return strcmp(what, "mtu") ? 2 : mtu();
}
