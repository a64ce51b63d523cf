/* See resolve.h.  Each thread has a reference to what it shares with the caller, and to the module whose code
 * it runs. */
#include "resolve.h"

#include <stdlib.h>
#include <string.h>
#include <ws2tcpip.h>

enum { IPV4, IPV6, FAMILIES };

struct answer {
    bool done;
    DWORD code;
    struct endpoint addresses[ENDPOINT_ADDRESSES / FAMILIES];
    size_t count;
    uint64_t at_ms;
};

struct resolve {
    SRWLOCK lock;
    int references;
    HANDLE event; /* a duplicate of the caller's; NULL: nobody waits any more */
    uint64_t begin_ms;
    uint16_t port;
    struct answer answers[FAMILIES];
    char host[];
};

struct question {
    struct resolve *resolve;
    HMODULE module;
    int family;
};

/* false: that was the last reference. */
static bool refer(struct resolve *resolve, int more)
{
    AcquireSRWLockExclusive(&resolve->lock);
    resolve->references += more;
    bool shared = resolve->references != 0;
    ReleaseSRWLockExclusive(&resolve->lock);
    return shared;
}

static void release(struct resolve *resolve)
{
    if (refer(resolve, -1))
        return;
    if (resolve->event)
        CloseHandle(resolve->event);
    free(resolve);
}

/* ---- the threads ---- */

static bool take_address(const struct addrinfo *found, uint16_t port, struct endpoint *endpoint)
{
    *endpoint = (struct endpoint){.port = port};
    if (found->ai_family == AF_INET && found->ai_addrlen >= sizeof(struct sockaddr_in)) {
        endpoint->family = 4;
        memcpy(endpoint->address, &((const struct sockaddr_in *)found->ai_addr)->sin_addr, 4);
        return true;
    }
    if (found->ai_family != AF_INET6 || found->ai_addrlen < sizeof(struct sockaddr_in6))
        return false;
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)found->ai_addr;
    if (IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr))
        return false;
    endpoint->family = 6;
    memcpy(endpoint->address, &ipv6->sin6_addr, 16);
    endpoint->scope = ipv6->sin6_scope_id;
    return true;
}

static void ask(const struct resolve *resolve, int family, struct answer *answer)
{
    struct addrinfo hints = {.ai_family = family == IPV4 ? AF_INET : AF_INET6, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    answer->code = (DWORD)getaddrinfo(resolve->host, NULL, &hints, &found);
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        if (answer->count < ENDPOINT_ADDRESSES / FAMILIES &&
            take_address(at, resolve->port, &answer->addresses[answer->count]))
            answer->count++;
    if (found)
        freeaddrinfo(found);
    answer->done = true;
    answer->at_ms = GetTickCount64();
}

static DWORD WINAPI run(void *parameter)
{
    struct question question = *(struct question *)parameter;
    struct resolve *resolve = question.resolve;
    struct answer answer = {0};
    free(parameter);
    ask(resolve, question.family, &answer);
    AcquireSRWLockExclusive(&resolve->lock);
    resolve->answers[question.family] = answer;
    if (resolve->event)
        SetEvent(resolve->event);
    ReleaseSRWLockExclusive(&resolve->lock);
    release(resolve);
    FreeLibraryAndExitThread(question.module, 0);
}

static bool start_thread(struct resolve *resolve, int family)
{
    struct question *question = calloc(1, sizeof *question);
    if (!question)
        return false;
    question->resolve = resolve;
    question->family = family;
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (const WCHAR *)(const void *)run,
                            &question->module)) {
        free(question);
        return false;
    }
    refer(resolve, 1);
    HMODULE module = question->module;
    HANDLE thread = CreateThread(NULL, 0, run, question, 0, NULL);
    if (thread) {
        CloseHandle(thread);
        return true;
    }
    FreeLibrary(module);
    free(question);
    refer(resolve, -1); /* the caller has one */
    return false;
}

/* ---- for the caller ---- */

struct resolve *resolve_start(const char *host, uint16_t port, HANDLE event)
{
    size_t length = strlen(host) + 1;
    struct resolve *resolve = calloc(1, sizeof *resolve + length);
    if (!resolve)
        return NULL;
    memcpy(resolve->host, host, length);
    InitializeSRWLock(&resolve->lock);
    resolve->references = 1;
    resolve->port = port;
    resolve->begin_ms = GetTickCount64();
    if (!DuplicateHandle(GetCurrentProcess(), event, GetCurrentProcess(), &resolve->event, 0, FALSE,
                         DUPLICATE_SAME_ACCESS))
        resolve->event = NULL;
    if (resolve->event && start_thread(resolve, IPV6) && start_thread(resolve, IPV4))
        return resolve;
    resolve_end(resolve);
    return NULL;
}

/* How long to wait for more; 0: it is over. */
static uint32_t time_left(const struct resolve *resolve)
{
    const struct answer *ipv4 = &resolve->answers[IPV4], *ipv6 = &resolve->answers[IPV6];
    uint64_t now = GetTickCount64(), end = resolve->begin_ms + RESOLVE_LONGEST_MS;
    const struct answer *first = ipv4->done ? ipv4 : ipv6;
    if (ipv4->done && ipv6->done)
        return 0;
    if (first->done && first->count && first->at_ms + RESOLVE_OTHER_MS < end)
        end = first->at_ms + RESOLVE_OTHER_MS;
    return now < end ? (uint32_t)(end - now) : 0;
}

bool resolve_take(struct resolve *resolve, struct endpoint addresses[ENDPOINT_ADDRESSES], size_t *count,
                  DWORD *code, uint32_t *wait_ms)
{
    static const int order[FAMILIES] = {IPV6, IPV4};
    *count = 0;
    *code = 0;
    AcquireSRWLockExclusive(&resolve->lock);
    *wait_ms = time_left(resolve);
    for (int i = 0; !*wait_ms && i < FAMILIES; i++) {
        const struct answer *answer = &resolve->answers[order[i]];
        memcpy(&addresses[*count], answer->addresses, answer->count * sizeof *addresses);
        *count += answer->count;
        if (!answer->count && !*code)
            *code = answer->done ? answer->code : WSAETIMEDOUT;
    }
    ReleaseSRWLockExclusive(&resolve->lock);
    return !*wait_ms;
}

void resolve_end(struct resolve *resolve)
{
    if (!resolve)
        return;
    AcquireSRWLockExclusive(&resolve->lock);
    if (resolve->event)
        CloseHandle(resolve->event);
    resolve->event = NULL;
    ReleaseSRWLockExclusive(&resolve->lock);
    release(resolve);
}
