/* After wiping, no secret is left: neither in the objects nor, below them, on the stack that the protocol and
 * the primitives ran on.  A full handshake with cookies runs on a thread whose stack and objects lie
 * in memory that is searched afterwards.  Positive controls: before wiping, the same search finds each
 * secret. */
#include "support.h"
#include <pthread.h>
#include <sys/mman.h>

/* The sanitiser's fake stacks would hide the real one. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_stack_use_after_return=0";
}

#define ARENA_BYTES ((size_t)1 << 16)
#define STACK_BYTES ((size_t)1 << 20)

enum secret_name {
    STATIC_A,
    STATIC_B,
    PRESHARED,
    STATIC_STATIC,
    EPHEMERAL_A,
    EPHEMERAL_B,
    CHAINING_KEY,
    SEND_A,
    SEND_B,
    COOKIE_SECRET,
    COOKIE,
    SECRETS,
};
static const char *const secret_names[SECRETS] = {
    "static private key a", "static private key b", "preshared key", "static-static secret",
    "ephemeral key a",      "ephemeral key b",      "chaining key",  "sending key a",
    "sending key b",        "cookie secret",        "cookie",
};
static uint8_t masked[SECRETS][32]; /* complemented, so that this is no copy */
static size_t secret_length[SECRETS];

struct arena {
    struct side a, b;
    struct session sa, sb;
    struct initiation initiation;
    uint8_t random_a[32], random_b[32], secret[32];
};
static struct arena *arena;
static uint8_t *stack;

__attribute__((no_sanitize("address"))) static bool contains(const uint8_t *memory, size_t length,
                                                             const uint8_t *mask)
{
    for (size_t i = 0; i + 16 <= length; i++) {
        size_t n = 0;
        while (n < 16 && (uint8_t)~memory[i + n] == mask[n])
            n++;
        if (n == 16)
            return true;
    }
    return false;
}

/* Either half of it, anywhere. */
static bool present(const uint8_t *memory, size_t length, enum secret_name name)
{
    return contains(memory, length, masked[name]) ||
           (secret_length[name] == 32 && contains(memory, length, masked[name] + 16));
}

static void note(enum secret_name name, const uint8_t *secret, size_t length)
{
    for (size_t i = 0; i < length; i++)
        masked[name][i] = (uint8_t)~secret[i];
    secret_length[name] = length;
}

static void check_found(enum secret_name name)
{
    CHECK_MSG(present((uint8_t *)arena, ARENA_BYTES, name), "control: %s", secret_names[name]);
}

static void fill(uint8_t *out, size_t length)
{
    static struct random rng = {23};
    random_bytes(&rng, out, length);
}

static void clamp(uint8_t *key)
{
    key[0] &= 248;
    key[31] = (uint8_t)((key[31] & 127) | 64);
}

static void set_up(void)
{
    struct side *sides[2] = {&arena->a, &arena->b};
    for (int i = 0; i < 2; i++) {
        fill(arena->secret, 32);
        clamp(arena->secret);
        note(i ? STATIC_B : STATIC_A, arena->secret, 32);
        identity_init(&sides[i]->identity);
        identity_set(&sides[i]->identity, arena->secret);
    }
    fill(arena->secret, 32);
    note(PRESHARED, arena->secret, 32);
    for (int i = 0; i < 2; i++) {
        const uint8_t *other = sides[1 - i]->identity.public_key;
        handshake_init(&sides[i]->handshake, &sides[i]->identity, other);
        handshake_set_preshared_key(&sides[i]->handshake, arena->secret);
        cookie_checker_init(&sides[i]->checker);
        cookie_checker_set_identity(&sides[i]->checker, sides[i]->identity.public_key);
        cookie_maker_init(&sides[i]->maker, other);
    }
    note(STATIC_STATIC, arena->a.handshake.static_static, 32);
    check_found(STATIC_A);
    check_found(STATIC_B);
    check_found(PRESHARED);
    check_found(STATIC_STATIC);
}

static void exchange(void)
{
    struct side *a = &arena->a, *b = &arena->b;
    struct message_initiation initiation;
    struct message_response response;
    struct message_cookie_reply reply;
    uint8_t timestamp[12], nonce[24] = {0}, source[COOKIE_SOURCE_BYTES] = {1};
    uint32_t released;
    tai64n_from_system_time(timestamp, TEST_UTC_100NS);
    fill(arena->random_a, 32);
    fill(arena->random_b, 32);
    clamp(arena->random_a);
    clamp(arena->random_b);
    note(EPHEMERAL_A, arena->random_a, 32);
    note(EPHEMERAL_B, arena->random_b, 32);

    CHECK(handshake_create_initiation(&a->handshake, &a->identity, 1, arena->random_a, timestamp, &initiation,
                                      &released) == HANDSHAKE_OK);
    cookie_maker_add_macs(&a->maker, &initiation, sizeof(initiation), TEST_NOW_NS);
    fill(arena->secret, 32);
    note(COOKIE_SECRET, arena->secret, 32);
    cookie_checker_rotate_secret(&b->checker, arena->secret, TEST_NOW_NS);
    CHECK(cookie_checker_create_reply(&b->checker, &reply, &initiation, sizeof(initiation), source, nonce,
                                      TEST_NOW_NS));
    CHECK(cookie_maker_consume_reply(&a->maker, &reply, TEST_NOW_NS));
    note(COOKIE, a->maker.cookie, 16);
    cookie_maker_add_macs(&a->maker, &initiation, sizeof(initiation), TEST_NOW_NS);
    CHECK(cookie_checker_verify(&b->checker, &initiation, sizeof(initiation), source, true, TEST_NOW_NS) ==
          COOKIE_MAC2_VALID);

    CHECK(initiation_open(&arena->initiation, &b->identity, &initiation) == HANDSHAKE_OK);
    CHECK(handshake_consume_initiation(&b->handshake, &arena->initiation, TEST_NOW_NS, &released) ==
          HANDSHAKE_OK);
    CHECK(handshake_create_response(&b->handshake, 2, arena->random_b, &response) == HANDSHAKE_OK);
    /* error paths leave nothing either */
    struct message_response damaged = response;
    damaged.encrypted_nothing[0] ^= 1;
    CHECK(handshake_consume_response(&a->handshake, &a->identity, &damaged) ==
          HANDSHAKE_AUTHENTICATION_FAILED);
    CHECK(handshake_consume_response(&a->handshake, &a->identity, &response) == HANDSHAKE_OK);
    note(CHAINING_KEY, a->handshake.symmetric.chaining_key, 32);
    check_found(EPHEMERAL_A);
    check_found(EPHEMERAL_B);
    check_found(CHAINING_KEY);
    check_found(COOKIE_SECRET);
    check_found(COOKIE);
    /* what the caller passed in is the caller's to wipe */
    memset(arena->random_a, 0, sizeof(arena->random_a));
    memset(arena->random_b, 0, sizeof(arena->random_b));
    memset(arena->secret, 0, sizeof(arena->secret));

    CHECK(handshake_begin_session(&a->handshake, &arena->sa, TEST_NOW_NS) == HANDSHAKE_OK);
    CHECK(handshake_begin_session(&b->handshake, &arena->sb, TEST_NOW_NS) == HANDSHAKE_OK);
    note(SEND_A, arena->sa.send_key, 32);
    note(SEND_B, arena->sb.send_key, 32);
    check_found(SEND_A);
    check_found(SEND_B);
}

/* handshake_begin_session alone erases what belongs to the handshake. */
static void check_handshake_erased(void)
{
    static const enum secret_name names[] = {EPHEMERAL_A, EPHEMERAL_B, CHAINING_KEY};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK_MSG(!present((uint8_t *)arena, ARENA_BYTES, names[i]), "after begin_session: %s",
                  secret_names[names[i]]);
}

static void wipe(void)
{
    session_wipe(&arena->sa);
    session_wipe(&arena->sb);
    struct side *sides[2] = {&arena->a, &arena->b};
    for (int i = 0; i < 2; i++) {
        handshake_destroy(&sides[i]->handshake);
        identity_clear(&sides[i]->identity);
        cookie_checker_wipe(&sides[i]->checker);
        cookie_maker_wipe(&sides[i]->maker);
    }
}

static void *run(void *unused)
{
    set_up();
    exchange();
    check_handshake_erased();
    wipe();
    return NULL;
}

/* A secret on the searched stack is found: the search sees what a thread leaves there.  Deep, since a
 * thread's end uses the first few hundred bytes again. */
static void *leak(void *unused)
{
    volatile uint8_t left_behind[8192];
    for (int i = 0; i < 32; i++)
        left_behind[i] = (uint8_t)~masked[SEND_A][i];
    return NULL;
}

static void on_searched_stack(void *(*function)(void *))
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, STACK_BYTES);
    CHECK(pthread_create(&thread, &attributes, function, NULL) == 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

int main(void)
{
    int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
    arena = mmap(NULL, ARENA_BYTES, protection, flags, -1, 0);
    stack = mmap(NULL, STACK_BYTES, protection, flags, -1, 0);
    CHECK(sizeof(*arena) <= ARENA_BYTES);
    on_searched_stack(run);
    for (int name = 0; name < SECRETS; name++) {
        CHECK_MSG(!present((uint8_t *)arena, ARENA_BYTES, name), "in an object: %s", secret_names[name]);
        CHECK_MSG(!present(stack, STACK_BYTES, name), "on the stack: %s", secret_names[name]);
    }
    on_searched_stack(leak);
    CHECK_MSG(present(stack, STACK_BYTES, SEND_A), "control: the search does not see the stack");
    return check_summary();
}
