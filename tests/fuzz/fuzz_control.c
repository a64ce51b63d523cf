/* The control interface: sequences of SET, GET, STATE, LOG and unknown codes with buffers of any content and
 * length, while another thread of the caller changes the buffer between any two of the driver's accesses to
 * it. */
#include "target.h"
#include "user_memory.h"

#include "host.h"
#include "io/file.h"
#include "sched/sched.h"

#include <wyrm/control.h>

#define CALLS_MAX 16u
#define OUT_MAX   8192u

/* Keys that mean something to the driver: its own, its peers', none, low-order ones, and from the input. */
static void put_key(struct input *input, uint8_t choice, uint8_t key[32])
{
    switch (choice & 7) {
    case 0:
    case 1:
    case 2:
    case 3:
        peer_public_key(choice & 3, key);
        break;
    case 4:
        memset(key, 0, 32);
        break;
    case 5:
        memset(key, 0, 32);
        key[0] = 1;
        break;
    default:
        memset(key, (choice >> 3) + 1, 32);
        key[0] = input_u8(input);
        break;
    }
}

static size_t put_allowed_ip(struct input *input, uint8_t *at)
{
    struct wyrm_ioctl_allowed_ip ip = {.family = WYRM_FAMILY_IPV4};
    uint8_t choice = input_u8(input);
    if (choice & 1)
        ip.family = WYRM_FAMILY_IPV6;
    if (choice & 128)
        ip.family = input_u16(input);
    ip.cidr = choice & 2 ? 32 : input_u8(input);
    ip.flags = choice & 4 ? WYRM_ALLOWED_IP_REMOVE : 0;
    if (choice & 64)
        ip.flags = (uint32_t)input_u64(input);
    input_copy(input, ip.address, choice & 1 ? 4 : 2);
    memcpy(at, &ip, sizeof ip);
    return sizeof ip;
}

static size_t put_peer(struct input *input, uint8_t *at, size_t room)
{
    struct wyrm_ioctl_peer peer = {.flags = input_u8(input)};
    uint8_t choice = input_u8(input), ips = input_u8(input);
    size_t length = sizeof peer;
    put_key(input, choice, peer.public_key);
    if (choice & 64)
        peer.flags |= WYRM_PEER_HAS_PUBLIC_KEY;
    memset(peer.preshared_key, ips, 32);
    peer.persistent_keepalive = ips;
    peer.endpoint.family = choice & 32 ? WYRM_FAMILY_IPV6 : WYRM_FAMILY_IPV4;
    if (choice & 128) {
        input_copy(input, &peer.endpoint, sizeof peer.endpoint);
        peer.protocol_version = input_u8(input);
    } else {
        struct sim_address address = machine_address(choice & 32, 10, 1000);
        peer.endpoint.port = address.port;
        memcpy(choice & 32 ? peer.endpoint.u.ipv6.address : peer.endpoint.u.ipv4.address, address.bytes,
               choice & 32 ? 16 : 4);
    }
    unsigned count = ips & 7;
    peer.allowed_ips_count = ips & 128 ? (uint32_t)input_u64(input) : count;
    for (unsigned i = 0; i < count && length + sizeof(struct wyrm_ioctl_allowed_ip) <= room; i++)
        length += put_allowed_ip(input, at + length);
    memcpy(at, &peer, sizeof peer);
    return length;
}

/* A configuration that is right but for what the input says. */
static size_t put_configuration(struct input *input, uint8_t *at, size_t room)
{
    struct wyrm_ioctl_interface interface = {.flags = input_u8(input)};
    uint8_t choice = input_u8(input);
    size_t length = sizeof interface;
    unsigned count = choice & 7;
    put_key(input, choice >> 3, interface.private_key);
    interface.listen_port = choice & 64 ? input_u16(input) : MACHINE_PORT;
    interface.peers_count = choice & 128 ? (uint32_t)input_u64(input) : count;
    for (unsigned i = 0; i < count && length + 512 <= room; i++)
        length += put_peer(input, at + length, room - length);
    memcpy(at, &interface, sizeof interface);
    return length;
}

struct pending {
    bool done;
};

static void on_done(void *context, int32_t status, uint64_t information)
{
    struct pending *pending = context;
    pending->done = true;
}

/* LOG waits for a line: asked for, and taken back at some time. */
static void read_log(struct input *input, struct io_file *file)
{
    static uint8_t entry[256];
    struct pending pending = {0};
    uint8_t choice = input_u8(input);
    struct io_request *request =
        io_file_control_async(file, WYRM_IOCTL_LOG, NULL, 0, entry,
                              choice & 1 ? choice : sizeof(struct wyrm_ioctl_log_entry), on_done, &pending);
    if (!request)
        return;
    machine_sleep_ns((uint64_t)(choice >> 1) * 10000u);
    io_request_cancel(request);
    for (unsigned i = 0; i < 100 && !pending.done; i++)
        machine_sleep_ns(100000);
    if (!pending.done)
        machine_wrong("a LOG request does not come back after it was cancelled");
    io_request_release(request);
}

static void one_call(struct input *input, struct io_file *file, struct input *changes)
{
    static uint8_t built[OUT_MAX];
    uint8_t choice = input_u8(input);
    uint64_t information = 0;
    size_t length = 0, got;
    uint32_t code = WYRM_IOCTL_SET;
    memset(built, 0, sizeof built);
    switch (choice & 7) {
    case 0:
    case 1:
    case 2:
        length = put_configuration(input, built, sizeof built);
        break;
    case 3: {
        length = input_u16(input) % OUT_MAX;
        const uint8_t *bytes = input_bytes(input, length, &got);
        memcpy(built, bytes, got);
        break;
    }
    case 4:
        code = WYRM_IOCTL_GET;
        length = input_u16(input) % OUT_MAX;
        break;
    case 5: {
        uint32_t verb = input_u8(input);
        uint8_t answer[8];
        if (verb & 128)
            verb = (uint32_t)input_u64(input);
        io_file_control(file, WYRM_IOCTL_STATE, &verb, choice & 8 ? choice >> 5 : 4, answer,
                        choice & 16 ? 4 : 0, &information);
        return;
    }
    case 6:
        read_log(input, file);
        return;
    case 7:
        code = WYRM_IOCTL_CODE(317u + (choice >> 5), choice >> 3 & 3); /* neighbours and other methods */
        if (code == WYRM_IOCTL_LOG) {
            read_log(input, file); /* it may wait for ever */
            return;
        }
        length = input_u8(input);
        break;
    }
    if (choice & 8) /* cut off, or longer than what it says */
        length = input_u16(input) % OUT_MAX;
    uint8_t *user = user_memory_get(length);
    memcpy(user, built, length);
    if (choice & 16 && length)
        user[input_u16(input) % length] ^= input_u8(input);
    if (choice & 32)
        user_memory_watch(changes);
    int32_t status =
        io_file_control(file, code, NULL, 0, length ? user : NULL, (uint32_t)length, &information);
    if (choice & 32)
        user_memory_unwatch();
    if (status >= 0 && information > length)
        machine_wrong("%llu bytes of a buffer of %zu were used", (unsigned long long)information, length);
}

/* Whatever the configuration became: it can be read, and its parts fit together. */
static void check_get(void)
{
    static uint8_t all[1u << 17];
    uint64_t length = 0;
    struct wyrm_ioctl_interface interface;
    int32_t status = machine_control(WYRM_IOCTL_GET, NULL, 0, all, sizeof all, &length);
    size_t at = sizeof interface;
    if (status != 0 || length < at)
        machine_wrong("GET says 0x%08X, %llu bytes", (unsigned)status, (unsigned long long)length);
    memcpy(&interface, all, sizeof interface);
    for (uint32_t i = 0; i < interface.peers_count; i++) {
        struct wyrm_ioctl_peer peer;
        if (at + sizeof peer > length)
            machine_wrong("GET ends in a peer");
        memcpy(&peer, all + at, sizeof peer);
        at += sizeof peer;
        for (uint32_t k = 0; k < peer.allowed_ips_count; k++, at += sizeof(struct wyrm_ioctl_allowed_ip)) {
            struct wyrm_ioctl_allowed_ip ip;
            if (at + sizeof ip > length)
                machine_wrong("GET ends in an allowed IP");
            memcpy(&ip, all + at, sizeof ip);
            if (ip.cidr > (ip.family == WYRM_FAMILY_IPV4   ? 32
                           : ip.family == WYRM_FAMILY_IPV6 ? 128
                                                           : 0) ||
                ip.flags)
                machine_wrong("GET shows an allowed IP of family %u, length %u, flags %u", ip.family, ip.cidr,
                              ip.flags);
        }
    }
    if (at != length)
        machine_wrong("GET wrote %llu bytes, its content has %zu", (unsigned long long)length, at);
}

void target_start(void)
{
    user_memory_start();
    peers_deaf();
}

void target_run(struct input *input)
{
    struct io_file *file;
    /* The last third says how the memory changes. */
    size_t size = (size_t)(input->end - input->at);
    struct input changes = {input->end - size / 3, input->end};
    input->end = changes.at;
    if (io_file_open(ndis_adapter_device(machine_adapter()), &io_token_system, &file) < 0)
        machine_wrong("the device cannot be opened");
    for (unsigned call = 0; call < CALLS_MAX && input_more(input); call++) {
        one_call(input, file, &changes);
        check_get();
    }
    io_file_close(file);
}
