/* See firewall.h.  The filters themselves are firewall_rules.c's. */
#include "win/firewall.h"

#include "win/firewall_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rpc.h>
#include <sddl.h>

#define SESSION_DYNAMIC       0x1u   /* FWPM_SESSION_FLAG_DYNAMIC */
#define SUBLAYER_WEIGHT       0xFFFF /* before all others */
#define TRANSACTION_WAIT_MS   15000u
#define SERVICE_AUTHORITIES   6                          /* 80 and five of the name's hash */
#define MATCH_FILTER_SDDL     L"O:SYG:SYD:(A;;CC;;;%ls)" /* CC is FWP_ACTRL_MATCH_FILTER */
#define MATCH_FILTER_SDDL_MAX 240

/* X(name in fwpuclnt.dll, result, arguments) */
#define FUNCTIONS(X)                                                                                         \
    X(FwpmEngineOpen0, DWORD, (const WCHAR *, UINT32, void *, const FWPM_SESSION0 *, HANDLE *))              \
    X(FwpmEngineClose0, DWORD, (HANDLE))                                                                     \
    X(FwpmTransactionBegin0, DWORD, (HANDLE, UINT32))                                                        \
    X(FwpmTransactionCommit0, DWORD, (HANDLE))                                                               \
    X(FwpmTransactionAbort0, DWORD, (HANDLE))                                                                \
    X(FwpmProviderAdd0, DWORD, (HANDLE, const FWPM_PROVIDER0 *, PSECURITY_DESCRIPTOR))                       \
    X(FwpmSubLayerAdd0, DWORD, (HANDLE, const FWPM_SUBLAYER0 *, PSECURITY_DESCRIPTOR))                       \
    X(FwpmFilterAdd0, DWORD, (HANDLE, const FWPM_FILTER0 *, PSECURITY_DESCRIPTOR, UINT64 *))                 \
    X(FwpmGetAppIdFromFileName0, DWORD, (const WCHAR *, FWP_BYTE_BLOB **))                                   \
    X(FwpmFreeMemory0, void, (void **))

#define MEMBER(name, result, arguments) result(WINAPI *name) arguments;
static struct {
    FUNCTIONS(MEMBER)
    bool complete;
} wfp;

static BOOL CALLBACK load(PINIT_ONCE once, void *parameter, void **context)
{
    HMODULE module = LoadLibraryExW(L"fwpuclnt.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FARPROC function;
    if (!module)
        return TRUE;
    wfp.complete = true;
#define LOOK_UP(name, result, arguments)                                                                     \
    function = GetProcAddress(module, #name);                                                                \
    memcpy(&wfp.name, &function, sizeof function);                                                           \
    wfp.complete = wfp.complete && function;
    FUNCTIONS(LOOK_UP)
    return TRUE;
}

static bool need(void)
{
    static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
    InitOnceExecuteOnce(&once, load, NULL, NULL);
    return wfp.complete;
}

struct firewall {
    HANDLE engine;
};

/* What is being made, and where it stopped. */
struct making {
    const struct firewall_settings *settings;
    HANDLE engine;
    GUID provider, sublayer;
    FWP_BYTE_BLOB user; /* the access list that only the service's SID passes; empty: none */
    const char *step;
};

static DWORD at(struct making *making, const char *step, DWORD code)
{
    if (code)
        making->step = step;
    return code;
}

/* ---- one filter ---- */

static DWORD add_filter(void *context, const struct firewall_filter *filter)
{
    struct making *making = context;
    FWPM_FILTER0 made = {.displayData = {.name = (WCHAR *)filter->name},
                         .flags = filter->flags,
                         .providerKey = &making->provider,
                         .layerKey = *filter->layer,
                         .subLayerKey = making->sublayer,
                         .weight = {.type = FWP_UINT8, .uint8 = filter->weight},
                         .numFilterConditions = filter->condition_count,
                         .filterCondition = (FWPM_FILTER_CONDITION0 *)filter->conditions,
                         .action = {.type = filter->action}};
    return at(making, "FwpmFilterAdd0", wfp.FwpmFilterAdd0(making->engine, &made, NULL, NULL));
}

/* ---- what the rules need ---- */

static DWORD make_user(struct making *making)
{
    WCHAR text[MATCH_FILTER_SDDL_MAX], *sid;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    ULONG size = 0;
    if (!making->settings->service)
        return 0;
    if (!ConvertSidToStringSidW(making->settings->service, &sid))
        return at(making, "ConvertSidToStringSidW", GetLastError());
    swprintf(text, MATCH_FILTER_SDDL_MAX, MATCH_FILTER_SDDL, sid);
    LocalFree(sid);
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1, &descriptor, &size))
        return at(making, "ConvertStringSecurityDescriptorToSecurityDescriptorW", GetLastError());
    making->user = (FWP_BYTE_BLOB){.size = size, .data = descriptor};
    return 0;
}

/* The filters that let each program pass, on all layers. */
static DWORD add_programs(struct making *making)
{
    DWORD code = 0;
    for (size_t i = 0; !code && i < making->settings->program_count; i++) {
        FWP_BYTE_BLOB *application = NULL;
        code = at(making, "FwpmGetAppIdFromFileName0",
                  wfp.FwpmGetAppIdFromFileName0(making->settings->programs[i], &application));
        if (code)
            return code;
        code = firewall_rules_program(making->settings->name, application,
                                      making->user.size ? &making->user : NULL, add_filter, making);
        wfp.FwpmFreeMemory0((void **)&application);
    }
    return code;
}

static DWORD add_all(struct making *making)
{
    const struct firewall_settings *settings = making->settings;
    FWPM_PROVIDER0 provider = {.providerKey = making->provider,
                               .displayData = {.name = (WCHAR *)settings->name}};
    FWPM_SUBLAYER0 sublayer = {.subLayerKey = making->sublayer,
                               .displayData = {.name = (WCHAR *)settings->name},
                               .providerKey = &making->provider,
                               .weight = SUBLAYER_WEIGHT};
    DWORD code = at(making, "FwpmProviderAdd0", wfp.FwpmProviderAdd0(making->engine, &provider, NULL));
    if (!code)
        code = at(making, "FwpmSubLayerAdd0", wfp.FwpmSubLayerAdd0(making->engine, &sublayer, NULL));
    if (!code)
        code = add_programs(making);
    if (!code)
        code = firewall_rules_others(settings->name, &settings->luid, settings->dns, settings->dns_count,
                                     add_filter, making);
    return code;
}

static DWORD transact(struct making *making)
{
    DWORD code = at(making, "FwpmTransactionBegin0", wfp.FwpmTransactionBegin0(making->engine, 0));
    if (code)
        return code;
    code = add_all(making);
    if (!code) {
        code = at(making, "FwpmTransactionCommit0", wfp.FwpmTransactionCommit0(making->engine));
        if (!code)
            return 0;
    }
    /* The session's end would do the same. */
    wfp.FwpmTransactionAbort0(making->engine);
    return code;
}

/* ---- the whole ---- */

static DWORD open_engine(struct making *making)
{
    FWPM_SESSION0 session = {.displayData = {.name = (WCHAR *)making->settings->name},
                             .flags = SESSION_DYNAMIC,
                             .txnWaitTimeoutInMSec = TRANSACTION_WAIT_MS};
    return at(making, "FwpmEngineOpen0",
              wfp.FwpmEngineOpen0(NULL, RPC_C_AUTHN_WINNT, NULL, &session, &making->engine));
}

static DWORD make(struct making *making)
{
    DWORD code = make_user(making);
    if (!code)
        code = at(making, "CoCreateGuid", (DWORD)CoCreateGuid(&making->provider));
    if (!code)
        code = at(making, "CoCreateGuid", (DWORD)CoCreateGuid(&making->sublayer));
    if (!code)
        code = open_engine(making);
    if (code)
        return code;
    code = transact(making);
    if (code)
        wfp.FwpmEngineClose0(making->engine);
    return code;
}

DWORD firewall_open(const struct firewall_settings *settings, struct firewall **firewall, const char **step)
{
    struct making making = {.settings = settings};
    const char *ignored;
    if (!step)
        step = &ignored;
    *firewall = NULL;
    *step = "fwpuclnt.dll";
    if (!need())
        return ERROR_NOT_SUPPORTED;
    *step = "firewall_open";
    if (!settings->program_count)
        return ERROR_INVALID_PARAMETER;
    struct firewall *made = calloc(1, sizeof *made);
    if (!made)
        return ERROR_NOT_ENOUGH_MEMORY;
    DWORD code = make(&making);
    if (making.user.data)
        LocalFree(making.user.data);
    if (code) {
        *step = making.step;
        free(made);
        return code;
    }
    made->engine = making.engine;
    *firewall = made;
    return 0;
}

void firewall_close(struct firewall *firewall)
{
    if (!firewall)
        return;
    wfp.FwpmEngineClose0(firewall->engine);
    free(firewall);
}

/* ---- who we are ---- */

static bool is_service_sid(PSID sid)
{
    static const SID_IDENTIFIER_AUTHORITY nt = SECURITY_NT_AUTHORITY;
    const SID *parts = sid;
    return !memcmp(&parts->IdentifierAuthority, &nt, sizeof nt) &&
           parts->SubAuthorityCount == SERVICE_AUTHORITIES &&
           parts->SubAuthority[0] == SECURITY_SERVICE_ID_BASE_RID;
}

static bool find_service_sid(const TOKEN_GROUPS *groups, PSID sid, DWORD size)
{
    for (DWORD i = 0; i < groups->GroupCount; i++) {
        const SID_AND_ATTRIBUTES *group = &groups->Groups[i];
        if (is_service_sid(group->Sid) && (group->Attributes & SE_GROUP_ENABLED) &&
            GetLengthSid(group->Sid) <= size) {
            memcpy(sid, group->Sid, GetLengthSid(group->Sid));
            return true;
        }
    }
    return false;
}

bool firewall_service_sid(PSID sid, DWORD size)
{
    HANDLE token;
    DWORD bytes = 0;
    bool found = false;
    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
        return false;
    GetTokenInformation(token, TokenGroups, NULL, 0, &bytes);
    TOKEN_GROUPS *groups = bytes ? malloc(bytes) : NULL;
    if (groups && GetTokenInformation(token, TokenGroups, groups, bytes, &bytes))
        found = find_service_sid(groups, sid, size);
    free(groups);
    CloseHandle(token);
    return found;
}
