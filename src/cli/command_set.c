/* `wyrm set`: the words of its arguments, one after the other. */
#include "command.h"
#include "config_value.h"
#include "crypto/secure_memory.h"
#include "key_text.h"
#include "platform.h"
#include "transport.h"

#include <stdlib.h>
#include <string.h>

struct words {
    const struct invocation *invocation;
    int next;
    bool standard_input_taken;
    struct change *change;
    struct peer_change *peer; /* the one that words refer to; NULL: the adapter */
    struct failure *failure;
};

static bool refuse(struct words *words, const char *word, const char *value, const char *wanted)
{
    if (key_may_be_in(value, strlen(value)))
        return fail(words->failure, EXIT_USAGE, "%s (argument %d) is not valid: use %s", word,
                    words->next + 1, wanted);
    return fail(words->failure, EXIT_USAGE, "%s \"%.60s\" (argument %d) is not valid: use %s", word, value,
                words->next + 1, wanted);
}

/* A key from a file.  Arguments can be seen by every user of the machine. */
static bool key_file(struct words *words, const char *word, const char *path, uint8_t key[KEY_LENGTH])
{
    bool empty; /* removes the key */
    uint8_t decoded[KEY_LENGTH];
    bool is_key = key_from_base64(decoded, path, strlen(path)) || key_from_hex(decoded, path, strlen(path));
    secure_zero(decoded, sizeof decoded);
    if (is_key)
        return fail(words->failure, EXIT_USAGE,
                    "%s wants a file, not the key itself: every user can read the arguments of a program",
                    word);
    if (platform_is_standard_input(path)) {
        if (words->standard_input_taken)
            return fail(words->failure, EXIT_USAGE, "%s: standard input can be read only once", word);
        words->standard_input_taken = true;
    }
    return key_text_read(path, key, &empty, words->failure);
}

static bool interface_word(struct words *words, const char *word, const char *value)
{
    struct change *change = words->change;
    uint64_t number;
    if (!strcmp(word, "listen-port")) {
        if (!value_number(value, strlen(value), 0, UINT16_MAX, &number))
            return refuse(words, word, value, "a number from 0 to 65535");
        change->has_listen_port = true;
        change->listen_port = (uint16_t)number;
        return true;
    }
    if (!strcmp(word, "fwmark")) {
        change->has_fwmark = true;
        return value_fwmark(value, strlen(value), &change->fwmark) ||
               refuse(words, word, value, "off, or a 32-bit number, decimal or hexadecimal with 0x");
    }
    change->has_private_key = true;
    return key_file(words, word, value, change->private_key);
}

/* "+PREFIX" adds one, "-PREFIX" takes one away; without signs the list replaces what the peer has. */
static bool allowed_ips(struct words *words, const char *word, const char *list)
{
    struct peer_change *peer = words->peer;
    bool signs = false, plain = !*list;
    for (const char *at = list; *list;) {
        size_t length = strcspn(at, ",");
        const char *end = at + length;
        while (length && (*at == ' ' || *at == '\t')) {
            at++;
            length--;
        }
        while (length && (at[length - 1] == ' ' || at[length - 1] == '\t'))
            length--;
        bool sign = length && (*at == '+' || *at == '-');
        struct config_prefix prefix;
        if (!value_prefix(at + sign, length - sign, &prefix))
            return refuse(words, word, list, "addresses/prefix lengths with commas between");
        if (!peer_change_add_prefix(peer, &prefix, sign && *at == '-'))
            return fail(words->failure, EXIT_REFUSED, "out of memory");
        signs = signs || sign;
        plain = plain || !sign;
        if (!*end)
            break;
        at = end + 1;
    }
    if (signs && plain)
        return refuse(words, word, list, "+ or - before every prefix, or before none");
    peer->replace_allowed_ips = peer->replace_allowed_ips || plain;
    return true;
}

static bool endpoint(struct words *words, const char *word, const char *value)
{
    char *host;
    uint16_t port;
    if (!value_endpoint(value, strlen(value), &host, &port))
        return refuse(words, word, value, "name:port, 192.0.2.1:port or [2001:db8::1]:port");
    words->peer->has_endpoint = true;
    bool done = endpoint_resolve(host, port, &words->peer->endpoint, words->failure);
    free(host);
    return done;
}

static bool peer_word(struct words *words, const char *word, const char *value)
{
    struct peer_change *peer = words->peer;
    uint64_t number = 0;
    if (!strcmp(word, "preshared-key")) {
        peer->has_preshared_key = true;
        return key_file(words, word, value, peer->preshared_key);
    }
    if (!strcmp(word, "endpoint"))
        return endpoint(words, word, value);
    if (!strcmp(word, "allowed-ips"))
        return allowed_ips(words, word, value);
    if (!value_is(value, strlen(value), "off") && !value_number(value, strlen(value), 0, UINT16_MAX, &number))
        return refuse(words, word, value, "off, or seconds from 0 to 65535");
    peer->has_keepalive = true;
    peer->keepalive = (uint16_t)number;
    return true;
}

static bool new_peer(struct words *words, const char *value)
{
    uint8_t key[KEY_LENGTH];
    if (!key_from_base64(key, value, strlen(value)))
        return fail(
            words->failure, EXIT_USAGE,
            "peer (argument %d) wants a public key: 44 base64 characters, as `wyrm pubkey` prints them",
            words->next + 1);
    words->peer = change_add_peer(words->change, key);
    return words->peer || fail(words->failure, EXIT_REFUSED, "out of memory");
}

static bool is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(word, *list))
            return true;
    return false;
}

static bool take_word(struct words *words)
{
    static const char *const of_interface[] = {"listen-port", "fwmark", "private-key", NULL};
    static const char *const of_peer[] = {"preshared-key", "endpoint", "persistent-keepalive", "allowed-ips",
                                          NULL};
    const char *word = words->invocation->arguments[words->next];
    bool interface = is_one_of(word, of_interface), peer = is_one_of(word, of_peer),
         starts = !strcmp(word, "peer");
    if (!interface && !peer && !starts && strcmp(word, "remove") != 0) {
        return refuse(words, "the word", word, "those of `wyrm set --help`");
    }
    if (interface && words->peer)
        return fail(words->failure, EXIT_USAGE, "%s (argument %d) belongs before the first peer", word,
                    words->next + 1);
    if (!interface && !starts && !words->peer)
        return fail(words->failure, EXIT_USAGE, "%s (argument %d) belongs after `peer KEY`", word,
                    words->next + 1);
    if (!interface && !peer && !starts) {
        words->peer->remove = true;
        return true;
    }
    if (++words->next >= words->invocation->count)
        return fail(words->failure, EXIT_USAGE, "%s (argument %d) wants a value after it", word, words->next);
    const char *value = words->invocation->arguments[words->next];
    if (starts)
        return new_peer(words, value);
    return interface ? interface_word(words, word, value) : peer_word(words, word, value);
}

bool command_set(const struct invocation *invocation, struct failure *failure)
{
    struct change change = {0};
    struct words words = {.invocation = invocation, .next = 1, .change = &change, .failure = failure};
    if (invocation->count < 2)
        return fail(failure, EXIT_USAGE, "set wants an adapter and what to set (see `wyrm set --help`)");
    bool done = true;
    for (; done && words.next < invocation->count; words.next++)
        done = take_word(&words);
    done = done && transport_set(invocation->arguments[0], &change, failure);
    change_free(&change);
    return done && report_done(invocation, invocation->arguments[0], failure);
}
