/* The userspace protocol's translation: valid and invalid lines, the bytes of the SET buffer, the text of
 * get, the key codec, and random mutations under the sanitisers. */
#include "check.h"

#include "key_codec.h"
#include "wg_protocol.h"

#include <wyrm/control.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

#define KEY_A "0101010101010101010101010101010101010101010101010101010101010101"
#define KEY_B "abcdefABCDEF00112233445566778899abcdefABCDEF00112233445566778899"
#define ZERO  "0000000000000000000000000000000000000000000000000000000000000000"

/* Feeds lines separated by '\n'. 0 or the first errno. */
static int feed(struct wg_set *set, const char *text, size_t length)
{
    int error = 0;
    for (size_t at = 0; at < length && !error;) {
        const char *newline = memchr(text + at, '\n', length - at);
        size_t line = newline ? (size_t)(newline - text) - at : length - at;
        error = wg_set_line(set, text + at, line);
        at += line + 1;
    }
    return error ? error : wg_set_finish(set);
}

static int try_set(const char *text)
{
    struct wg_set set = {0};
    int error = feed(&set, text, strlen(text));
    wg_set_free(&set);
    return error;
}

static void test_refusals(void)
{
    static const char *const bad[] = {
        "private_key=",
        "private_key=01",
        "private_key=" KEY_A "00",
        "private_key=g101010101010101010101010101010101010101010101010101010101010101",
        "private_key",
        "=",
        "x",
        "unknown=1",
        "listen_port=",
        "listen_port=65536",
        "listen_port=-1",
        "listen_port=+1",
        "listen_port= 1",
        "listen_port=1 ",
        "listen_port=0x10",
        "listen_port=99999999999999999999999999",
        "fwmark=4294967296",
        "fwmark=0x1",
        "fwmark=off",
        "replace_peers=false",
        "replace_peers=TRUE",
        "replace_peers=1",
        "public_key=",
        "public_key=zz",
        "preshared_key=" KEY_A,     /* no peer yet */
        "endpoint=1.2.3.4:5",       /* no peer yet */
        "allowed_ip=10.0.0.0/8",    /* no peer yet */
        "remove=true",              /* no peer yet */
        "replace_allowed_ips=true", /* no peer yet */
        "public_key=" KEY_A "\nprivate_key=" KEY_A,
        "public_key=" KEY_A "\nlisten_port=1",
        "public_key=" KEY_A "\nfwmark=1",
        "public_key=" KEY_A "\nreplace_peers=true",
        "public_key=" KEY_A "\nremove=false",
        "public_key=" KEY_A "\nupdate_only=yes",
        "public_key=" KEY_A "\nreplace_allowed_ips=",
        "public_key=" KEY_A "\npreshared_key=12",
        "public_key=" KEY_A "\nendpoint=",
        "public_key=" KEY_A "\nendpoint=1.2.3.4",
        "public_key=" KEY_A "\nendpoint=1.2.3.4:",
        "public_key=" KEY_A "\nendpoint=1.2.3.4:0",
        "public_key=" KEY_A "\nendpoint=1.2.3.4:65536",
        "public_key=" KEY_A "\nendpoint=1.2.3:5",
        "public_key=" KEY_A "\nendpoint=1.2.3.4.5:5",
        "public_key=" KEY_A "\nendpoint=example.com:5",
        "public_key=" KEY_A "\nendpoint=::1:5",
        "public_key=" KEY_A "\nendpoint=[::1]",
        "public_key=" KEY_A "\nendpoint=[::1:5",
        "public_key=" KEY_A "\nendpoint=[]:5",
        "public_key=" KEY_A "\nendpoint=[:5",
        "public_key=" KEY_A "\nendpoint=]:5",
        "public_key=" KEY_A "\nendpoint=[1.2.3.4]:5",
        "public_key=" KEY_A "\nendpoint=[fe80::1%]:5",
        "public_key=" KEY_A "\nendpoint=[fe80::1%nonesuch0]:5",
        "public_key=" KEY_A "\nendpoint=[fe80::1%0]:5",
        "public_key=" KEY_A "\npersistent_keepalive_interval=65536",
        "public_key=" KEY_A "\npersistent_keepalive_interval=off",
        "public_key=" KEY_A "\npersistent_keepalive_interval=",
        "public_key=" KEY_A "\nprotocol_version=0",
        "public_key=" KEY_A "\nprotocol_version=2",
        "public_key=" KEY_A "\nallowed_ip=",
        "public_key=" KEY_A "\nallowed_ip=/",
        "public_key=" KEY_A "\nallowed_ip=10.0.0.0",
        "public_key=" KEY_A "\nallowed_ip=10.0.0.0/",
        "public_key=" KEY_A "\nallowed_ip=10.0.0.0/33",
        "public_key=" KEY_A "\nallowed_ip=10.0.0/8",
        "public_key=" KEY_A "\nallowed_ip=--10.0.0.0/8",
        "public_key=" KEY_A "\nallowed_ip=+10.0.0.0/8",
        "public_key=" KEY_A "\nallowed_ip=10.0.0.0/-8",
        "public_key=" KEY_A "\nallowed_ip=::/129",
        "public_key=" KEY_A "\nallowed_ip=::1%lo/128",
        "public_key=" KEY_A "\nallowed_ip=10.0.0.0/8,10.0.0.0/9",
        "public_key=" KEY_A "\n\nremove=true", /* an empty line is not a line */
        "public_key=" KEY_A "\nget=1",
        "set=1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(try_set(bad[i]) == EINVAL, "%s", bad[i]);
    char long_line[400];
    memset(long_line, 'a', sizeof long_line - 1);
    long_line[sizeof long_line - 1] = 0;
    CHECK(try_set(long_line) == EINVAL);
    struct wg_set set = {0};
    CHECK(wg_set_line(&set, "listen_port=1\0x", 15) == EINVAL);
    wg_set_free(&set);
}

static void test_set_bytes(void)
{
    static const char text[] =
        "private_key=" KEY_A "\nlisten_port=51820\nfwmark=4294967295\nreplace_peers=true\n"
        "public_key=" KEY_B "\npreshared_key=" ZERO "\nendpoint=192.0.2.7:65535\n"
        "persistent_keepalive_interval=65535\nprotocol_version=1\n"
        "allowed_ip=9.9.9.9/32\nreplace_allowed_ips=true\n"
        "allowed_ip=10.1.2.3/9\nallowed_ip=-2001:db8:ffff::1/33\nallowed_ip=0.0.0.0/0\n"
        "public_key=" KEY_A "\nupdate_only=true\nendpoint=[2001:db8::1%lo]:1\n"
        "public_key=" KEY_B "\nremove=true\n";
    struct wg_set set = {0};
    CHECK(feed(&set, text, strlen(text)) == 0);
    CHECK(set.has_fwmark && set.fwmark == UINT32_MAX);
    CHECK(set.buffer.length == 80 + 136 + 3 * 24 + 136 + 136);
    const struct wyrm_ioctl_interface *interface = (void *)set.buffer.data;
    CHECK(interface->flags ==
          (WYRM_INTERFACE_HAS_PRIVATE_KEY | WYRM_INTERFACE_HAS_LISTEN_PORT | WYRM_INTERFACE_REPLACE_PEERS));
    CHECK(interface->listen_port == 51820 && interface->peers_count == 3);
    CHECK(interface->private_key[0] == 1 && interface->private_key[31] == 1);
    const struct wyrm_ioctl_peer *peer = (void *)(set.buffer.data + 80);
    CHECK(peer->flags == (WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_HAS_PRESHARED_KEY | WYRM_PEER_HAS_ENDPOINT |
                          WYRM_PEER_HAS_PERSISTENT_KEEPALIVE | WYRM_PEER_HAS_PROTOCOL_VERSION |
                          WYRM_PEER_REPLACE_ALLOWED_IPS));
    CHECK(peer->public_key[0] == 0xab && peer->public_key[3] == 0xab && peer->public_key[31] == 0x99);
    CHECK(peer->endpoint.family == 2 && peer->endpoint.port == htons(65535));
    CHECK(!memcmp(peer->endpoint.u.ipv4.address, "\xc0\0\x02\x07", 4));
    CHECK(peer->persistent_keepalive == 65535 && peer->protocol_version == 1);
    CHECK(peer->allowed_ips_count == 3); /* 9.9.9.9 went with replace_allowed_ips */
    const struct wyrm_ioctl_allowed_ip *ip = (void *)(peer + 1);
    CHECK(ip[0].family == 2 && ip[0].cidr == 9 && ip[0].flags == 0);
    CHECK(!memcmp(ip[0].address, "\x0a\0\0\0", 4)); /* host bits cleared */
    CHECK(ip[1].family == 23 && ip[1].cidr == 33 && ip[1].flags == WYRM_ALLOWED_IP_REMOVE);
    CHECK(!memcmp(ip[1].address, "\x20\x01\x0d\xb8\x80\0\0\0\0\0\0\0\0\0\0\0", 16));
    CHECK(ip[2].cidr == 0);
    const struct wyrm_ioctl_peer *second = (void *)(ip + 3);
    CHECK(second->flags == (WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_UPDATE_ONLY | WYRM_PEER_HAS_ENDPOINT));
    CHECK(second->endpoint.family == 23 && second->endpoint.u.ipv6.scope_id == 1);
    const struct wyrm_ioctl_peer *third = second + 1;
    CHECK(third->flags == (WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_REMOVE));
    wg_set_free(&set);
    CHECK(!set.buffer.data);

    CHECK(feed(&set, "", 0) == 0 && set.buffer.length == 80 && !set.has_fwmark); /* an empty set is valid */
    wg_set_free(&set);
    CHECK(feed(&set, "private_key=" ZERO, 12 + 64) == 0); /* takes the key away: the driver's business */
    CHECK(((struct wyrm_ioctl_interface *)set.buffer.data)->flags == WYRM_INTERFACE_HAS_PRIVATE_KEY);
    wg_set_free(&set);
}

/* An exact-size heap copy, so that AddressSanitizer sees every byte read past the end. */
static int format_copy(struct secure_buffer *out, const void *data, size_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    memcpy(copy, data, length);
    int error = wg_get_format(out, copy, length, 0);
    free(copy);
    return error;
}

static void test_get(void)
{
    struct {
        struct wyrm_ioctl_interface interface;
        struct wyrm_ioctl_peer peer;
        struct wyrm_ioctl_allowed_ip ips[2];
        struct wyrm_ioctl_peer other;
    } config = {0};
    config.interface.flags = WYRM_INTERFACE_HAS_PRIVATE_KEY | WYRM_INTERFACE_HAS_LISTEN_PORT;
    memset(config.interface.private_key, 0xfe, 32);
    config.interface.listen_port = 7;
    config.interface.peers_count = 2;
    config.peer.flags = WYRM_PEER_HAS_PUBLIC_KEY | WYRM_PEER_HAS_PRESHARED_KEY | WYRM_PEER_HAS_ENDPOINT;
    memset(config.peer.public_key, 0x1a, 32);
    config.peer.endpoint.family = 23;
    config.peer.endpoint.port = htons(99);
    config.peer.endpoint.u.ipv6.address[15] = 1;
    config.peer.endpoint.u.ipv6.scope_id = 1;
    config.peer.tx_bytes = UINT64_MAX;
    config.peer.rx_bytes = 5;
    config.peer.persistent_keepalive = 25;
    config.peer.last_handshake = 116444736000000000ull + 1234567890ull * 10000000 + 1234567;
    config.peer.allowed_ips_count = 2;
    config.ips[0].family = 2;
    config.ips[0].cidr = 8;
    config.ips[0].address[0] = 10;
    config.ips[1].family = 23;
    config.ips[1].cidr = 128;
    config.other.flags = WYRM_PEER_HAS_PUBLIC_KEY;
    static const char expected[] =
        "private_key=fefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefe\nlisten_port=7\nfwmark="
        "9\n"
        "public_key=1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a\npreshared_key=" ZERO
        "\n"
        "protocol_version=1\nendpoint=[::1%lo]:99\nlast_handshake_time_sec=1234567890\n"
        "last_handshake_time_nsec=123456700\ntx_bytes=18446744073709551615\nrx_bytes=5\n"
        "persistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\nallowed_ip=::/128\npublic_key=" ZERO "\n"
        "protocol_version=1\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"
        "persistent_keepalive_interval=0\n";
    struct secure_buffer out = {0};
    CHECK(wg_get_format(&out, (const uint8_t *)&config, sizeof config, 9) == 0);
    CHECK(out.length == strlen(expected) && !memcmp(out.data, expected, out.length));
    for (size_t length = 0; length < sizeof config; length++) {
        secure_buffer_clear(&out);
        CHECK_MSG(format_copy(&out, &config, length) == EPROTO, "length %zu", length);
    }
    config.ips[1].cidr = 129;
    CHECK(format_copy(&out, &config, sizeof config) == EPROTO);
    config.ips[1].cidr = 128;
    config.ips[1].family = 10;
    CHECK(format_copy(&out, &config, sizeof config) == EPROTO);
    config.ips[1].family = 23;
    config.peer.endpoint.family = 0;
    CHECK(format_copy(&out, &config, sizeof config) == EPROTO);
    config.peer.endpoint.family = 2;
    config.peer.flags = 0;
    CHECK(format_copy(&out, &config, sizeof config) == EPROTO);
    secure_buffer_free(&out);
}

static void test_keys(void)
{
    uint8_t key[32], back[32];
    char hex[KEY_HEX_LENGTH + 1], base64[KEY_BASE64_LENGTH + 1];
    for (unsigned round = 0; round < 2000; round++) {
        for (unsigned i = 0; i < 32; i++)
            key[i] = (uint8_t)rand();
        key_to_hex(hex, key);
        CHECK(key_from_hex(back, hex, 64) && !memcmp(key, back, 32));
        key_to_base64(base64, key);
        CHECK(strlen(base64) == 44 && key_from_base64(back, base64, 44) && !memcmp(key, back, 32));
    }
    /* Every byte at every place: accepted exactly when the standard alphabet says so. */
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    memset(key, 0, sizeof key);
    for (unsigned at = 0; at < 44; at++) {
        for (unsigned c = 0; c < 256; c++) {
            key_to_base64(base64, key);
            base64[at] = (char)c;
            const char *found = c ? strchr(alphabet, (char)c) : NULL;
            bool valid = at == 43 ? c == '=' : found != NULL;
            if (at == 42) /* carries 4 bits: the low two must be zero */
                valid = found && (found - alphabet) % 4 == 0;
            CHECK(key_from_base64(back, base64, 44) == valid);
        }
    }
    for (unsigned c = 0; c < 256; c++) {
        key_to_hex(hex, key);
        hex[c % 64] = (char)c;
        CHECK(key_from_hex(back, hex, 64) == (c && strchr("0123456789abcdefABCDEF", (int)c) != NULL));
    }
    CHECK(key_is_zero(key) && key_from_base64(back, "//////////////////////////////////////////8=", 44));
    CHECK(!key_is_zero(back) && back[0] == 255 && back[31] == 255);
    CHECK(!key_from_base64(back, "//////////////////////////////////////////8=", 43) && key_is_zero(back));
}

static void test_errno(void)
{
    CHECK(wg_errno_of_status(0) == 0 && wg_errno_of_status(0xFF) == 0);
    CHECK(wg_errno_of_status((int32_t)0xC000000D) == EINVAL);
    CHECK(wg_errno_of_status((int32_t)0xC000020A) == EADDRINUSE);
    CHECK(wg_errno_of_status((int32_t)0xC0000022) == EACCES);
    CHECK(wg_errno_of_status((int32_t)0xC0010018) == ENODEV);
    CHECK(wg_errno_of_status((int32_t)0xDEADBEEF) == EIO);
}

/* Whatever comes in: an errno or a buffer whose structures add up. */
static void test_mutations(unsigned rounds)
{
    static const char seed_text[] =
        "private_key=" KEY_A "\nlisten_port=51820\nfwmark=7\nreplace_peers=true\npublic_key=" KEY_B
        "\npreshared_key=" KEY_A "\nendpoint=[2001:db8::1]:51820\npersistent_keepalive_interval=25\n"
        "replace_allowed_ips=true\nallowed_ip=10.0.0.0/8\nallowed_ip=-2001:db8::/32\npublic_key=" KEY_A
        "\nupdate_only=true\nremove=true\nprotocol_version=1\nendpoint=1.2.3.4:5";
    unsigned accepted = 0;
    for (unsigned round = 0; round < rounds; round++) {
        size_t length = strlen(seed_text);
        char *text = malloc(length * 2);
        memcpy(text, seed_text, length);
        for (int changes = rand() % 4; changes >= 0; changes--) {
            size_t at = (size_t)rand() % length, count = (size_t)rand() % 20;
            switch (rand() % 4) {
            case 0:
                text[at] = (char)rand();
                break;
            case 1: /* cut */
                count = count > length - at ? length - at : count;
                memmove(text + at, text + at + count, length - at - count);
                length -= count;
                break;
            case 2: /* repeat */
                count = count > length - at ? length - at : count;
                if (length + count <= strlen(seed_text) * 2) {
                    memmove(text + at + count, text + at, length - at);
                    length += count;
                }
                break;
            default:
                text[at] = "=\n/:[]-%0"[rand() % 9];
            }
            if (!length)
                length = 1;
        }
        struct wg_set set = {0};
        if (feed(&set, text, length) == 0) {
            size_t at = 80;
            const struct wyrm_ioctl_interface *interface = (void *)set.buffer.data;
            for (uint32_t i = 0; i < interface->peers_count; i++) {
                const struct wyrm_ioctl_peer *peer = (void *)(set.buffer.data + at);
                at += sizeof *peer + peer->allowed_ips_count * sizeof(struct wyrm_ioctl_allowed_ip);
            }
            CHECK(at == set.buffer.length);
            accepted++;
        }
        wg_set_free(&set);
        free(text);
    }
    CHECK_MSG(accepted > rounds / 1000 && accepted < rounds, "%u of %u accepted", accepted, rounds);
}

int main(void)
{
    srand(1);
    test_refusals();
    test_set_bytes();
    test_get();
    test_keys();
    test_errno();
    test_mutations(200000);
    return check_summary();
}
