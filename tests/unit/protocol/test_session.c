/* Sessions: nonces and their limit, ages, renewal; and the rotation of a peer's three sessions as tables. */
#include "protocol/session_set.h"
#include "support.h"

static void make(struct session *session, bool is_initiator, uint64_t birth_ns)
{
    uint8_t send_key[32], receive_key[32];
    memset(send_key, 1, 32);
    memset(receive_key, 2, 32);
    session_init(session, send_key, receive_key, 10, 20, is_initiator, birth_ns);
}

static void test_nonces(void)
{
    struct session s;
    uint64_t first;
    make(&s, true, TEST_NOW_NS);
    CHECK(session_reserve_nonces(&s, 1, &first) && first == 0);
    CHECK(session_reserve_nonces(&s, 64, &first) && first == 1);
    CHECK(session_reserve_nonces(&s, 1, &first) && first == 65);

    s.send_counter = REJECT_AFTER_MESSAGES - 10;
    CHECK(session_may_send(&s, TEST_NOW_NS));
    CHECK(!session_reserve_nonces(&s, 11, &first));
    CHECK(session_reserve_nonces(&s, 9, &first) && first == REJECT_AFTER_MESSAGES - 10);
    CHECK(!session_reserve_nonces(&s, 2, &first));
    CHECK(session_reserve_nonces(&s, 1, &first) && first == REJECT_AFTER_MESSAGES - 1);
    CHECK(!session_may_send(&s, TEST_NOW_NS));
    for (int n = 0; n < 100000; n++) {
        if (session_reserve_nonces(&s, 65536, &first) || session_reserve_nonces(&s, 1, &first))
            CHECK(!"a nonce beyond the limit");
    }
    CHECK(s.send_counter == REJECT_AFTER_MESSAGES);
    CHECK(session_may_receive(&s, TEST_NOW_NS)); /* our nonces are used up, the peer's are not */
    CHECK(session_accept_counter(&s, REJECT_AFTER_MESSAGES - 1) &&
          !session_accept_counter(&s, REJECT_AFTER_MESSAGES));
}

static void test_age(void)
{
    static const struct {
        uint64_t age_ns;
        bool usable, rekey_on_send_initiator, rekey_on_receive_initiator;
    } rows[] = {
        {0, true, false, false},
        {REKEY_AFTER_TIME_NS - 1, true, false, false},
        {REKEY_AFTER_TIME_NS, true, true, false},
        {165 * NS_PER_SECOND - 1, true, true, false},
        {165 * NS_PER_SECOND, true, true, true},
        {REJECT_AFTER_TIME_NS - 1, true, true, true},
        {REJECT_AFTER_TIME_NS, false, true, true},
        {10 * REJECT_AFTER_TIME_NS, false, true, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct session s;
        uint64_t now_ns = TEST_NOW_NS + rows[i].age_ns;
        make(&s, true, TEST_NOW_NS);
        CHECK(session_may_send(&s, now_ns) == rows[i].usable &&
              session_may_receive(&s, now_ns) == rows[i].usable);
        CHECK(session_wants_rekey_on_send(&s, now_ns) == rows[i].rekey_on_send_initiator);
        CHECK(session_wants_rekey_on_send(&s, now_ns) == rows[i].rekey_on_send_initiator); /* again */
        CHECK(session_wants_rekey_on_receive(&s, now_ns) == rows[i].rekey_on_receive_initiator);
        CHECK(!session_wants_rekey_on_receive(&s, now_ns)); /* once per session */
        make(&s, false, TEST_NOW_NS);
        CHECK(session_may_send(&s, now_ns) == rows[i].usable &&
              session_may_receive(&s, now_ns) == rows[i].usable);
        CHECK(!session_wants_rekey_on_send(&s, now_ns) && !session_wants_rekey_on_receive(&s, now_ns));
    }
    /* another CPU's clock a little behind the birth */
    struct session s;
    make(&s, true, TEST_NOW_NS);
    CHECK(session_may_send(&s, TEST_NOW_NS - 1) && session_may_receive(&s, TEST_NOW_NS - 1));
    CHECK(!session_wants_rekey_on_send(&s, TEST_NOW_NS - 1));
    /* by messages, in either role */
    for (int role = 0; role < 2; role++) {
        make(&s, role, TEST_NOW_NS);
        s.send_counter = REKEY_AFTER_MESSAGES;
        CHECK(!session_wants_rekey_on_send(&s, TEST_NOW_NS));
        s.send_counter++;
        CHECK(session_wants_rekey_on_send(&s, TEST_NOW_NS) && session_may_send(&s, TEST_NOW_NS));
    }
}

static void test_stop(void)
{
    struct session s;
    make(&s, true, TEST_NOW_NS);
    session_stop_sending(&s);
    CHECK(!session_may_send(&s, TEST_NOW_NS) && session_may_receive(&s, TEST_NOW_NS));
    session_stop(&s);
    CHECK(!session_may_send(&s, TEST_NOW_NS) && !session_may_receive(&s, TEST_NOW_NS));
    make(&s, true, TEST_NOW_NS);
    session_wipe(&s);
    CHECK(!session_may_send(&s, TEST_NOW_NS) && !session_may_receive(&s, TEST_NOW_NS));
    CHECK(all_zero(s.send_key, 32) && all_zero(s.receive_key, 32));
}

/* ---- rotation ----
 * Sessions are letters: upper case made as initiator, lower case as responder.  A set reads "previous current
 * next". */

static struct session sessions[128];

static struct session *by_letter(char letter)
{
    return letter == '-' ? NULL : &sessions[(int)letter];
}

static char letter_of(const struct session *session)
{
    return session ? (char)(session - sessions) : '-';
}

struct rotation {
    const char *what, *before, *operation, *after, *evicted;
};

/* operations: +X add X, !X an authenticated packet came in on X, 0 clear, x expire */
static const struct rotation rotations[] = {
    {"first session as initiator", "---", "+A", "-A-", ""},
    {"first session as responder waits", "---", "+a", "--a", ""},
    {"and is confirmed", "--a", "!a", "-a-", ""},
    {"renewed as initiator", "-A-", "+B", "AB-", ""},
    {"renewed as initiator again", "AB-", "+C", "BC-", "A"},
    {"renewed as responder: previous goes", "AB-", "+c", "-Bc", "A"},
    {"confirmed: current becomes previous", "-Bc", "!c", "Bc-", ""},
    {"unconfirmed replaced by a newer one (lost response)", "-Bc", "+d", "-Bd", "c"},
    {"unconfirmed only, replaced", "--c", "+d", "--d", "c"},
    {"the superseded one comes in late: nothing", "-Bd", "!c", "-Bd", ""},
    {"initiator wins while one waits: it may still come in as previous", "-Bc", "+D", "cD-", "B"},
    {"the same with a previous", "ABc", "+D", "cD-", "AB"},
    {"initiator wins, only a waiting one", "--c", "+D", "cD-", ""},
    {"data on the demoted one confirms nothing", "cD-", "!c", "cD-", ""},
    {"data on current", "AB-", "!B", "AB-", ""},
    {"data on previous", "AB-", "!A", "AB-", ""},
    {"data on current while one waits", "-Bc", "!B", "-Bc", ""},
    {"confirm evicts previous", "ABc", "!c", "Bc-", "A"},
    {"nobody is no next", "AB-", "!-", "AB-", ""},
    {"clear", "ABc", "0", "---", "ABc"},
    {"clear an empty set", "---", "0", "---", ""},
    {"expire drops the unconfirmed and stops current", "ABc", "x", "AB-", "c"},
    {"expire an empty set", "---", "x", "---", ""},
};

static void run_rotation(const struct rotation *row)
{
    struct session_set set;
    struct session_evictions evictions = {.count = 77};
    session_set_init(&set);
    CHECK(!set.previous && !set.current && !set.next);
    for (int letter = 'A'; letter <= 'z'; letter++)
        make(&sessions[letter], letter <= 'Z', TEST_NOW_NS);
    set.previous = by_letter(row->before[0]);
    set.current = by_letter(row->before[1]);
    set.next = by_letter(row->before[2]);

    struct session *operand = row->operation[1] ? by_letter(row->operation[1]) : NULL;
    switch (row->operation[0]) {
    case '+':
        session_set_add(&set, operand, &evictions);
        break;
    case '!': {
        bool confirmed = session_set_confirm(&set, operand, &evictions);
        CHECK_MSG(confirmed == (operand && row->before[2] == row->operation[1]), "%s", row->what);
        break;
    }
    case '0':
        session_set_clear(&set, &evictions);
        break;
    default:
        session_set_expire(&set, &evictions);
        if (set.current)
            CHECK(!session_may_send(set.current, TEST_NOW_NS) &&
                  session_may_receive(set.current, TEST_NOW_NS));
        break;
    }
    char after[4] = {letter_of(session_set_previous(&set)), letter_of(session_set_current(&set)),
                     letter_of(session_set_next(&set)), 0};
    char evicted[4] = {0};
    CHECK(evictions.count <= 3);
    for (uint32_t i = 0; i < evictions.count; i++)
        evicted[i] = letter_of(evictions.sessions[i]);
    CHECK_MSG(strcmp(after, row->after) == 0 && strcmp(evicted, row->evicted) == 0, "%s: %s, evicted %s",
              row->what, after, evicted);
}

/* Random operations: every session that went in is in the set or was evicted, once. */
static void test_no_session_is_lost(void)
{
    struct random rng = {3};
    struct session_set set;
    struct session_evictions evictions;
    static struct session pool[2000];
    static int references[2000];
    session_set_init(&set);
    for (int n = 0; n < 2000; n++) {
        make(&pool[n], random_below(&rng, 2), TEST_NOW_NS);
        references[n] = 1;
        session_set_add(&set, &pool[n], &evictions);
        for (int again = 0; again < 2; again++) {
            for (uint32_t i = 0; i < evictions.count; i++)
                references[evictions.sessions[i] - pool]--;
            if (again)
                break;
            if (random_below(&rng, 2))
                session_set_confirm(&set, &pool[n], &evictions);
            else if (random_below(&rng, 20) == 0)
                session_set_expire(&set, &evictions);
            else
                evictions.count = 0;
        }
        int held = 0;
        for (int i = 0; i <= n; i++) {
            bool in_set = set.previous == &pool[i] || set.current == &pool[i] || set.next == &pool[i];
            held += in_set;
            if (references[i] != in_set)
                CHECK_MSG(references[i] == in_set, "session %d after %d", i, n);
        }
        CHECK(held <= 3);
    }
    session_set_clear(&set, &evictions);
    for (uint32_t i = 0; i < evictions.count; i++)
        references[evictions.sessions[i] - pool]--;
    int left = 0;
    for (int i = 0; i < 2000; i++)
        left += references[i] != 0;
    CHECK(left == 0);
}

int main(void)
{
    test_nonces();
    test_age();
    test_stop();
    for (size_t i = 0; i < sizeof(rotations) / sizeof(rotations[0]); i++)
        run_rotation(&rotations[i]);
    test_no_session_is_lost();
    return check_summary();
}
