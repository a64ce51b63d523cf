/* The pure parts of the command-line tool: the userspace protocol in both directions, what syncconf changes,
 * the ways an adapter is shown, and random mutations of answers under the sanitisers. */
#include "check.h"

#include "command.h"
#include "format.h"
#include "format_event.h"
#include "key_text.h"
#include "sync.h"
#include "uapi.h"

#include <stdlib.h>

#define HEX1 "0101010101010101010101010101010101010101010101010101010101010101"
#define HEX2 "0202020202020202020202020202020202020202020202020202020202020202"
#define HEX3 "0303030303030303030303030303030303030303030303030303030303030303"
#define ZERO "0000000000000000000000000000000000000000000000000000000000000000"
#define PEER "public_key=" HEX1 "\n"

/* command_*.c call it; main.c is not compiled in. */
void report(const struct failure *failure, bool json)
{
    (void)failure;
    (void)json;
}

bool report_done(const struct invocation *invocation, const char *name, struct failure *failure)
{
    (void)invocation;
    (void)name;
    (void)failure;
    return true;
}

static bool parse_bytes(const char *text, size_t length, struct device *device, struct failure *failure)
{
    char *copy = malloc(length ? length : 1); /* exact: reading past the end is seen */
    memcpy(copy, text, length);               // NOLINT(bugprone-not-null-terminated-result)
    *device = (struct device){.name = "wg0"};
    *failure = (struct failure){0};
    bool done = uapi_get_parse(copy, length, device, failure);
    free(copy);
    return done;
}

static bool parse(const char *text, struct device *device, struct failure *failure)
{
    return parse_bytes(text, strlen(text), device, failure);
}

static void expect(struct output *output, const char *wanted)
{
    size_t length = strlen(wanted);
    CHECK(!output->no_memory);
    CHECK_MSG(output->text.length == length && (!length || !memcmp(output->text.data, wanted, length)),
              "\n  got  %.*s\n  want %s", (int)output->text.length, (const char *)output->text.data, wanted);
    output_free(output);
}

static void test_get(void)
{
    struct device device;
    struct failure failure;
    struct output output = {0};
    CHECK(parse("errno=0\n\n", &device, &failure));
    CHECK(!device.peer_count && !device.listen_port && key_is_zero(device.public_key));
    format_fields(&output, &device, FIELD_DUMP, true);
    expect(&output, "wg0\t(none)\t(none)\t0\toff\n");
    device_free(&device);
    static const char full[] =
        "private_key=" HEX1 "\nlisten_port=65535\nfwmark=4294967295\nfuture=x=y\n" PEER "preshared_key=" ZERO
        "\nprotocol_version=1\nendpoint=[2001:db8::7]:1\n"
        "last_handshake_time_sec=9223372036854775807\nlast_handshake_time_nsec=999999999\n"
        "tx_bytes=18446744073709551615\nrx_bytes=7\npersistent_keepalive_interval=65535\n"
        "allowed_ip=10.0.0.0/8\nallowed_ip=::/0\nallowed_ip=1.2.3.4/32\nfuture=\n"
        "public_key=" HEX2 "\npreshared_key=" HEX3 "\nerrno=0\n\n";
    CHECK(parse(full, &device, &failure));
    format_fields(&output, &device, FIELD_DUMP, false);
    expect(
        &output,
        "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\tpOCSkrZRwni5dyxWn1+puxPZBrRqtoyd+dwrRAn4ogk=\t65535\t"
        "0xffffffff\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\t(none)\t[2001:db8::7]:1\t10.0.0.0/8,::/0,"
        "1.2.3.4/32\t9223372036854775807\t7\t18446744073709551615\t65535\n"
        "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\tAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\t(none)\t"
        "(none)\t0\t0\t0\toff\n");
    format_json(&output, &device, FIELD_ALL, false);
    CHECK(!memmem(output.text.data, output.text.length, "AwMDAwMD", 8) &&
          memmem(output.text.data, output.text.length, "\"has_preshared_key\":true", 24));
    output_free(&output);
    device_free(&device);
}

static void test_get_errors(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "wg0: the answer has no end"},
        {"listen_port=1\n", "wg0: the answer has no end"},
        {"listen_port=1", "wg0: line 1 of the answer has no end"},
        {"private_key=" HEX1 "0\n\n", "wg0: line 1 of the answer (private_key) is not valid"},
        {"fwmark=1\n" HEX1 "\n\n", "wg0: line 2 of the answer (no \"=\") is not valid"},
        {"listen_port=65536\n\n", "wg0: line 1 of the answer (listen_port) is not valid"},
        {"listen_port=\n\n", "wg0: line 1 of the answer (listen_port) is not valid"},
        {"listen_port=-1\n\n", "wg0: line 1 of the answer (listen_port) is not valid"},
        {"fwmark=4294967296\n\n", "wg0: line 1 of the answer (fwmark) is not valid"},
        {"public_key=0\n\n", "wg0: line 1 of the answer (public_key) is not valid"},
        {PEER "preshared_key=x\n\n", "wg0: line 2 of the answer (preshared_key) is not valid"},
        {PEER "endpoint=name:5\n\n", "wg0: line 2 of the answer (endpoint) is not valid"},
        {PEER "endpoint=1.2.3.4:0\n\n", "wg0: line 2 of the answer (endpoint) is not valid"},
        {PEER "allowed_ip=10.0.0.0\n\n", "wg0: line 2 of the answer (allowed_ip) is not valid"},
        {PEER "allowed_ip=10.0.0.0/33\n\n", "wg0: line 2 of the answer (allowed_ip) is not valid"},
        {PEER "rx_bytes=18446744073709551616\n\n", "wg0: line 2 of the answer (rx_bytes) is not valid"},
        {PEER "tx_bytes=1 \n\n", "wg0: line 2 of the answer (tx_bytes) is not valid"},
        {PEER "last_handshake_time_sec=9223372036854775808\n\n",
         "wg0: line 2 of the answer (last_handshake_time_sec) is not valid"},
        {PEER "last_handshake_time_nsec=1000000000\n\n",
         "wg0: line 2 of the answer (last_handshake_time_nsec) is not valid"},
        {PEER "persistent_keepalive_interval=70000\n\n",
         "wg0: line 2 of the answer (persistent_keepalive_interval) is not valid"},
    };
    struct device device;
    struct failure failure;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_MSG(!parse(cases[i].text, &device, &failure), "accepted: %s", cases[i].text);
        CHECK_MSG(!strcmp(failure.text, cases[i].error), "\n  got  %s\n  want %s", failure.text,
                  cases[i].error);
        CHECK(failure.status == EXIT_NO_ANSWER);
        device_free(&device);
    }
    CHECK(!parse_bytes("fwmark=1\0\n\n", 11, &device, &failure));
    device_free(&device);
}

static void test_errno(void)
{
    static const struct {
        const char *text;
        int number;
    } cases[] = {{"errno=0\n\n", 0},
                 {"errno=-22\n\n", 22},
                 {"a=b\nerrno=13\n\n", 13},
                 {"a=errno=5\nb=1\n\n", -1},
                 {"errno=\n\n", -1},
                 {"errno=x\n\n", -1},
                 {"errno=99999999999\n\n", -1},
                 {"errno=1\nerrno=0\n\n", 0},
                 {"\n\n", -1},
                 {"", -1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = strlen(cases[i].text);
        char *copy = malloc(length ? length : 1);
        memcpy(copy, cases[i].text, length); // NOLINT(bugprone-not-null-terminated-result)
        int number = uapi_errno(copy, length);
        CHECK_MSG(number == cases[i].number, "%s: %d", cases[i].text, number);
        free(copy);
    }
}

static void test_set(void)
{
    struct secure_buffer request = {0};
    struct change change = {.has_fwmark = true, .replace_peers = true, .has_private_key = true};
    struct config_prefix prefix = {.family = 4, .length = 8, .bytes = {10, 1, 2, 3}};
    uint8_t key[KEY_LENGTH];
    memset(key, 1, sizeof key);
    struct peer_change *peer = change_add_peer(&change, key);
    peer->has_endpoint = peer->has_keepalive = true;
    CHECK(endpoint_parse("[fe80::1]:5", &peer->endpoint));
    CHECK(peer_change_add_prefix(peer, &prefix, false) && peer_change_add_prefix(peer, &prefix, true));
    memset(key, 2, sizeof key);
    change_add_peer(&change, key)->remove = true;
    CHECK(uapi_set_format(&request, &change));
    static const char wanted[] =
        "set=1\nprivate_key=" ZERO "\nfwmark=0\nreplace_peers=true\npublic_key=" HEX1
        "\nendpoint=[fe80::1]:5\npersistent_keepalive_interval=0\nallowed_ip=10.0.0.0/8\n"
        "allowed_ip=-10.0.0.0/8\npublic_key=" HEX2 "\nremove=true\n\n";
    CHECK_MSG(request.length == strlen(wanted) && !memcmp(request.data, wanted, request.length), "%.*s",
              (int)request.length, (const char *)request.data);
    secure_buffer_free(&request);
    change_free(&change);
}

/* What syncconf sends for a file and an adapter's answer. */
static void sync_case(const char *file, const char *answer, const char *wanted)
{
    struct device device;
    struct failure failure;
    struct secure_buffer request = {0};
    struct change change = {.has_private_key = true, .has_fwmark = true, .has_listen_port = true};
    struct config *config =
        config_parse(file, strlen(file), CONFIG_WG, "t", failure.text, sizeof failure.text);
    CHECK_MSG(config != NULL, "%s", failure.text);
    if (!config)
        return;
    memcpy(change.private_key, config->private_key, KEY_LENGTH);
    change.listen_port = config->listen_port;
    change.fwmark = config->fwmark;
    CHECK(parse(answer, &device, &failure));
    CHECK(change_add_config_peers(&change, config, &failure) && sync_difference(&change, &device, &failure));
    CHECK(uapi_set_format(&request, &change));
    CHECK_MSG(request.length == strlen(wanted) && !memcmp(request.data, wanted, request.length),
              "\n  got  %.*s\n  want %s", (int)request.length, (const char *)request.data, wanted);
    secure_buffer_free(&request);
    change_free(&change);
    device_free(&device);
    config_free(config);
}

#define KEY1 "PublicKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
#define KEY2 "PublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
#define PSK3 "PresharedKey = AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n"

static void test_sync(void)
{
    sync_case("", "errno=0\n\n", "set=1\n\n");
    sync_case("", "private_key=" HEX1 "\nlisten_port=5\nfwmark=6\n" PEER "errno=0\n\n",
              "set=1\nprivate_key=" ZERO "\nfwmark=0\npublic_key=" HEX1 "\nremove=true\n\n");
    sync_case("[Interface]\nListenPort=7\nFwMark=6\n", "listen_port=5\nfwmark=6\nerrno=0\n\n",
              "set=1\nlisten_port=7\n\n");
    /* The same in another order, with host bits and twice: nothing to do. */
    sync_case("[Peer]\n" KEY1 PSK3 "AllowedIPs = ::/0, 10.1.2.3/8, 10.0.0.0/8\nPersistentKeepalive = 5\n"
              "Endpoint = 1.2.3.4:5\n",
              PEER "preshared_key=" HEX3 "\nendpoint=1.2.3.4:5\npersistent_keepalive_interval=5\n"
                   "allowed_ip=10.0.0.0/8\nallowed_ip=::/0\nerrno=0\n\n",
              "set=1\n\n");
    /* Everything about a peer that stays; what the file lacks goes, but for the endpoint. */
    sync_case("[Peer]\n" KEY1 "AllowedIPs = 10.0.0.0/9\n",
              PEER "preshared_key=" HEX3 "\nendpoint=1.2.3.4:5\npersistent_keepalive_interval=5\n"
                   "allowed_ip=10.0.0.0/8\nerrno=0\n\n",
              "set=1\n" PEER "preshared_key=" ZERO
              "\npersistent_keepalive_interval=0\nreplace_allowed_ips=true\n"
              "allowed_ip=10.0.0.0/9\n\n");
    sync_case("[Peer]\n" KEY1 "Endpoint = 1.2.3.4:6\n", PEER "endpoint=1.2.3.4:5\nerrno=0\n\n",
              "set=1\n" PEER "endpoint=1.2.3.4:6\n\n");
    /* One goes, one comes. */
    sync_case("[Peer]\n" KEY2, PEER "allowed_ip=10.0.0.0/8\nerrno=0\n\n",
              "set=1\n" PEER "remove=true\npublic_key=" HEX2 "\nreplace_allowed_ips=true\n\n");
    /* A prefix that two peers name is the last one's: then nothing differs. */
    sync_case("[Peer]\n" KEY1 "AllowedIPs=10.0.0.0/8\n[Peer]\n" KEY2 "AllowedIPs=10.9.9.9/8\n",
              PEER "public_key=" HEX2 "\nallowed_ip=10.0.0.0/8\nerrno=0\n\n", "set=1\n\n");
}

static void test_texts(void)
{
    struct output output = {0};
    struct failure failure;
    struct endpoint endpoint;
    uint8_t key[KEY_LENGTH];
    bool empty;
    format_json_string(&output, "a\"b\\c\n\x7F");
    expect(&output, "\"a\\\"b\\\\c\\u000a\\u007f\"");
    format_json_string(&output, "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    expect(&output, "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
    /* Not UTF-8: alone, cut, too long a form, a surrogate, beyond the last character. */
    format_json_string(&output, "\xFFx\x80\xC3");
    expect(&output, "\"\\ufffdx\\ufffd\\ufffd\"");
    format_json_string(&output, "\xC0\xAF\xED\xA0\x80\xF4\x90\x80\x80");
    expect(&output, "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"");
    CHECK(endpoint_parse("1.2.3.4:65535", &endpoint) && endpoint.family == 4 && endpoint.port == 65535);
    CHECK(!endpoint_parse("1.2.3.4", &endpoint) && !endpoint_parse("a.b:5", &endpoint) &&
          !endpoint_parse("[1.2.3.4]:5", &endpoint));
    CHECK(field_of("dump") == FIELD_DUMP && field_of("Dump") == FIELD_ALL && field_of("") == FIELD_ALL);
    CHECK(key_text_read("/dev/null", key, &empty, &failure) && empty && key_is_zero(key));
    CHECK(!key_text_read("/dev/zero", key, &empty, &failure) && failure.status == EXIT_INVALID);
    CHECK(!key_text_read("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE", key, &empty, &failure) &&
          !strstr(failure.text, "AQEB"));
    CHECK(key_may_be_in(HEX1, 64) && !key_may_be_in("10.0.0.0/8,fd00::/8", 19));
}

static void test_mutations(unsigned rounds)
{
    static const char seed[] =
        "private_key=" HEX1 "\nlisten_port=5\nfwmark=6\n" PEER "preshared_key=" HEX2
        "\nendpoint=[fe80::1%lo]:5\nlast_handshake_time_sec=5\nlast_handshake_time_nsec=6\n"
        "tx_bytes=7\nrx_bytes=8\npersistent_keepalive_interval=9\nallowed_ip=10.0.0.0/8\n"
        "allowed_ip=fd00::/64\nerrno=0\n\n";
    unsigned accepted = 0;
    for (unsigned round = 0; round < rounds; round++) {
        struct device device;
        struct failure failure;
        size_t length = sizeof seed - 1;
        char text[sizeof seed];
        memcpy(text, seed, sizeof seed);
        for (int changes = rand() % 3; changes >= 0; changes--) {
            size_t at = (size_t)rand() % length, count = 1 + (size_t)rand() % 8;
            if (rand() % 2) {
                text[at] = rand() % 2 ? (char)rand() : "\n=[]-/:%0"[rand() % 9];
            } else {
                count = count >= length - at ? length - at - 1 : count;
                memmove(text + at, text + at + count, length - at - count);
                length -= count;
            }
        }
        bool done = parse_bytes(text, length, &device, &failure);
        accepted += done;
        if (done) {
            struct output output = {0};
            const struct pretty pretty = {.colours = round & 1, .show_keys = true, .now = 60};
            format_pretty(&output, &device, &pretty);
            format_conf(&output, &device);
            format_json(&output, &device, FIELD_DUMP, true);
            CHECK(!output.no_memory && output.text.length);
            output_free(&output);
        } else {
            CHECK(failure.text[0] && failure.status == EXIT_NO_ANSWER);
        }
        uapi_errno(text, length);
        device_free(&device);
    }
    CHECK_MSG(accepted > rounds / 100 && accepted < rounds, "%u of %u accepted", accepted, rounds);
}

#define EVENT_TIME 133801632001234567u /* 2025-01-01T00:00:00.123 */

static void expect_event(uint32_t kind, uint32_t value, const char *people, const char *json)
{
    const struct wyrm_ioctl_event event = {
        .sequence = 7, .timestamp = EVENT_TIME, .kind = kind, .value = value};
    struct output output = {0};
    char wanted[200];
    format_event(&output, &event, false);
    snprintf(wanted, sizeof wanted, "2025-01-01T00:00:00.123Z %s\n", people);
    expect(&output, wanted);
    output = (struct output){0};
    format_event(&output, &event, true);
    snprintf(wanted, sizeof wanted, "{\"time\":\"2025-01-01T00:00:00.123Z\",\"sequence\":7,%s}\n", json);
    expect(&output, wanted);
}

static void test_events(void)
{
    struct wyrm_ioctl_event event = {.sequence = 18446744073709551615u,
                                     .timestamp = EVENT_TIME,
                                     .kind = WYRM_EVENT_EXPIRED,
                                     .value = WYRM_EXPIRED_NO_ANSWER};
    struct output output = {0};
    expect_event(WYRM_EVENT_ADAPTER_STATE, WYRM_ADAPTER_UP, "state     up",
                 "\"event\":\"state\",\"detail\":\"up\"");
    expect_event(WYRM_EVENT_ADAPTER_STATE, WYRM_ADAPTER_DOWN, "state     down",
                 "\"event\":\"state\",\"detail\":\"down\"");
    expect_event(WYRM_EVENT_LOG_LOST, WYRM_LOG_OVERWRITTEN, "log-lost  overwritten",
                 "\"event\":\"log-lost\",\"detail\":\"overwritten\"");
    expect_event(WYRM_EVENT_LOG_LOST, WYRM_LOG_SUPPRESSED, "log-lost  suppressed",
                 "\"event\":\"log-lost\",\"detail\":\"suppressed\"");
    expect_event(WYRM_EVENT_HANDSHAKE, 9, "handshake value-9",
                 "\"event\":\"handshake\",\"detail\":\"value-9\"");
    expect_event(WYRM_EVENT_ENDPOINT, 0, "endpoint ", "\"event\":\"endpoint\"");
    expect_event(0, 0, "kind-0   ", "\"event\":\"kind-0\"");
    expect_event(4294967295u, 4294967295u, "kind-4294967295 value-4294967295",
                 "\"event\":\"kind-4294967295\",\"detail\":\"value-4294967295\"");

    memset(event.public_key, 1, sizeof event.public_key);
    event.endpoint.family = WYRM_FAMILY_IPV6;
    memcpy(&event.endpoint.port, (uint8_t[]){0xCA, 0x6C}, 2);
    event.endpoint.u.ipv6.address[0] = 0x20;
    event.endpoint.u.ipv6.address[15] = 1;
    format_event(&output, &event, false);
    expect(&output, "2025-01-01T00:00:00.123Z expired   AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE= "
                    "[2000::1]:51820 no-answer\n");
    output = (struct output){0};
    event.endpoint.family = WYRM_FAMILY_IPV4;
    memcpy(event.endpoint.u.ipv4.address, (uint8_t[]){192, 0, 2, 1}, 4);
    event.value = WYRM_EXPIRED_IDLE;
    format_event(&output, &event, true);
    expect(&output,
           "{\"time\":\"2025-01-01T00:00:00.123Z\",\"sequence\":18446744073709551615,"
           "\"event\":\"expired\",\"detail\":\"idle\","
           "\"peer\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\",\"endpoint\":\"192.0.2.1:51820\"}\n");

    output = (struct output){0};
    format_events_lost(&output, 0, true);
    format_events_lost(&output, 3, false);
    format_events_lost(&output, 4, true);
    expect(&output, "(3 events came too fast to be kept)\n{\"lost\":4}\n");
}

int main(void)
{
    srand(3);
    test_get();
    test_get_errors();
    test_errno();
    test_set();
    test_sync();
    test_texts();
    test_events();
    test_mutations(30000);
    return check_summary();
}
