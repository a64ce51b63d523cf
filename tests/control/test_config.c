/* Configuration files: what a valid one becomes, the exact place and text of errors, that no key appears in a
 * message, and random mutations under the sanitisers. */
#include "check.h"

#include "config.h"
#include "config_value.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRIVATE "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define PUBLIC  "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define OTHER   "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="

static struct config *parse_kind(const char *text, enum config_kind kind, char *error, size_t size)
{
    /* an exact-size heap copy: reading past the end is seen */
    size_t length = strlen(text);
    char *copy = malloc(length ? length : 1);
    memcpy(copy, text, length); // NOLINT(bugprone-not-null-terminated-result)
    struct config *config = config_parse(copy, length, kind, "t.conf", error, size);
    free(copy);
    return config;
}

static struct config *parse(const char *text, char *error, size_t size)
{
    return parse_kind(text, CONFIG_QUICK, error, size);
}

static void test_valid(void)
{
    static const char text[] = "\xEF\xBB\xBF# a comment\r\n"
                               "[interface]\r\n"
                               "  PrivateKey=" PRIVATE " # secret\n"
                               "listenport = 51820\n"
                               "FwMark = 0xCA6C\n"
                               "Address = 10.0.0.1/24, fd00::1/64\n"
                               "Address = 10.9.9.9\n"
                               "DNS = 1.1.1.1, 2606:4700::1111, example.com,sub.example.org\n"
                               "MTU = 1380\n"
                               "Table = 1234\n"
                               "PreUp = echo a = b, %i\n"
                               "PostUp = one\n"
                               "PostUp = two\n"
                               "PreDown=x\n"
                               "PostDown=y\n"
                               "SaveConfig = true\n"
                               "\n"
                               "[Peer]\n"
                               "PublicKey = " PUBLIC "\n"
                               "PresharedKey = " OTHER "\n"
                               "AllowedIPs = 10.0.0.2/32, 192.168.4.7/16\n"
                               "AllowedIPs = ::/0\n"
                               "Endpoint = [2001:db8::7%eth0]:51820\n"
                               "PersistentKeepalive = 25\n"
                               "[PEER]\n"
                               "PublicKey = " OTHER "\n"
                               "AllowedIPs =\n"
                               "Endpoint = demo.example.com:1\n"
                               "PersistentKeepalive = off";
    char error[256] = "", prefix[CONFIG_PREFIX_TEXT];
    struct config *config = parse(text, error, sizeof error);
    CHECK_MSG(config != NULL, "%s", error);
    if (!config)
        return;
    CHECK(config->has_private_key && config->private_key[0] == 0xc8 && config->private_key[31] == 0x69);
    CHECK(config->has_listen_port && config->listen_port == 51820);
    CHECK(config->has_fwmark && config->fwmark == 0xCA6C);
    CHECK(config->addresses.count == 3);
    config_prefix_format(&config->addresses.items[0], false, prefix);
    CHECK(!strcmp(prefix, "10.0.0.1/24"));
    config_prefix_format(&config->addresses.items[0], true, prefix);
    CHECK(!strcmp(prefix, "10.0.0.0/24"));
    config_prefix_format(&config->addresses.items[1], true, prefix);
    CHECK(!strcmp(prefix, "fd00::/64"));
    config_prefix_format(&config->addresses.items[2], true, prefix);
    CHECK(!strcmp(prefix, "10.9.9.9/32"));
    CHECK(config->dns_servers.count == 2 && !strcmp(config->dns_servers.items[1], "2606:4700::1111"));
    CHECK(config->dns_domains.count == 2 && !strcmp(config->dns_domains.items[1], "sub.example.org"));
    CHECK(config->mtu == 1380 && config->save);
    CHECK(config->table == CONFIG_TABLE_NUMBER && config->table_number == 1234);
    CHECK(config->pre_up.count == 1 && !strcmp(config->pre_up.items[0], "echo a = b, %i"));
    CHECK(config->post_up.count == 2 && !strcmp(config->post_up.items[1], "two"));
    CHECK(config->pre_down.count == 1 && config->post_down.count == 1);
    CHECK(config->peer_count == 2);
    const struct config_peer *peer = config->peers;
    CHECK(peer->line == 18 && peer->has_preshared_key && peer->allowed_ips.count == 3);
    CHECK(peer->allowed_ips.items[2].family == 6 && peer->allowed_ips.items[2].length == 0);
    CHECK(!strcmp(peer->endpoint_host, "2001:db8::7%eth0") && peer->endpoint_port == 51820);
    CHECK(peer->has_keepalive && peer->keepalive == 25);
    CHECK(peer[1].allowed_ips.count == 0 && !strcmp(peer[1].endpoint_host, "demo.example.com"));
    CHECK(peer[1].has_keepalive && peer[1].keepalive == 0 && !peer[1].has_preshared_key);
    config_free(config);

    config = parse("[Interface]", error, sizeof error);
    CHECK(config && config->table == CONFIG_TABLE_AUTO && !config->mtu && !config->peer_count);
    config_free(config);
}

#define INTERFACE "[Interface]\n"
#define PEER      "[Interface]\n[Peer]\nPublicKey = " PUBLIC "\n"

static void test_errors(void)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "t.conf:1:1: there is no [Interface] section: add it"},
        {"[Peer]\nPublicKey=" PUBLIC, "t.conf:1:1: there is no [Interface] section: add it"},
        {"ListenPort = 1\n", "t.conf:1:1: a key before the first section: start with [Interface]"},
        {"[Interface\n", "t.conf:1:1: section \"[Interface\" is not known: use [Interface] or [Peer]"},
        {INTERFACE INTERFACE, "t.conf:2:1: a second [Interface] section: put its keys into the first"},
        {INTERFACE "  hello\n", "t.conf:2:3: this is neither a section nor \"Key = value\": add the \"=\""},
        {INTERFACE "PrivateKey = short\n", "t.conf:2:14: PrivateKey is not a key: want 44 base64 characters, "
                                           "as `wg genkey`, `wg pubkey` or `wg "
                                           "genpsk` print them"},
        {INTERFACE "PrivateKey = " PRIVATE "\nPrivateKey = " PRIVATE,
         "t.conf:3:14: PrivateKey is given twice in this section: keep one"},
        {INTERFACE "ListenPort = 65536\n",
         "t.conf:2:14: ListenPort \"65536\" is not valid: use a number from 0 to 65535"},
        {INTERFACE "ListenPort =\n",
         "t.conf:2:13: ListenPort \"\" is not valid: use a number from 0 to 65535"},
        {INTERFACE "MTU = 575\n", "t.conf:2:7: MTU \"575\" is not valid: use a number from 576 to 65535"},
        {INTERFACE "Address = 10.0.0.1, 10.0.0.300/24\n",
         "t.conf:2:21: Address \"10.0.0.300/24\" is not valid: use an IPv4 or IPv6 address, or "
         "address/prefix "
         "length"},
        {INTERFACE "Address = 10.0.0.1,,10.0.0.2\n",
         "t.conf:2:20: Address has an empty item: remove the comma or fill it in"},
        {INTERFACE "Address = 10.0.0.1/33",
         "t.conf:2:11: Address \"10.0.0.1/33\" is not valid: use an IPv4 or IPv6 address, or address/prefix "
         "length"},
        {INTERFACE "DNS = 1.1.1\n", "t.conf:2:7: DNS \"1.1.1\" is not valid: use the address of a server or "
                                    "the name of a search domain"},
        {INTERFACE "DNS = a b\n",
         "t.conf:2:7: DNS \"a b\" is not valid: use the address of a server or the name of a search domain"},
        {INTERFACE "Table = sometimes\n",
         "t.conf:2:9: Table \"sometimes\" is not valid: use off, auto, main, or a table number from 1 to "
         "4294967295"},
        {INTERFACE "SaveConfig = yes\n", "t.conf:2:14: SaveConfig \"yes\" is not valid: use true or false"},
        {INTERFACE "FwMark = 0x100000000\n", "t.conf:2:10: FwMark \"0x100000000\" is not valid: use off, or "
                                             "a 32-bit number, decimal or hexadecimal "
                                             "with 0x"},
        {INTERFACE "PostUp =\n", "t.conf:2:9: PostUp is empty: name a command or remove the line"},
        {INTERFACE "Endpoint = 1.2.3.4:5\n",
         "t.conf:2:1: Endpoint belongs into [Peer], not into [Interface]"},
        {PEER "MTU = 1400\n", "t.conf:4:1: MTU belongs into [Interface], not into [Peer]"},
        {PEER "Colour = red\n", "t.conf:4:1: key \"Colour\" is not known in [Peer]: see wg-quick(8)"},
        {PEER "PublicKey = " PUBLIC, "t.conf:4:13: PublicKey is given twice in this section: keep one"},
        {PEER "Endpoint = 1.2.3.4\n", "t.conf:4:12: Endpoint \"1.2.3.4\" is not valid: use name:port, "
                                      "192.0.2.1:port or [2001:db8::1]:port"},
        {PEER "Endpoint = 1.2.3.400:5\n",
         "t.conf:4:12: Endpoint \"1.2.3.400:5\" is not valid: use name:port, 192.0.2.1:port or "
         "[2001:db8::1]:port"},
        {PEER "Endpoint = ::1:5\n",
         "t.conf:4:12: Endpoint \"::1:5\" is not valid: use name:port, 192.0.2.1:port or [2001:db8::1]:port"},
        {PEER "Endpoint = a:1\nEndpoint = b:1",
         "t.conf:5:12: Endpoint is given twice in this section: keep one"},
        {PEER "PersistentKeepalive = 65536\n",
         "t.conf:4:23: PersistentKeepalive \"65536\" is not valid: use off, or seconds from 0 to 65535"},
        {PEER "AllowedIPs = 10.0.0.0/8 10.0.0.0/9\n",
         "t.conf:4:14: AllowedIPs \"10.0.0.0/8 10.0.0.0/9\" is not valid: use an IPv4 or IPv6 address, or "
         "address/prefix length"},
        {INTERFACE "[Peer]\nAllowedIPs = ::/0\n[Peer]\nPublicKey = " PUBLIC,
         "t.conf:2:1: this [Peer] has no PublicKey: add it"},
        {INTERFACE "[Peer]\n", "t.conf:2:1: this [Peer] has no PublicKey: add it"},
        {PEER "[Peer]\nPublicKey = " OTHER "\n[Peer]\nPublicKey = " PUBLIC,
         "t.conf:6:1: this [Peer] has the PublicKey of the one in line 2: merge them"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char error[300] = "";
        struct config *config = parse(cases[i].text, error, sizeof error);
        CHECK_MSG(!config, "accepted: %s", cases[i].text);
        CHECK_MSG(!strcmp(error, cases[i].error), "\n  got  %s\n  want %s", error, cases[i].error);
        config_free(config);
    }
    char error[300];
    CHECK(!config_parse("[Interface]\nMT\0U = 1400", 22, CONFIG_QUICK, "t.conf", error, sizeof error));
    CHECK(!strcmp(error, "t.conf:2:3: a zero byte: this is not a text file"));
}

/* What `setconf` reads: an adapter's part of a file only; [Interface] is not needed. */
static void test_kind_wg(void)
{
    char error[300] = "";
    struct config *config = parse_kind(PEER "AllowedIPs = 10.0.0.7/8\n", CONFIG_WG, error, sizeof error);
    CHECK(config && config->peer_count == 1);
    config_free(config);
    config = parse_kind("[Peer]\nPublicKey = " PUBLIC, CONFIG_WG, error, sizeof error);
    CHECK_MSG(config && config->peer_count == 1, "%s", error);
    config_free(config);
    CHECK(!parse_kind(INTERFACE "dns = 1.1.1.1\n", CONFIG_WG, error, sizeof error));
    CHECK(!strcmp(
        error,
        "t.conf:2:1: DNS is for wg-quick only: take it out (`wg-quick strip` prints a file without it)"));
    CHECK(!parse_kind(INTERFACE "Colour = 1\n", CONFIG_WG, error, sizeof error));
    CHECK(!strcmp(error, "t.conf:2:1: key \"Colour\" is not known in [Interface]: see wg(8)"));
}

/* Wherever a private key lands by mistake, the message does not repeat it. */
static void test_secrets(void)
{
    static const char *const cases[] = {
        INTERFACE PRIVATE "\n",
        INTERFACE "PrivateKey " PRIVATE "\n",
        INTERFACE "PrivateKey = " PRIVATE PRIVATE "\n",
        INTERFACE "PrivateKey = x" PRIVATE "\n",
        INTERFACE "ListenPort = " PRIVATE "\n",
        INTERFACE "Address = " PRIVATE "\n",
        INTERFACE "DNS = " PRIVATE "\n",
        INTERFACE "Table = " PRIVATE "\n",
        PEER "Endpoint = " PRIVATE "\n",
        PEER "PrivateKey = " PRIVATE "\n",
        PEER "PresharedKey = " PRIVATE PRIVATE "\n",
        PEER PRIVATE " = 1\n",
        INTERFACE "ListenPort = x" PRIVATE "\n",
        INTERFACE "MTU = \"" PRIVATE "\"\n",
        INTERFACE "Address = " PRIVATE "/24\n",
        INTERFACE "ListenPort = PrivateKey=" PRIVATE "\n",
        INTERFACE "ListenPort = yAnz5TF+lXXJte14 tji3zlMNq+hd2 rYUIgJBgB3fBm=\n",
        PEER "Endpoint = x" PRIVATE ":1\n",
        PEER "PersistentKeepalive = 1 " PRIVATE "\n",
        INTERFACE "[" PRIVATE "]\n",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char error[300] = "";
        CHECK(!parse(cases[i], error, sizeof error));
        CHECK(error[0] && !strstr(error, "yAnz5TF+lXXJ") && !strstr(error, "tji3zlMNq+hd2"));
    }
}

static void test_names(void)
{
    CHECK(config_name_valid("wg0") && config_name_valid("a=b+c.d-e_f") &&
          config_name_valid("123456789012345"));
    CHECK(!config_name_valid("") && !config_name_valid("1234567890123456") && !config_name_valid("a/b"));
    CHECK(!config_name_valid("a b") && !config_name_valid(".") && !config_name_valid("..") &&
          !config_name_valid("\xC3\xA4"));
}

static void test_files(void)
{
    char path[] = "/tmp/wyrm-config-XXXXXX", error[300];
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, "[Interface]\nMTU = 9000\n", 23) == 23);
    struct config *config = config_load(path, CONFIG_QUICK, "test", error, sizeof error);
    CHECK(config && config->mtu == 9000);
    config_free(config);
    close(fd);
    unlink(path);
    CHECK(!config_load(path, CONFIG_QUICK, "test", error, sizeof error) && strstr(error, "No such file"));
    CHECK(!config_load("/", CONFIG_QUICK, "test", error, sizeof error) && strstr(error, "Is a directory"));
    CHECK(!config_load("/dev/null", CONFIG_QUICK, "test", error, sizeof error) &&
          strstr(error, "Invalid argument"));
    config = config_load("/dev/null", CONFIG_WG, "test", error, sizeof error);
    CHECK(config && !config->peer_count && !config->has_private_key);
    config_free(config);
}

static void test_mutations(unsigned rounds)
{
    static const char seed[] =
        "[Interface]\nPrivateKey = " PRIVATE
        "\nListenPort = 51820\nFwMark = 0x7\nAddress = 10.0.0.1/24,fd00::1\nDNS = 1.1.1.1, "
        "a.b\nTable = auto\nPostUp = x %i # y\nSaveConfig = false\n[Peer]\nPublicKey = " PUBLIC
        "\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = [::1%lo]:5\n[Peer]\nPublicKey = " OTHER
        "\nEndpoint = a.b-c:77\nPersistentKeepalive = 25\n";
    size_t seed_length = strlen(seed);
    unsigned accepted = 0;
    for (unsigned round = 0; round < rounds; round++) {
        size_t length = seed_length;
        char *text = malloc(seed_length), error[200] = "";
        memcpy(text, seed, seed_length); // NOLINT(bugprone-not-null-terminated-result)
        for (int changes = rand() % 3; changes >= 0; changes--) {
            size_t at = (size_t)rand() % length, count = 1 + (size_t)rand() % 12;
            if (rand() % 2) {
                text[at] = rand() % 2 ? (char)rand() : "\n=[],#/:% "[rand() % 10];
            } else {
                count = count > length - at ? length - at : count;
                memmove(text + at, text + at + count, length - at - count);
                length -= count;
                length += !length;
            }
        }
        char *exact = malloc(length);
        memcpy(exact, text, length);
        struct config *config =
            config_parse(exact, length, round & 1 ? CONFIG_WG : CONFIG_QUICK, "m.conf", error, sizeof error);
        free(exact);
        free(text);
        accepted += config != NULL;
        CHECK(config ? !error[0] : !strncmp(error, "m.conf:", 7));
        config_free(config);
    }
    CHECK_MSG(accepted > rounds / 100 && accepted < rounds, "%u of %u accepted", accepted, rounds);
}

int main(void)
{
    srand(2);
    test_valid();
    test_errors();
    test_kind_wg();
    test_secrets();
    test_names();
    test_files();
    test_mutations(100000);
    return check_summary();
}
