/* Opening the sockets (wsk.c, udp_socket.c) and the control data of what is sent (udp_send.c), over a Winsock
 * Kernel that the test makes up: it completes requests at once or later, refuses any of them, and has ports
 * that others took.  Traps of the bug history: ed1ccd7 a registration that fails once, e329f48 waiting for
 * the provider for ever, f932ef0 an event left over from the operation before, ed72776 the port of the
 * attempt before, 08a3e98 zero checksums, a81c92d, a58f766 and 19ab593 control data. */
#include "check.h"
#include "kernel_stub.h"

/* the code under test */
#include "udp_offload.c"
#include "udp_send.c"
#include "udp_socket.c"
#include "wsk.c"

#define REASONABLE_WAIT_MS 10000

#include "winsock_stub.h"

/* ---- the rest ---- */

VOID FASTCALL ExInitializeRundownProtection(PEX_RUNDOWN_REF rundown)
{
    rundown->Count = 0;
}

BOOLEAN FASTCALL ExAcquireRundownProtection(PEX_RUNDOWN_REF rundown)
{
    return ++rundown->Count != 0;
}

VOID FASTCALL ExReleaseRundownProtection(PEX_RUNDOWN_REF rundown)
{
    rundown->Count--;
}

VOID FASTCALL ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF rundown)
{
    CHECK(rundown->Count == 0);
}

void epoch_enter(struct epoch_guard *guard)
{
    (void)guard;
}

void epoch_leave(struct epoch_guard *guard)
{
    (void)guard;
}

static struct work *queued_work;
static struct wheel_entry *wheel_at;
static uint64_t wheel_deadline_ns;

uint64_t time_now_ns(void)
{
    return 1000;
}

void work_initialize(struct work *work, void (*run)(struct work *work))
{
    work->run = run;
}

bool work_queue(enum work_class class, struct work *work)
{
    (void)class;
    queued_work = work;
    return true;
}

void work_drain(struct work *work)
{
    (void)work;
}

void wheel_entry_initialize(struct wheel_entry *entry, void (*expired)(struct wheel_entry *entry))
{
    entry->expired = expired;
}

void wheel_set(struct adapter *of, struct wheel_entry *entry, uint64_t deadline_ns)
{
    (void)of;
    wheel_at = entry;
    wheel_deadline_ns = deadline_ns;
}

void epoch_synchronize(void)
{
}

void drop_count(struct adapter *adapter, enum drop_reason reason, uint32_t n)
{
    (void)adapter, (void)reason, (void)n;
}

void log_line_limited(struct adapter *adapter, enum log_level level, const char *format, ...)
{
    (void)adapter, (void)level, (void)format;
}

NTSTATUS receive_datagrams(struct adapter *adapter, WSK_DATAGRAM_INDICATION *chain, struct udp_socket *socket)
{
    (void)adapter, (void)chain, (void)socket;
    return STATUS_SUCCESS;
}

struct tx_batch *tx_batch_allocate(struct adapter *adapter, uint32_t packets, uint32_t plaintext)
{
    (void)adapter, (void)packets, (void)plaintext;
    return NULL;
}

WSK_BUF_LIST *tx_batch_link(struct tx_batch *batch, uint32_t segment, bool *merged)
{
    (void)batch, (void)segment, (void)merged;
    return NULL;
}

void tx_batch_retire(struct tx_batch *batch)
{
    (void)batch;
}

/* ---- tests ---- */

static struct adapter adapter;

static void world_reset(void)
{
    provider_has4 = provider_has6 = true;
    inline_pattern = 0;
    refuse = false;
    operation = socket_count = option_count = asked4 = 0;
    conflicts6 = taken_port = 0;
    next_port = 40000;
}

static uint32_t live_of(ADDRESS_FAMILY family)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < socket_count; i++)
        count += sockets[i].open && sockets[i].family == family;
    return count;
}

static void test_registration(void)
{
    wsk_initialize();
    register_failures = 1;
    CHECK(wsk_ensure_registered() == STATUS_INSUFFICIENT_RESOURCES && registered == 0);
    capture_failures = 2;
    tdi_refused = true; /* a hint only */
    CHECK(wsk_ensure_registered() == STATUS_NOT_SUPPORTED && registered == 1 && captured == 0);
    CHECK(capture_wait_ms != WSK_INFINITE_WAIT && capture_wait_ms <= REASONABLE_WAIT_MS);
    wsk_deregister(); /* also half-way there */
    CHECK(registered == 0);
    CHECK(wsk_ensure_registered() == STATUS_NOT_SUPPORTED);
    CHECK(wsk_ensure_registered() == STATUS_SUCCESS && registered == 1 && captured == 1);
    CHECK(wsk_ensure_registered() == STATUS_SUCCESS && registered == 1 && captured == 1);
}

static bool option_was_set(ADDRESS_FAMILY family, ULONG level, ULONG option)
{
    for (uint32_t i = 0; i < option_count; i++)
        if (options[i].family == family && options[i].level == level && options[i].option == option &&
            options[i].value)
            return true;
    return false;
}

static void test_open(void)
{
    uint16_t port;
    for (uint32_t pattern = 0; pattern < 64; pattern++) { /* inline and late, mixed in every way */
        world_reset();
        inline_pattern = pattern * 0x9E3779B1u;
        if (pattern < 2)
            inline_pattern = 0 - pattern;
        CHECK(udp_sockets_open(&adapter, 51820, &port) == STATUS_SUCCESS && port == 51820);
        CHECK(live_of(AF_INET) == 1 && live_of(AF_INET6) == 1);
        CHECK(option_was_set(AF_INET, IPPROTO_IP_LEVEL, IP_PKTINFO));
        CHECK(option_was_set(AF_INET6, IPPROTO_IPV6, IPV6_V6ONLY) &&
              option_was_set(AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO));
        for (uint32_t i = 0; i < option_count; i++) /* 08a3e98: UDP_NOCHECKSUM is 1 at this level */
            CHECK(!(options[i].level == IPPROTO_UDP && options[i].option == 1 && options[i].value));
        /* Another port: new ones are bound before the old ones are closed. */
        CHECK(udp_sockets_open(&adapter, 51821, &port) == STATUS_SUCCESS && port == 51821);
        CHECK(live_of(AF_INET) == 1 && live_of(AF_INET6) == 1);
        /* One that is taken: told as such, and the present ones stay. */
        taken_port = 51822;
        CHECK(udp_sockets_open(&adapter, 51822, &port) == STATUS_ADDRESS_ALREADY_EXISTS);
        CHECK(live_of(AF_INET) == 1 && live_of(AF_INET6) == 1 && port_is_used(AF_INET, 51821));
        udp_sockets_close(&adapter);
        CHECK(sockets_live == 0 && irps_live == 0 && memory_live == 0 && !pending_irp);
    }
}

/* ed72776: each attempt asks for any port again, instead of the one that failed. */
static void test_any_port(void)
{
    uint16_t port = 0;
    for (uint16_t conflicts = 0; conflicts <= 3; conflicts++) {
        world_reset();
        conflicts6 = conflicts;
        CHECK(udp_sockets_open(&adapter, 0, &port) == STATUS_SUCCESS);
        CHECK(port == 40000 + conflicts && asked4 == conflicts + 1u);
        for (uint32_t i = 0; i < asked4; i++)
            CHECK(asked_ports4[i] == 0);
        CHECK(port_is_used(AF_INET, port) && port_is_used(AF_INET6, port));
        CHECK(live_of(AF_INET) == 1 && live_of(AF_INET6) == 1);
        udp_sockets_close(&adapter);
    }
    world_reset();
    conflicts6 = 60000;
    CHECK(udp_sockets_open(&adapter, 0, &port) == STATUS_ADDRESS_ALREADY_EXISTS);
    CHECK(asked4 == PORT_RETRIES + 1);
    CHECK(sockets_live == 0 && irps_live == 0 && memory_live == 0);
}

static void test_families(void)
{
    uint16_t port;
    world_reset();
    provider_has6 = false;
    CHECK(udp_sockets_open(&adapter, 0, &port) == STATUS_SUCCESS && port == 40000);
    CHECK(live_of(AF_INET) == 1 && live_of(AF_INET6) == 0);
    provider_has6 = true;
    provider_has4 = false;
    CHECK(udp_sockets_open(&adapter, 0, &port) == STATUS_SUCCESS && port != 0);
    CHECK(live_of(AF_INET) == 0 && live_of(AF_INET6) == 1);
    provider_has6 = false;
    CHECK(!NT_SUCCESS(udp_sockets_open(&adapter, 0, &port)));
    udp_sockets_close(&adapter);
    CHECK(sockets_live == 0 && irps_live == 0 && memory_live == 0);
}

/* Every request refused in turn, and every allocation. */
static void test_failures(void)
{
    uint16_t port;
    uint32_t failed = 0;
    for (uint32_t number = 0; number < 12; number++) {
        world_reset();
        refuse = true;
        refused_operation = number;
        inline_pattern = 0x5A5A5A5A;
        NTSTATUS status = udp_sockets_open(&adapter, 0, &port);
        failed += !NT_SUCCESS(status);
        CHECK_MSG(NT_SUCCESS(status) || (sockets_live == 0 && irps_live == 0 && memory_live == 0),
                  "request %u", number);
        refuse = false;
        udp_sockets_close(&adapter);
        CHECK_MSG(sockets_live == 0 && irps_live == 0 && memory_live == 0, "request %u", number);
    }
    CHECK(failed >= 7); /* two sockets, three options, two binds; the port's query */
    for (int number = 0; number < 8; number++) {
        world_reset();
        memory_refuse_in = number;
        udp_sockets_open(&adapter, 0, &port);
        memory_refuse_in = -1;
        udp_sockets_close(&adapter);
        CHECK_MSG(sockets_live == 0 && irps_live == 0 && memory_live == 0, "allocation %d", number);
    }
}

static void run_queued(void)
{
    struct work *work = queued_work;
    queued_work = NULL;
    CHECK(work);
    if (work)
        work->run(work);
}

/* The system closes the sockets under us: they are opened again, on the same port, and again if that fails.
 */
static void test_lost(void)
{
    uint16_t port = 0;
    uint64_t pause_ns = 0;
    world_reset();
    KeInitializeMutex(&adapter.config_lock, 0);
    udp_sockets_initialize(&adapter);
    CHECK(udp_sockets_open(&adapter, 51820, &port) == STATUS_SUCCESS);
    adapter.listen_port = port;
    adapter.up = true;
    receive_from_event(adapter.socket4, 0, NULL);
    run_queued();
    CHECK(live_of(AF_INET) == 1 && live_of(AF_INET6) == 1 && port_is_used(AF_INET, 51820));
    CHECK(adapter.socket4 && !adapter.socket4->dead && !wheel_at);

    receive_from_event(adapter.socket6, 0, NULL);
    taken_port = 51820;
    for (int attempt = 0; attempt < 12; attempt++) {
        run_queued();
        CHECK(wheel_at && wheel_deadline_ns - time_now_ns() >= pause_ns);
        pause_ns = wheel_deadline_ns - time_now_ns();
        CHECK(pause_ns <= 60 * NS_PER_SECOND && live_of(AF_INET) == 0 && live_of(AF_INET6) == 0);
        if (wheel_at)
            wheel_at->expired(wheel_at);
    }
    taken_port = 0;
    run_queued();
    CHECK(live_of(AF_INET) == 1 && live_of(AF_INET6) == 1);
    /* Nothing comes back after Down. */
    receive_from_event(adapter.socket4, 0, NULL);
    adapter.up = false;
    udp_sockets_close(&adapter);
    run_queued();
    CHECK(sockets_live == 0 && irps_live == 0 && memory_live == 0);
    udp_sockets_uninitialize(&adapter);
}

/* A lone PKTINFO is stripped by Windows: a second, empty header follows; the length counts the padding of
 * both. */
static void check_control(ADDRESS_FAMILY family, SIZE_T info_bytes, INT level, INT first_type,
                          INT second_type)
{
    union send_control control;
    struct endpoint endpoint = {.local_ifindex = 7};
    memset(&control, 0xEE, sizeof(control));
    endpoint.remote.si_family = endpoint.local.si_family = family;
    ULONG length = make_control(&control, &endpoint, 0);
    CHECK(length == WSA_CMSG_SPACE(info_bytes) + WSA_CMSG_SPACE(0));
    CMSGHDR *header = WSA_CMSG_FIRSTHDR(&control, (SIZE_T)length);
    CHECK(header && header->cmsg_level == level && header->cmsg_type == first_type);
    CHECK(header && header->cmsg_len == WSA_CMSG_LEN(info_bytes));
    header = header ? WSA_CMSG_NXTHDR(&control, (SIZE_T)length, header) : NULL;
    CHECK(header && header->cmsg_level == level && header->cmsg_type == second_type);
    CHECK(header && header->cmsg_len == WSA_CMSG_LEN(0));
    CHECK(header && !WSA_CMSG_NXTHDR(&control, (SIZE_T)length, header));
    endpoint.local_ifindex = 0;
    CHECK(make_control(&control, &endpoint, 0) == 0);
}

int main(void)
{
    world_reset();
    test_registration();
    test_open();
    test_any_port();
    test_families();
    test_failures();
    test_lost();
    check_control(AF_INET, sizeof(IN_PKTINFO), IPPROTO_IP_LEVEL, IP_PKTINFO, IP_OPTIONS);
    check_control(AF_INET6, sizeof(IN6_PKTINFO), IPPROTO_IPV6, IPV6_PKTINFO, IPV6_RTHDR);
    wsk_deregister();
    CHECK(registered == 0 && captured == 0);
    return check_summary();
}
