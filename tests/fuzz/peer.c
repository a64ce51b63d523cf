/* The peers of a fuzzed driver (white paper 5.4). What the driver sends them is opened at once: a message
 * with a wrong mac1, tag or counter is the driver's mistake and ends the run. */
#include "peer.h"

#include "crypto/blake2s.h"
#include "crypto/chacha20poly1305.h"
#include "crypto/x25519.h"
#include "crypto/xchacha20poly1305.h"
#include "sched/sched.h"
#include "sched/sim.h"

#include <wyrm/control.h>

#include <stdlib.h>

#define MESSAGE_MAX 2048u

struct noise {
    uint8_t c[32], h[32];
};

struct peer {
    uint8_t private_key[32], public_key[32], preshared_key[32];
    struct sim_endpoint *endpoint, *endpoint_v6;
    /* as initiator */
    struct noise initiator;
    uint8_t ephemeral[32];
    uint32_t local_index;
    /* as responder: the driver's last initiation */
    bool asked;
    struct noise responder;
    uint8_t driver_ephemeral[32];
    uint32_t driver_index;
    /* the driver's last message of a handshake: what a cookie reply answers */
    uint8_t last_mac1[16];
    uint32_t last_index;
    uint8_t cookie[16];
    bool has_cookie;
    uint8_t heard[MESSAGE_MAX], said[MESSAGE_MAX];
    size_t heard_length, said_length;
    struct peer_session session;
};

static struct peer peers[PEERS];
static uint8_t driver_private[32], driver_public[32];
static uint64_t timestamp, opened;
static uint32_t next_index;
static bool deaf;

static const uint8_t low_order[3][32] = {{0}, {1}, {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}};

/* ---- Noise ---- */

static void mix_hash(struct noise *noise, const void *data, size_t length)
{
    struct blake2s_state state;
    blake2s_init(&state, 32);
    blake2s_update(&state, noise->h, 32);
    blake2s_update(&state, data, length);
    blake2s_final(&state, noise->h);
}

static void begin(struct noise *noise, const uint8_t responder[32])
{
    static const char name[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
    static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
    blake2s(noise->c, 32, name, sizeof name - 1, NULL, 0);
    memcpy(noise->h, noise->c, 32);
    mix_hash(noise, identifier, sizeof identifier - 1);
    mix_hash(noise, responder, 32);
}

static void mix_ephemeral(struct noise *noise, const uint8_t public_key[32])
{
    mix_hash(noise, public_key, 32);
    hkdf_blake2s(noise->c, NULL, NULL, noise->c, public_key, 32);
}

static void mix_dh(struct noise *noise, uint8_t *key, const uint8_t private_key[32],
                   const uint8_t public_key[32])
{
    uint8_t secret[32];
    x25519(secret, private_key, public_key);
    hkdf_blake2s(noise->c, key, NULL, noise->c, secret, 32);
}

static void seal(struct noise *noise, uint8_t *to, const uint8_t *from, size_t length, const uint8_t key[32])
{
    static const uint8_t nonce[12];
    chacha20poly1305_seal(to, from, length, noise->h, 32, nonce, key);
    mix_hash(noise, to, length + 16);
}

static bool open_sealed(struct noise *noise, uint8_t *to, const uint8_t *from, size_t length,
                        const uint8_t key[32])
{
    static const uint8_t nonce[12];
    bool good = chacha20poly1305_open(to, from, length, noise->h, 32, nonce, key);
    mix_hash(noise, from, length);
    return good;
}

static void label_key(uint8_t key[32], const char *label, const uint8_t public_key[32])
{
    struct blake2s_state state;
    blake2s_init(&state, 32);
    blake2s_update(&state, label, 8);
    blake2s_update(&state, public_key, 32);
    blake2s_final(&state, key);
}

/* ---- sending ---- */

static void transmit(struct peer *peer, const uint8_t *message, size_t length, bool ipv6)
{
    struct sim_address to = machine_address(ipv6, 1, MACHINE_PORT);
    memcpy(peer->said, message, length);
    peer->said_length = length;
    sim_endpoint_send(ipv6 ? peer->endpoint_v6 : peer->endpoint, &to, message, (uint32_t)length);
}

enum {
    DAMAGE_BEFORE_MACS = 1,
    DAMAGE_AFTER_MACS = 2,
    OTHER_LENGTH = 4,
    TWICE = 8,
    OVER_IPV6 = 16,
    WITH_MAC2 = 32
};

static void damage(struct input *input, uint8_t *message, size_t length)
{
    message[input_u8(input) % length] ^= (uint8_t)(input_u8(input) | 1u);
}

/* The message's last 32 bytes are its MACs. */
static void finish(struct input *input, struct peer *peer, uint8_t *message, size_t length, uint8_t flags)
{
    uint8_t key[32];
    if (flags & DAMAGE_BEFORE_MACS)
        damage(input, message, length - 32);
    label_key(key, "mac1----", driver_public);
    blake2s(message + length - 32, 16, message, length - 32, key, 32);
    if (flags & WITH_MAC2 && peer->has_cookie)
        blake2s(message + length - 16, 16, message, length - 16, peer->cookie, 16);
    if (flags & DAMAGE_AFTER_MACS)
        damage(input, message, length);
    if (flags & OTHER_LENGTH)
        length = input_u8(input);
    transmit(peer, message, length, flags & OVER_IPV6);
    if (flags & TWICE)
        transmit(peer, message, length, flags & OVER_IPV6);
}

static void make_ephemeral(uint8_t private_key[32])
{
    uint64_t parts[4];
    for (unsigned i = 0; i < 4; i++)
        parts[i] = sim_random_next(SIM_STREAM_SCENARIO);
    memcpy(private_key, parts, 32);
}

enum {
    RAW_TIMESTAMP = 1,
    LOW_ORDER = 2,
    RAW_INDEX = 4,
    OTHER_STATIC = 8,
    RAW_EPHEMERAL = 16,
    WRONG_PSK = 32
};

void peer_send_initiation(struct input *input, unsigned number)
{
    struct peer *peer = &peers[number];
    uint8_t content = input_u8(input), flags = input_u8(input);
    uint8_t message[256] = {1}, public_key[32], key[32], time[12];
    struct noise *noise = &peer->initiator;
    begin(noise, driver_public);
    peer->local_index = content & RAW_INDEX ? (uint32_t)input_u64(input) : ++next_index;
    memcpy(message + 4, &peer->local_index, 4);
    if (content & RAW_EPHEMERAL)
        input_copy(input, peer->ephemeral, 32);
    else
        make_ephemeral(peer->ephemeral);
    x25519_base(public_key, peer->ephemeral);
    if (content & LOW_ORDER)
        memcpy(public_key, low_order[input_u8(input) % 3], 32);
    memcpy(message + 8, public_key, 32);
    mix_ephemeral(noise, public_key);
    mix_dh(noise, key, content & LOW_ORDER ? driver_private : peer->ephemeral,
           content & LOW_ORDER ? public_key : driver_public);
    const uint8_t *sealed = peer->public_key;
    if (content & OTHER_STATIC)
        sealed = input_u8(input) & 1 ? driver_public : low_order[input_u8(input) % 3];
    seal(noise, message + 40, sealed, 32, key);
    mix_dh(noise, key, peer->private_key, driver_public);
    if (content & RAW_TIMESTAMP) {
        input_copy(input, time, 12);
    } else {
        uint64_t big = __builtin_bswap64(0x4000000000000000ull + ++timestamp);
        memcpy(time, &big, 8);
        memset(time + 8, 0, 4);
    }
    seal(noise, message + 88, time, 12, key);
    finish(input, peer, message, 148, flags);
}

void peer_send_response(struct input *input, unsigned number)
{
    struct peer *peer = &peers[number];
    uint8_t content = input_u8(input), flags = input_u8(input);
    uint8_t message[256] = {2}, private_key[32], public_key[32], key[32], tau[32], preshared_key[32];
    struct noise noise = peer->responder;
    uint32_t receiver = peer->driver_index, sender = ++next_index;
    if (content & RAW_INDEX)
        receiver = (uint32_t)input_u64(input);
    memcpy(message + 4, &sender, 4);
    memcpy(message + 8, &receiver, 4);
    make_ephemeral(private_key);
    if (content & RAW_EPHEMERAL)
        input_copy(input, private_key, 32);
    x25519_base(public_key, private_key);
    if (content & LOW_ORDER)
        memcpy(public_key, low_order[input_u8(input) % 3], 32);
    memcpy(message + 12, public_key, 32);
    mix_ephemeral(&noise, public_key);
    mix_dh(&noise, NULL, private_key, peer->driver_ephemeral);
    mix_dh(&noise, NULL, private_key, driver_public);
    memcpy(preshared_key, peer->preshared_key, 32);
    preshared_key[0] ^= content & WRONG_PSK ? 1 : 0;
    hkdf_blake2s(noise.c, tau, key, noise.c, preshared_key, 32);
    mix_hash(&noise, tau, 32);
    seal(&noise, message + 44, NULL, 0, key);
    bool exact = (content & ~(uint8_t)(OTHER_STATIC | RAW_TIMESTAMP | RAW_EPHEMERAL)) == 0 &&
                 (flags & ~(uint8_t)(TWICE | OVER_IPV6)) == 0 && peer->asked;
    finish(input, peer, message, 92, flags);
    if (exact) {
        peer->session = (struct peer_session){.valid = true, .local_index = sender, .remote_index = receiver};
        hkdf_blake2s(peer->session.receive_key, peer->session.send_key, NULL, noise.c, NULL, 0);
        peer->asked = false;
    }
}

void peer_send_cookie_reply(struct input *input, unsigned number)
{
    struct peer *peer = &peers[number];
    uint8_t content = input_u8(input), flags = input_u8(input);
    uint8_t message[64] = {3}, key[32], cookie[16];
    uint32_t receiver = content & RAW_INDEX ? (uint32_t)input_u64(input) : peer->last_index;
    memcpy(message + 4, &receiver, 4);
    input_copy(input, message + 8, 24);
    input_copy(input, cookie, 16);
    label_key(key, "cookie--", peer->public_key);
    key[0] ^= content & WRONG_PSK ? 1 : 0;
    xchacha20poly1305_seal(message + 32, cookie, 16, peer->last_mac1, 16, message + 8, key);
    if (flags & DAMAGE_AFTER_MACS)
        damage(input, message, sizeof message);
    transmit(peer, message, flags & OTHER_LENGTH ? input_u8(input) % sizeof message : sizeof message, false);
}

void peer_send_raw(struct input *input, unsigned number)
{
    uint8_t message[MESSAGE_MAX] = {0};
    size_t length = input_u16(input) % (MESSAGE_MAX - 4), got;
    const uint8_t *bytes = input_bytes(input, length, &got);
    memcpy(message, bytes, got);
    transmit(&peers[number], message, length, false);
}

void peer_send_again(struct input *input, unsigned number, bool reflect)
{
    struct peer *peer = &peers[number];
    uint8_t message[MESSAGE_MAX], flags = input_u8(input);
    size_t length = reflect ? peer->heard_length : peer->said_length;
    if (!length)
        return;
    memcpy(message, reflect ? peer->heard : peer->said, length);
    if (flags & DAMAGE_AFTER_MACS)
        damage(input, message, length);
    transmit(peer, message, length, flags & OVER_IPV6);
}

bool peer_send_data(unsigned number, const uint8_t *inner, size_t length, uint64_t counter,
                    uint32_t index_delta, struct input *damage_input)
{
    struct peer *peer = &peers[number];
    struct peer_session *session = &peer->session;
    uint8_t message[MESSAGE_MAX] = {4}, nonce[12] = {0};
    uint32_t index = session->remote_index + index_delta;
    if (!session->valid || length > MESSAGE_MAX - 32)
        return false;
    memcpy(message + 4, &index, 4);
    memcpy(message + 8, &counter, 8);
    memcpy(nonce + 4, &counter, 8);
    chacha20poly1305_seal(message + 16, inner, length, NULL, 0, nonce, session->send_key);
    if (damage_input)
        damage(damage_input, message, length + 32);
    transmit(peer, message, length + 32, false);
    return true;
}

/* ---- receiving: what the driver sends has to be right ---- */

static void check_mac1(const struct peer *peer, const uint8_t *message, uint32_t length)
{
    uint8_t key[32], mac1[16];
    label_key(key, "mac1----", peer->public_key);
    blake2s(mac1, 16, message, length - 32, key, 32);
    if (memcmp(mac1, message + length - 32, 16) != 0)
        machine_wrong("the driver sent a message of type %u with a wrong mac1", message[0]);
}

static void hear_initiation(struct peer *peer, const uint8_t *message)
{
    uint8_t key[32], public_key[32], time[12];
    struct noise *noise = &peer->responder;
    begin(noise, peer->public_key);
    memcpy(peer->driver_ephemeral, message + 8, 32);
    mix_ephemeral(noise, message + 8);
    mix_dh(noise, key, peer->private_key, message + 8);
    if (!open_sealed(noise, public_key, message + 40, 48, key) || memcmp(public_key, driver_public, 32) != 0)
        machine_wrong("the driver's initiation does not carry its key");
    mix_dh(noise, key, peer->private_key, driver_public);
    if (!open_sealed(noise, time, message + 88, 28, key))
        machine_wrong("the driver's initiation has a wrong timestamp tag");
    memcpy(&peer->driver_index, message + 4, 4);
    peer->asked = true;
}

/* A response to an initiation that the input has damaged, or to an earlier one, does not fit. */
static void hear_response(struct peer *peer, const uint8_t *message)
{
    uint8_t key[32], tau[32], nothing[16];
    struct noise noise = peer->initiator;
    uint32_t receiver;
    memcpy(&receiver, message + 8, 4);
    if (receiver != peer->local_index)
        return;
    mix_ephemeral(&noise, message + 12);
    mix_dh(&noise, NULL, peer->ephemeral, message + 12);
    mix_dh(&noise, NULL, peer->private_key, message + 12);
    hkdf_blake2s(noise.c, tau, key, noise.c, peer->preshared_key, 32);
    mix_hash(&noise, tau, 32);
    if (!open_sealed(&noise, nothing, message + 44, 16, key))
        return;
    peer->session = (struct peer_session){.valid = true, .local_index = receiver};
    memcpy(&peer->session.remote_index, message + 4, 4);
    hkdf_blake2s(peer->session.send_key, peer->session.receive_key, NULL, noise.c, NULL, 0);
}

static void hear_cookie(struct peer *peer, const uint8_t *message)
{
    uint8_t key[32];
    label_key(key, "cookie--", driver_public);
    if (peer->said_length >= 92 &&
        xchacha20poly1305_open(peer->cookie, message + 32, 32, peer->said + peer->said_length - 32, 16,
                               message + 8, key))
        peer->has_cookie = true;
}

static void hear_data(struct peer *peer, const uint8_t *message, uint32_t length)
{
    uint8_t nonce[12] = {0}, inner[MESSAGE_MAX];
    struct peer_session *session = &peer->session;
    uint32_t receiver;
    uint64_t counter;
    memcpy(&receiver, message + 4, 4);
    memcpy(&counter, message + 8, 8);
    if (!session->valid || receiver != session->local_index || length > MESSAGE_MAX)
        return;
    memcpy(nonce + 4, &counter, 8);
    if (!chacha20poly1305_open(inner, message + 16, length - 16, NULL, 0, nonce, session->receive_key))
        machine_wrong("the driver's data message %llu does not open", (unsigned long long)counter);
    if (counter < session->received_next)
        machine_wrong("the driver used counter %llu after %llu", (unsigned long long)counter,
                      (unsigned long long)session->received_next - 1);
    session->received_next = counter + 1;
    if (length > 32 && inner[0] >> 4 != 4 && inner[0] >> 4 != 6)
        machine_wrong("the driver sent something that is no IP packet");
    opened++;
}

static void hear(void *context, struct sim_endpoint *endpoint, const struct sim_address *from,
                 const uint8_t *data, uint32_t length)
{
    struct peer *peer = context;
    bool handshake = (length == 148 && data[0] == 1) || (length == 92 && data[0] == 2);
    if (length <= MESSAGE_MAX) {
        memcpy(peer->heard, data, length);
        peer->heard_length = length;
    }
    if (deaf)
        return;
    if (handshake) {
        check_mac1(peer, data, length);
        memcpy(peer->last_mac1, data + length - 32, 16);
        memcpy(&peer->last_index, data + 4, 4);
    }
    if (length == 148 && data[0] == 1)
        hear_initiation(peer, data);
    else if (length == 92 && data[0] == 2)
        hear_response(peer, data);
    else if (length == 64 && data[0] == 3)
        hear_cookie(peer, data);
    else if (length >= 32 && data[0] == 4)
        hear_data(peer, data, length);
    else
        machine_wrong("the driver sent %u bytes of type %u, which is no message", length,
                      length ? data[0] : 0);
}

/* ---- life ---- */

void peers_deaf(void)
{
    deaf = true;
}

void peers_start(void)
{
    memset(driver_private, 0x11, 32);
    x25519_clamp(driver_private);
    x25519_base(driver_public, driver_private);
    for (unsigned i = 0; i < PEERS; i++) {
        struct sim_address v4 = machine_address(false, (uint8_t)(10 + i), 1000);
        struct sim_address v6 = machine_address(true, (uint8_t)(10 + i), 1000);
        memset(peers[i].private_key, 0x21 + (int)i, 32);
        x25519_clamp(peers[i].private_key);
        x25519_base(peers[i].public_key, peers[i].private_key);
        memset(peers[i].preshared_key, i == 1 ? 0x55 : 0, 32);
        peers[i].endpoint = sim_endpoint_open(&v4, hear, &peers[i]);
        peers[i].endpoint_v6 = sim_endpoint_open(&v6, hear, &peers[i]);
        if (!peers[i].endpoint || !peers[i].endpoint_v6)
            machine_wrong("no endpoint for peer %u", i);
    }
}

void peers_reset(void)
{
    struct {
        struct wyrm_ioctl_interface interface;
        struct {
            struct wyrm_ioctl_peer peer;
            struct wyrm_ioctl_allowed_ip ips[2];
        } peers[2];
    } config = {.interface = {.flags = WYRM_INTERFACE_HAS_PRIVATE_KEY | WYRM_INTERFACE_HAS_LISTEN_PORT |
                                       WYRM_INTERFACE_REPLACE_PEERS,
                              .listen_port = MACHINE_PORT,
                              .peers_count = 2}};
    memcpy(config.interface.private_key, driver_private, 32);
    for (unsigned i = 0; i < 2; i++) {
        struct wyrm_ioctl_peer *peer = &config.peers[i].peer;
        struct sim_address address = machine_address(i == 1, (uint8_t)(10 + i), 1000);
        peer->flags = WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_HAS_PRESHARED_KEY | WYRM_PEER_HAS_ENDPOINT;
        memcpy(peer->public_key, peers[i].public_key, 32);
        memcpy(peer->preshared_key, peers[i].preshared_key, 32);
        peer->endpoint.family = i == 1 ? WYRM_FAMILY_IPV6 : WYRM_FAMILY_IPV4;
        peer->endpoint.port = address.port;
        memcpy(i == 1 ? peer->endpoint.u.ipv6.address : peer->endpoint.u.ipv4.address, address.bytes,
               i == 1 ? 16 : 4);
        peer->allowed_ips_count = 2;
        config.peers[i].ips[0] = (struct wyrm_ioctl_allowed_ip){
            .address = {10, 0, (uint8_t)i}, .family = WYRM_FAMILY_IPV4, .cidr = 24};
        config.peers[i].ips[1] = (struct wyrm_ioctl_allowed_ip){
            .address = {0xfd, 0, 0, (uint8_t)i}, .family = WYRM_FAMILY_IPV6, .cidr = 64};
    }
    if (machine_control(WYRM_IOCTL_SET, NULL, 0, &config, sizeof config, NULL) < 0)
        machine_wrong("the configuration was refused");
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i].asked = peers[i].has_cookie = peers[i].session.valid = false;
        peers[i].heard_length = peers[i].said_length = 0;
    }
}

void peer_connect(unsigned number)
{
    static const uint8_t none[2];
    struct input exact = {none, none + sizeof none};
    peer_send_initiation(&exact, number);
    machine_sleep_ns(2000000);
    if (!peers[number].session.valid)
        machine_wrong("the driver does not answer an initiation");
    peer_send_data(number, NULL, 0, peers[number].session.send_counter++, 0, NULL);
    machine_sleep_ns(100000);
}

void peer_public_key(unsigned number, uint8_t key[32])
{
    memcpy(key, number < PEERS ? peers[number].public_key : driver_public, 32);
}

struct peer_session *peer_session(unsigned number)
{
    return &peers[number].session;
}

uint64_t peer_packets_opened(void)
{
    return opened;
}
