/* Which address of an endpoint's name is used, and when the name is asked for again, with virtual time. */
#include "check.h"

#include "endpoint_policy.h"

#include <stdlib.h>

static struct endpoint v4(uint8_t last)
{
    return (struct endpoint){.family = 4, .address = {192, 0, 2, last}, .port = 51820};
}

static struct endpoint v6(uint8_t last)
{
    return (struct endpoint){.family = 6, .address = {0x20, 0x01, 0x0d, 0xb8, [15] = last}, .port = 51820};
}

static bool is(const struct endpoint *left, struct endpoint right)
{
    return endpoint_equal(left, &right);
}

/* A peer at which nobody or somebody answers, and its machine. */
struct world {
    struct endpoint_policy policy;
    uint64_t now;
    uint64_t sent, handshake;
    struct endpoint used;
    unsigned asked, given;
};

static void tell(struct world *world)
{
    endpoint_policy_counters(&world->policy, world->sent, world->handshake, &world->used, world->now);
}

static enum endpoint_action poll(struct world *world)
{
    struct endpoint address = {0};
    enum endpoint_action action = endpoint_policy_poll(&world->policy, world->now, &address);
    if (action == ENDPOINT_USE) {
        world->used = address;
        world->given++;
    }
    world->asked += action == ENDPOINT_ASK;
    return action;
}

static void begin(struct world *world, const struct endpoint *current)
{
    *world = (struct world){.now = 1000000};
    if (current)
        world->used = *current;
    endpoint_policy_begin(&world->policy, current, world->now);
    CHECK(endpoint_policy_due(&world->policy) == 0);
    CHECK(poll(world) == ENDPOINT_ASK && poll(world) == ENDPOINT_WAIT);
}

static void answer(struct world *world, const struct endpoint *addresses, size_t count)
{
    endpoint_policy_answer(&world->policy, addresses, count, world->now);
}

/* Lets time pass in steps of a second, with data being sent; stops at the first action. */
static enum endpoint_action pass(struct world *world, unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        world->now += 1000;
        world->sent += 148;
        tell(world);
        enum endpoint_action action = poll(world);
        if (action != ENDPOINT_WAIT)
            return action;
    }
    return ENDPOINT_WAIT;
}

static void test_first_answer(void)
{
    struct world world;
    struct endpoint addresses[] = {v6(1), v6(2), v4(1)};
    begin(&world, NULL);
    answer(&world, addresses, 3);
    CHECK(poll(&world) == ENDPOINT_USE && is(&world.used, v6(1)));
    CHECK(poll(&world) == ENDPOINT_WAIT && endpoint_policy_due(&world.policy) == UINT64_MAX);
    /* Nothing is sent: nothing is known, nothing is done. */
    world.now += 3600000;
    tell(&world);
    CHECK(poll(&world) == ENDPOINT_WAIT);
}

/* Nobody answers at any: the families in turn, each for its 15 s, then the name again, ever more rarely. */
static void test_nobody_answers(void)
{
    struct world world;
    struct endpoint addresses[] = {v6(1), v6(2), v4(1)};
    begin(&world, NULL);
    answer(&world, addresses, 3);
    CHECK(poll(&world) == ENDPOINT_USE);
    uint64_t given = world.now;
    CHECK(pass(&world, 60) == ENDPOINT_USE && is(&world.used, v4(1))); /* the other family, not v6(2) */
    CHECK_MSG(world.now - given >= ENDPOINT_TRIAL_MS && world.now - given <= ENDPOINT_TRIAL_MS + 2000, "%llu",
              (unsigned long long)(world.now - given));
    CHECK(pass(&world, 60) == ENDPOINT_USE && is(&world.used, v6(2)));
    CHECK(pass(&world, 60) == ENDPOINT_ASK);
    uint64_t before = 0;
    for (int i = 0; i < 12; i++) {
        answer(&world, NULL, 0); /* no answer */
        uint64_t asked = world.now;
        CHECK(pass(&world, 3600) == ENDPOINT_ASK);
        uint64_t pause = world.now - asked;
        CHECK_MSG(pause >= before && pause <= ENDPOINT_ASK_LONGEST_MS + 1000, "%llu after %llu",
                  (unsigned long long)pause, (unsigned long long)before);
        before = pause;
    }
    CHECK(before >= ENDPOINT_ASK_LONGEST_MS);
    /* The address moved: it is used at once. */
    struct endpoint moved = v4(9);
    answer(&world, &moved, 1);
    CHECK(poll(&world) == ENDPOINT_USE && is(&world.used, v4(9)));
}

/* A peer that answers is left alone, whatever the name says in between; it is missed after 135 s. */
static void test_session(void)
{
    struct world world;
    struct endpoint addresses[] = {v4(1), v4(2)};
    begin(&world, NULL);
    answer(&world, addresses, 2);
    CHECK(poll(&world) == ENDPOINT_USE && is(&world.used, v4(1)));
    for (int i = 0; i < 30; i++) {
        world.handshake = world.now += 120000;
        world.sent += 10000;
        tell(&world);
        CHECK(poll(&world) == ENDPOINT_WAIT);
    }
    uint64_t last = world.handshake;
    CHECK(pass(&world, 600) == ENDPOINT_USE && is(&world.used, v4(2)));
    CHECK_MSG(world.now - last >= ENDPOINT_STALE_MS && world.now - last <= ENDPOINT_STALE_MS + 2000, "%llu",
              (unsigned long long)(world.now - last));
    CHECK(pass(&world, 600) == ENDPOINT_ASK);
    /* An idle tunnel whose last handshake is old is no failure: data has its 15 s for a new one. */
    begin(&world, NULL);
    answer(&world, addresses, 2);
    CHECK(poll(&world) == ENDPOINT_USE);
    world.handshake = world.now;
    tell(&world);
    world.now += 86400000;
    tell(&world);
    CHECK(poll(&world) == ENDPOINT_WAIT);
    CHECK(pass(&world, 10) == ENDPOINT_WAIT);
    world.handshake = world.now;
    tell(&world);
    CHECK(pass(&world, 100) == ENDPOINT_WAIT);
}

/* The peer roamed: where it was heard is the address in use. */
static void test_roaming(void)
{
    struct world world;
    struct endpoint first = v4(1);
    begin(&world, &first);
    answer(&world, &first, 1);
    CHECK(poll(&world) == ENDPOINT_WAIT); /* it is there already */
    world.used = v4(77);
    world.handshake = world.now += 1000;
    tell(&world);
    CHECK(pass(&world, 100) == ENDPOINT_WAIT);
    CHECK(is(&world.policy.current, v4(77)));
    CHECK(pass(&world, 100) == ENDPOINT_USE && is(&world.used, v4(1)));
}

static void test_network_changes(void)
{
    struct world world;
    struct endpoint addresses[] = {v6(1), v4(1)};
    begin(&world, NULL);
    endpoint_policy_network(&world.policy, true, false); /* IPv4 only */
    answer(&world, addresses, 2);
    CHECK(poll(&world) == ENDPOINT_USE && is(&world.used, v4(1)));
    CHECK(poll(&world) == ENDPOINT_ASK); /* because of the change */
    answer(&world, addresses, 2);
    CHECK(poll(&world) == ENDPOINT_WAIT);
    /* IPv6 comes as well: what works stays. */
    world.handshake = world.now += 1000;
    tell(&world);
    endpoint_policy_network(&world.policy, true, true);
    CHECK(endpoint_policy_due(&world.policy) == 0);
    CHECK(poll(&world) == ENDPOINT_ASK);
    answer(&world, addresses, 2);
    CHECK(poll(&world) == ENDPOINT_WAIT && is(&world.policy.current, v4(1)));
    /* IPv4 goes: the other at once, before any answer. */
    endpoint_policy_network(&world.policy, false, true);
    CHECK(poll(&world) == ENDPOINT_USE && is(&world.used, v6(1)));
    CHECK(poll(&world) == ENDPOINT_ASK);
    /* Nothing at all: nothing to try, and the name is not asked for again and again. */
    endpoint_policy_network(&world.policy, false, false);
    world.now += 1000;
    CHECK(poll(&world) == ENDPOINT_WAIT); /* an answer is owed */
    answer(&world, NULL, 0);
    CHECK(poll(&world) == ENDPOINT_ASK);
    answer(&world, addresses, 2);
    CHECK(poll(&world) == ENDPOINT_WAIT);
    CHECK(poll(&world) == ENDPOINT_WAIT);
}

static void test_many_addresses(void)
{
    struct world world;
    struct endpoint addresses[40];
    for (uint8_t i = 0; i < 40; i++)
        addresses[i] = i < 30 ? v6(i) : v4(i);
    begin(&world, NULL);
    answer(&world, addresses, 40);
    CHECK(world.policy.count == ENDPOINT_ADDRESSES);
    for (size_t i = 0; i < ENDPOINT_ADDRESSES; i++)
        CHECK(world.policy.addresses[i].family == (i % 2 ? 4 : 6));
    answer(&world, addresses, 3);
    CHECK(world.policy.count == 3 && is(&world.policy.addresses[2], v6(2)));
    answer(&world, addresses + 29, 3);
    CHECK(world.policy.count == 3 && is(&world.policy.addresses[1], v4(30)) &&
          is(&world.policy.addresses[2], v4(31)));
}

/* Whatever happens: no two questions at once, no address without a route, every answer is dealt with, and
 * what endpoint_policy_due() promises holds: nothing is to be done before it. */
static void test_random(void)
{
    uint32_t seed = 7;
    for (int run = 0; run < 300; run++) {
        struct world world;
        bool asking = true, ipv4 = true, ipv6 = true;
        begin(&world, NULL);
        for (int step = 0; step < 400; step++) {
            seed = seed * 1664525u + 1013904223u;
            unsigned dice = seed >> 24;
            struct endpoint addresses[4] = {v6((uint8_t)(dice % 3)), v4((uint8_t)(dice % 5)), v6(7), v4(8)};
            uint64_t due = endpoint_policy_due(&world.policy);
            world.now += (seed >> 8) % 7000;
            if (dice < 100)
                world.sent += dice + 1;
            if (dice > 230)
                world.handshake = world.now;
            if (dice % 11 == 0)
                endpoint_policy_network(&world.policy, ipv4 = dice & 16, ipv6 = dice & 32);
            bool quiet = dice >= 100 && dice <= 230 && dice % 11 != 0;
            if (asking && dice % 3 == 0) {
                answer(&world, addresses + dice % 2, dice % 4);
                asking = quiet = false;
            }
            tell(&world);
            enum endpoint_action action = poll(&world);
            CHECK(!(quiet && world.now < due) || action == ENDPOINT_WAIT);
            CHECK(action != ENDPOINT_ASK || !asking);
            CHECK(action != ENDPOINT_USE || (world.used.family == 4 ? ipv4 : ipv6));
            asking = asking || action == ENDPOINT_ASK;
        }
    }
}

int main(void)
{
    test_first_answer();
    test_nobody_answers();
    test_session();
    test_roaming();
    test_network_changes();
    test_many_addresses();
    test_random();
    return check_summary();
}
