/* A stand-in of fwpuclnt.dll, native under Wine: it writes each call with all that its structures say as a
 * line to standard output (and to the file that WYRM_FILTER_RECORD names), keeps the platform's rules for
 * sessions and transactions, and refuses with ERROR_ACCESS_DENIED the call that WYRM_FILTER_FAIL names
 * ("FwpmFilterAdd0 7": the seventh of its kind). */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <winsock2.h>

#include <fwpmtypes.h>
#include <sddl.h>

#define NO_TRANSACTION     0x8032000Du /* FWP_E_NO_TXN_IN_PROGRESS */
#define TRANSACTION_TWICE  0x8032000Eu /* FWP_E_TXN_IN_PROGRESS */
#define PROVIDER_NOT_FOUND 0x80320005u /* FWP_E_PROVIDER_NOT_FOUND */
#define SUBLAYER_NOT_FOUND 0x80320007u /* FWP_E_SUBLAYER_NOT_FOUND */
#define INVALID_WEIGHT     0x80320025u /* FWP_E_INVALID_WEIGHT */
#define NULL_DISPLAY_NAME  0x80320023u /* FWP_E_NULL_DISPLAY_NAME */
#define ENGINE             ((HANDLE)(ULONG_PTR)0x77)

static struct {
    bool open, dynamic, transaction, has_provider, has_sublayer;
    GUID provider, sublayer;
    unsigned added, kept; /* filters in the transaction, and committed */
    unsigned blobs;
} state;

/* Says it; the code that the call returns. */
static DWORD say(const char *call, const char *text)
{
    static struct {
        char call[32];
        unsigned count;
    } calls[16];
    WCHAR refused[64] = L"", record[MAX_PATH];
    FILE *file;
    char narrow[64] = "", which[32] = "";
    unsigned number = 1, i = 0;
    while (i < 15 && calls[i].call[0] && strcmp(calls[i].call, call) != 0)
        i++;
    strcpy(calls[i].call, call);
    calls[i].count++;
    GetEnvironmentVariableW(L"WYRM_FILTER_FAIL", refused, 64);
    WideCharToMultiByte(CP_UTF8, 0, refused, -1, narrow, sizeof narrow, NULL, NULL);
    sscanf(narrow, "%31s %u", which, &number);
    bool fails = !strcmp(which, call) && number == calls[i].count;
    printf("%s%s%s%s\n", call, text[0] ? " " : "", text, fails ? " refused" : "");
    fflush(stdout);
    if (GetEnvironmentVariableW(L"WYRM_FILTER_RECORD", record, MAX_PATH) && (file = _wfopen(record, L"a"))) {
        fprintf(file, "%s%s\n", call, fails ? " refused" : "");
        fclose(file);
    }
    return fails ? ERROR_ACCESS_DENIED : 0;
}

/* ---- names of what the structures hold ---- */

struct name {
    GUID guid;
    const char *text;
};

static const struct name layers[] = {
    {{0xc38d57d1, 0x05a7, 0x4c33, {0x90, 0x4f, 0x7f, 0xbc, 0xee, 0xe6, 0x0e, 0x82}}, "connect4"},
    {{0xe1cd9fe7, 0xf4b5, 0x4273, {0x96, 0xc0, 0x59, 0x2e, 0x48, 0x7b, 0x86, 0x50}}, "accept4"},
    {{0x4a72393b, 0x319f, 0x44bc, {0x84, 0xc3, 0xba, 0x54, 0xdc, 0xb3, 0xb6, 0xb4}}, "connect6"},
    {{0xa3b42c97, 0x9f04, 0x4672, {0xb8, 0x7e, 0xce, 0xe9, 0xc4, 0x83, 0x25, 0x7f}}, "accept6"},
    {{0}, NULL}};
static const struct name fields[] = {
    {{0xd78e1e87, 0x8644, 0x4ea5, {0x94, 0x37, 0xd8, 0x09, 0xec, 0xef, 0xc9, 0x71}}, "application"},
    {{0xaf043a0a, 0xb34d, 0x4f86, {0x97, 0x9c, 0xc9, 0x03, 0x71, 0xaf, 0x6e, 0x66}}, "user"},
    {{0x632ce23b, 0x5167, 0x435c, {0x86, 0xd7, 0xe9, 0x03, 0x68, 0x4a, 0xa8, 0x0c}}, "flags"},
    {{0x4cd62a49, 0x59c3, 0x4969, {0xb7, 0xf3, 0xbd, 0xa5, 0xd3, 0x28, 0x90, 0xa4}}, "interface"},
    {{0x3971ef2b, 0x623e, 0x4f9a, {0x8c, 0xb1, 0x6e, 0x79, 0xb8, 0x06, 0xb9, 0xa7}}, "protocol"},
    {{0x0c1ba1af, 0x5765, 0x453f, {0xaf, 0x22, 0xa8, 0xf7, 0x91, 0xac, 0x77, 0x5b}}, "local"},
    {{0xc35a604d, 0xd22b, 0x4e1a, {0x91, 0xb4, 0x68, 0xf6, 0x74, 0xee, 0x67, 0x4b}}, "remote"},
    {{0xb235ae9a, 0x1d64, 0x49b8, {0xa4, 0x4c, 0x5f, 0xf3, 0xd9, 0x09, 0x50, 0x45}}, "address"},
    {{0}, NULL}};

static const char *name_of(const struct name *names, const GUID *guid)
{
    for (; names->text; names++)
        if (!memcmp(&names->guid, guid, sizeof *guid))
            return names->text;
    return "?";
}

static void hex(const BYTE *bytes, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
}

static void add_value(const FWP_CONDITION_VALUE0 *value, char *text)
{
    char bytes[64];
    WCHAR *sddl;
    switch (value->type) {
    case FWP_UINT8:
        sprintf(text, "u8:%u", value->uint8);
        break;
    case FWP_UINT16:
        sprintf(text, "u16:%u", value->uint16);
        break;
    case FWP_UINT32:
        sprintf(text, "u32:%08x", value->uint32);
        break;
    case FWP_UINT64:
        sprintf(text, "u64:%llx", *value->uint64);
        break;
    case FWP_BYTE_ARRAY16_TYPE:
        hex(value->byteArray16->byteArray16, 16, bytes);
        sprintf(text, "a16:%s", bytes);
        break;
    case FWP_V6_ADDR_MASK:
        hex(value->v6AddrMask->addr, 16, bytes);
        sprintf(text, "v6:%s/%u", bytes, value->v6AddrMask->prefixLength);
        break;
    case FWP_BYTE_BLOB_TYPE:
        sprintf(text, "blob:%.*ls", (int)(value->byteBlob->size / sizeof(WCHAR)),
                (WCHAR *)value->byteBlob->data);
        break;
    case FWP_SECURITY_DESCRIPTOR_TYPE:
        if (IsValidSecurityDescriptor(value->sd->data) &&
            value->sd->size == GetSecurityDescriptorLength(value->sd->data) &&
            ConvertSecurityDescriptorToStringSecurityDescriptorW(value->sd->data, SDDL_REVISION_1,
                                                                 DACL_SECURITY_INFORMATION, &sddl, NULL)) {
            sprintf(text, "sd:%ls", sddl);
            LocalFree(sddl);
        } else {
            strcpy(text, "sd:?");
        }
        break;
    default:
        sprintf(text, "type %d", value->type);
    }
}

static const char *match_of(FWP_MATCH_TYPE type)
{
    return type == FWP_MATCH_EQUAL ? "=" : type == FWP_MATCH_FLAGS_ALL_SET ? "&=" : "?";
}

/* ---- the functions ---- */

DWORD WINAPI FwpmEngineOpen0(const WCHAR *server, UINT32 authentication, void *identity,
                             const FWPM_SESSION0 *session, HANDLE *engine);
DWORD WINAPI FwpmEngineOpen0(const WCHAR *server, UINT32 authentication, void *identity,
                             const FWPM_SESSION0 *session, HANDLE *engine)
{
    char text[200];
    sprintf(text, "\"%ls\" flags %u wait %u authentication %u%s", session->displayData.name, session->flags,
            session->txnWaitTimeoutInMSec, authentication, server || identity ? " elsewhere" : "");
    DWORD code = say("FwpmEngineOpen0", text);
    if (code)
        return code;
    memset(&state, 0, sizeof state);
    state.open = true;
    state.dynamic = session->flags & 1;
    *engine = ENGINE;
    return 0;
}

DWORD WINAPI FwpmEngineClose0(HANDLE engine);
DWORD WINAPI FwpmEngineClose0(HANDLE engine)
{
    char text[100];
    /* What is not committed never was; what a dynamic session has goes with it. */
    sprintf(text, "in force %u, left %u, blobs %u", state.kept, state.dynamic ? 0 : state.kept, state.blobs);
    state.open = false;
    return engine == ENGINE ? say("FwpmEngineClose0", text) : ERROR_INVALID_HANDLE;
}

DWORD WINAPI FwpmTransactionBegin0(HANDLE engine, UINT32 flags);
DWORD WINAPI FwpmTransactionBegin0(HANDLE engine, UINT32 flags)
{
    DWORD code = say("FwpmTransactionBegin0", flags ? "flags" : "");
    if (!code && state.transaction)
        return TRANSACTION_TWICE;
    state.transaction = !code;
    return code;
}

DWORD WINAPI FwpmTransactionCommit0(HANDLE engine);
DWORD WINAPI FwpmTransactionCommit0(HANDLE engine)
{
    DWORD code = state.transaction ? say("FwpmTransactionCommit0", "") : NO_TRANSACTION;
    if (!code) {
        state.kept += state.added;
        state.transaction = false;
    }
    return code;
}

DWORD WINAPI FwpmTransactionAbort0(HANDLE engine);
DWORD WINAPI FwpmTransactionAbort0(HANDLE engine)
{
    DWORD code = state.transaction ? say("FwpmTransactionAbort0", "") : NO_TRANSACTION;
    state.added = 0;
    state.transaction = false;
    return code;
}

DWORD WINAPI FwpmProviderAdd0(HANDLE engine, const FWPM_PROVIDER0 *provider, PSECURITY_DESCRIPTOR sd);
DWORD WINAPI FwpmProviderAdd0(HANDLE engine, const FWPM_PROVIDER0 *provider, PSECURITY_DESCRIPTOR sd)
{
    char text[200];
    if (!state.transaction)
        return NO_TRANSACTION;
    if (!provider->displayData.name)
        return NULL_DISPLAY_NAME;
    sprintf(text, "\"%ls\" flags %u", provider->displayData.name, provider->flags);
    state.provider = provider->providerKey;
    state.has_provider = true;
    return say("FwpmProviderAdd0", text);
}

DWORD WINAPI FwpmSubLayerAdd0(HANDLE engine, const FWPM_SUBLAYER0 *sublayer, PSECURITY_DESCRIPTOR sd);
DWORD WINAPI FwpmSubLayerAdd0(HANDLE engine, const FWPM_SUBLAYER0 *sublayer, PSECURITY_DESCRIPTOR sd)
{
    char text[200];
    if (!state.transaction)
        return NO_TRANSACTION;
    if (!sublayer->displayData.name)
        return NULL_DISPLAY_NAME;
    if (!state.has_provider || memcmp(sublayer->providerKey, &state.provider, sizeof(GUID)) != 0)
        return PROVIDER_NOT_FOUND;
    sprintf(text, "\"%ls\" flags %u weight %x own %d", sublayer->displayData.name, sublayer->flags,
            sublayer->weight, memcmp(&sublayer->subLayerKey, &state.provider, sizeof(GUID)) != 0);
    state.sublayer = sublayer->subLayerKey;
    state.has_sublayer = true;
    return say("FwpmSubLayerAdd0", text);
}

DWORD WINAPI FwpmFilterAdd0(HANDLE engine, const FWPM_FILTER0 *filter, PSECURITY_DESCRIPTOR sd, UINT64 *id);
DWORD WINAPI FwpmFilterAdd0(HANDLE engine, const FWPM_FILTER0 *filter, PSECURITY_DESCRIPTOR sd, UINT64 *id)
{
    char text[4000];
    if (!state.transaction)
        return NO_TRANSACTION;
    if (!filter->displayData.name)
        return NULL_DISPLAY_NAME;
    if (!filter->providerKey || memcmp(filter->providerKey, &state.provider, sizeof(GUID)) != 0)
        return PROVIDER_NOT_FOUND;
    if (!state.has_sublayer || memcmp(&filter->subLayerKey, &state.sublayer, sizeof(GUID)) != 0)
        return SUBLAYER_NOT_FOUND;
    if (filter->weight.type != FWP_UINT8 || filter->weight.uint8 > 15)
        return INVALID_WEIGHT;
    sprintf(text, "%s %u %s%s", name_of(layers, &filter->layerKey), filter->weight.uint8,
            filter->action.type == FWP_ACTION_PERMIT  ? "permit"
            : filter->action.type == FWP_ACTION_BLOCK ? "block"
                                                      : "?",
            filter->flags == 8 ? " finally"
            : filter->flags    ? " flags"
                               : "");
    for (UINT32 i = 0; i < filter->numFilterConditions; i++) {
        const FWPM_FILTER_CONDITION0 *one = &filter->filterCondition[i];
        sprintf(text + strlen(text), " %s%s", name_of(fields, &one->fieldKey), match_of(one->matchType));
        add_value(&one->conditionValue, text + strlen(text));
    }
    DWORD code = say("FwpmFilterAdd0", text);
    if (!code)
        state.added++;
    return code;
}

DWORD WINAPI FwpmGetAppIdFromFileName0(const WCHAR *file, FWP_BYTE_BLOB **application);
DWORD WINAPI FwpmGetAppIdFromFileName0(const WCHAR *file, FWP_BYTE_BLOB **application)
{
    char text[300];
    sprintf(text, "%ls", file);
    DWORD code = say("FwpmGetAppIdFromFileName0", text);
    if (code)
        return code;
    /* Blob and data in one piece, as what FwpmFreeMemory0 frees. */
    DWORD bytes = (DWORD)(wcslen(file) * sizeof *file);
    FWP_BYTE_BLOB *made = malloc(sizeof *made + bytes);
    if (!made)
        return ERROR_NOT_ENOUGH_MEMORY;
    made->size = bytes;
    made->data = (UINT8 *)(made + 1);
    memcpy(made->data, file, bytes);
    state.blobs++;
    *application = made;
    return 0;
}

void WINAPI FwpmFreeMemory0(void **memory);
void WINAPI FwpmFreeMemory0(void **memory)
{
    /* Whoever uses it afterwards shall see it. */
    FWP_BYTE_BLOB *blob = *memory;
    memset(blob->data, 0x3f, blob->size);
    free(blob);
    state.blobs--;
    *memory = NULL;
}

BOOL WINAPI DllMain(HINSTANCE instance, DWORD reason, LPVOID reserved)
{
    return TRUE;
}
