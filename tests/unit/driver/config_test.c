/* The limits of GET and SET that no test on a real table reaches: a reply above 4 GiB, 2^20 peers, and a
 * refusal of each allocation.  The driver's tables are played. */
#include "check.h"
#include "control.h"
#include "crypto/secure_memory.h"
#include "kernel_stub.h"
#include "nt/rtl.h"
#include "peer.h"
#include "transmit.h"
#include "udp_socket.h"
#include "wyrm/control.h"

static struct adapter adapter;
static struct peer peer;
static uint64_t prefixes; /* of the one peer */
static int created, inserted;

/* ---- the kernel ---- */

NTSTATUS NTAPI KeWaitForSingleObject(PVOID object, KWAIT_REASON reason, KPROCESSOR_MODE mode,
                                     BOOLEAN alertable, PLARGE_INTEGER timeout)
{
    (void)object, (void)reason, (void)mode, (void)alertable, (void)timeout;
    return STATUS_SUCCESS;
}

LONG NTAPI KeReleaseMutex(PRKMUTEX mutex, BOOLEAN wait)
{
    (void)mutex, (void)wait;
    return 0;
}

VOID FASTCALL ExAcquireFastMutex(PFAST_MUTEX mutex)
{
    (void)mutex;
}

VOID FASTCALL ExReleaseFastMutex(PFAST_MUTEX mutex)
{
    (void)mutex;
}

KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK lock)
{
    (void)lock;
    return 0;
}

VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK lock, KIRQL irql)
{
    (void)lock, (void)irql;
}

/* ---- the driver ---- */

uint32_t adapter_copy_identity(struct adapter *of, struct identity *copy)
{
    *copy = of->identity;
    return 1;
}

void endpoint_read(const struct endpoint_cell *cell, struct endpoint *copy)
{
    *copy = cell->value;
}

void endpoint_set(struct endpoint_cell *cell, const SOCKADDR_INET *remote)
{
    cell->value.remote = *remote;
}

uint16_t peer_timers_keepalive(const struct peer *of)
{
    (void)of;
    return 25;
}

void peer_timers_set_keepalive(struct peer *of, uint16_t interval_s)
{
    (void)of, (void)interval_s;
}

void peer_timers_identity_changed(struct peer *of)
{
    (void)of;
}

void peer_timers_start(struct peer *of)
{
    (void)of;
}

struct peer *peer_create(struct adapter *of, const uint8_t public_key[32])
{
    (void)of, (void)public_key;
    void *memory = memory_allocate(MEMORY_PEER, 1);
    memory_free(MEMORY_PEER, memory, 1);
    created += memory != NULL;
    return memory ? &peer : NULL;
}

void peer_remove(struct peer *of)
{
    (void)of;
}

bool peer_reference(struct peer *of)
{
    (void)of;
    return true;
}

void peer_release(struct peer *of)
{
    (void)of;
}

struct peer *peer_table_find(struct adapter *of, const uint8_t public_key[32])
{
    (void)of, (void)public_key;
    return NULL;
}

NTSTATUS peer_table_insert(struct adapter *of, struct peer *added)
{
    (void)of, (void)added;
    inserted++;
    return STATUS_SUCCESS;
}

void peer_expire_sessions(struct peer *of)
{
    (void)of;
}

void receiver_index_remove(struct adapter *of, uint32_t index)
{
    (void)of, (void)index;
}

bool transmit_flush_staged(struct peer *of)
{
    (void)of;
    return false;
}

void transmit_keepalive(struct peer *of)
{
    (void)of;
}

NTSTATUS udp_sockets_open(struct adapter *of, uint16_t port, uint16_t *bound_port)
{
    (void)of;
    *bound_port = port;
    return STATUS_SUCCESS;
}

/* ---- the protocol ---- */

uint32_t allowed_ips_count(const struct allowed_ips_peer *of)
{
    (void)of;
    return (uint32_t)prefixes;
}

/* The cursor counts. */
bool allowed_ips_iterate(const struct allowed_ips_peer *of, struct allowed_ips_entry **cursor,
                         struct allowed_ips_prefix *prefix)
{
    (void)of;
    uintptr_t number = (uintptr_t)*cursor;
    if (number == prefixes)
        return false;
    *cursor = (struct allowed_ips_entry *)(number + 1);
    prefix->family = ALLOWED_IPS_V4;
    return true;
}

enum allowed_ips_result allowed_ips_insert(struct allowed_ips *table, enum allowed_ips_family family,
                                           const uint8_t *address, uint8_t prefix_length,
                                           struct allowed_ips_peer *of)
{
    (void)table, (void)family, (void)address, (void)prefix_length, (void)of;
    void *memory = memory_allocate(MEMORY_TRIE, 1);
    memory_free(MEMORY_TRIE, memory, 1);
    return memory ? ALLOWED_IPS_OK : ALLOWED_IPS_NO_MEMORY;
}

enum allowed_ips_result allowed_ips_remove(struct allowed_ips *table, enum allowed_ips_family family,
                                           const uint8_t *address, uint8_t prefix_length,
                                           struct allowed_ips_peer *of)
{
    (void)table, (void)family, (void)address, (void)prefix_length, (void)of;
    return ALLOWED_IPS_OK;
}

void allowed_ips_remove_by_peer(struct allowed_ips *table, struct allowed_ips_peer *of)
{
    (void)table, (void)of;
}

uint32_t handshake_set_identity(struct handshake *handshake, const struct identity *identity)
{
    (void)handshake, (void)identity;
    return INDEX_NONE;
}

void handshake_set_preshared_key(struct handshake *handshake,
                                 const uint8_t preshared_key[PRESHARED_KEY_BYTES])
{
    memcpy(handshake->preshared_key, preshared_key, PRESHARED_KEY_BYTES);
}

void cookie_checker_set_identity(struct cookie_checker *checker, const uint8_t *public_key)
{
    (void)checker, (void)public_key;
}

void identity_init(struct identity *identity)
{
    *identity = (struct identity){0};
}

bool identity_set(struct identity *identity, const uint8_t private_key[PRIVATE_KEY_BYTES])
{
    (void)private_key;
    return identity->present = true;
}

void identity_copy(struct identity *destination, const struct identity *source)
{
    *destination = *source;
}

bool identity_equals_private_key(const struct identity *identity,
                                 const uint8_t private_key[PRIVATE_KEY_BYTES])
{
    (void)identity, (void)private_key;
    return false;
}

/* ---- tests ---- */

/* Facts 1.12: "over 4 GiB -> SECTION_TOO_BIG": Information has 32 bits for 32-bit callers. */
static void test_reply_above_4_gib(void)
{
    const uint64_t fixed = sizeof(struct wyrm_ioctl_interface) + sizeof(struct wyrm_ioctl_peer);
    const uint64_t each = sizeof(struct wyrm_ioctl_allowed_ip);
    uint64_t information = 1;
    InsertTailList(&adapter.peer_list, &peer.link);

    prefixes = (UINT32_MAX - fixed) / each;
    CHECK(config_get(&adapter, NULL, 0, &information) == STATUS_BUFFER_OVERFLOW);
    CHECK(information == fixed + prefixes * each && information <= UINT32_MAX);
    prefixes++;
    CHECK(config_get(&adapter, NULL, 0, &information) == STATUS_SECTION_TOO_BIG && information == 0);
    prefixes = 0;
    CHECK(config_get(&adapter, NULL, 0, &information) == STATUS_BUFFER_OVERFLOW && information == fixed);
    InitializeListHead(&adapter.peer_list);
}

struct request {
    struct wyrm_ioctl_interface interface;
    struct wyrm_ioctl_peer peer;
    struct wyrm_ioctl_allowed_ip prefix;
};

static NTSTATUS set_one_peer(uint64_t *information)
{
    struct request request = {.interface.peers_count = 1,
                              .peer = {.flags = WYRM_PEER_HAS_PUBLIC_KEY, .allowed_ips_count = 1},
                              .prefix = {.family = WYRM_FAMILY_IPV4, .cidr = 24}};
    created = inserted = 0;
    InitializeListHead(&adapter.peer_list);
    return config_set(&adapter, &request, sizeof(request), information);
}

/* Facts 1.1: "2^20 per adapter -> STATUS_TOO_MANY_NODES". */
static void test_too_many_peers(void)
{
    uint64_t information = 0;
    adapter.peer_count = (1u << 20) - 1;
    CHECK(set_one_peer(&information) == STATUS_SUCCESS && created == 1 && inserted == 1);
    CHECK(adapter.peer_count == 1u << 20 && information == sizeof(struct request));
    CHECK(set_one_peer(&information) == STATUS_TOO_MANY_NODES && created == 0 && inserted == 0);
    CHECK(adapter.peer_count == 1u << 20 && information == sizeof(struct wyrm_ioctl_interface));
    adapter.peer_count = 0;
}

static void test_no_memory(void)
{
    uint64_t information = 0;
    memory_refuse_in = 0; /* the peer */
    CHECK(set_one_peer(&information) == STATUS_INSUFFICIENT_RESOURCES);
    CHECK(adapter.peer_count == 0 && information == sizeof(struct wyrm_ioctl_interface));
    memory_refuse_in = 1; /* its prefix: the peer stays */
    CHECK(set_one_peer(&information) == STATUS_INSUFFICIENT_RESOURCES);
    CHECK(adapter.peer_count == 1 && information == offsetof(struct request, prefix));
    memory_refuse_in = -1;
    CHECK(set_one_peer(&information) == STATUS_SUCCESS && memory_live == 0);
}

int main(void)
{
    InitializeListHead(&adapter.peer_list);
    test_reply_above_4_gib();
    test_too_many_peers();
    test_no_memory();
    return check_summary();
}
