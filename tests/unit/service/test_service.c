/* The tunnel service's decisions: what an interface is given by a configuration, how two configurations
 * differ, when to try again, which names tunnels have. */
#include "check.h"

#include "plan.h"
#include "recall.h"
#include "retry.h"

#include <stdlib.h>

#define KEY1 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define KEY2 "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define HEAD "[Interface]\nPrivateKey = " KEY1 "\n"
#define PEER "[Peer]\nPublicKey = " KEY2 "\n"

static struct config *parse(const char *text)
{
    char error[512] = "";
    struct config *config = config_parse(text, strlen(text), CONFIG_QUICK, "t.conf", error, sizeof error);
    CHECK_MSG(config != NULL, "%s", error);
    return config;
}

static struct plan plan_of(const char *text)
{
    struct plan plan = {0};
    struct config *config = parse(text);
    CHECK(config && plan_make(&plan, config));
    config_free(config);
    return plan;
}

/* The prefixes with blanks between. */
static const char *text_of(const struct config_prefixes *prefixes)
{
    static char text[1024];
    text[0] = 0;
    for (size_t i = 0; i < prefixes->count; i++) {
        char one[CONFIG_PREFIX_TEXT];
        config_prefix_format(&prefixes->items[i], false, one);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "", one);
    }
    return text;
}

static void check_prefixes(const struct config_prefixes *prefixes, const char *wanted)
{
    const char *text = text_of(prefixes);
    CHECK_MSG(!strcmp(text, wanted), "\"%s\", not \"%s\"", text, wanted);
}

static void test_plan(void)
{
    struct plan plan =
        plan_of(HEAD "Address = 10.0.0.1/24, fd00::1\nMTU = 1300\nDNS = 10.0.0.53, fd00::53, a.example, "
                     "b.example\n" PEER "AllowedIPs = 10.1.2.3/16, 0.0.0.0/0, fd01::/64\n");
    check_prefixes(&plan.addresses, "10.0.0.1/24 fd00::1/128");
    check_prefixes(&plan.routes, "10.1.0.0/16 0.0.0.0/0 fd01::/64");
    CHECK(plan.mtu == 1300);
    const struct plan_family *ipv4 = &plan.families[PLAN_IPV4], *ipv6 = &plan.families[PLAN_IPV6];
    CHECK(ipv4->used && ipv4->preferred && ipv6->used && !ipv6->preferred);
    CHECK(ipv4->has_dns && !strcmp(ipv4->servers, "10.0.0.53") &&
          !strcmp(ipv4->domains, "a.example,b.example"));
    CHECK(ipv6->has_dns && !strcmp(ipv6->servers, "fd00::53") &&
          !strcmp(ipv6->domains, "a.example,b.example"));
    plan_free(&plan);

    plan = plan_of(HEAD "Table = off\n" PEER "AllowedIPs = ::/0\n");
    check_prefixes(&plan.routes, "");
    CHECK(plan.families[PLAN_IPV6].used && !plan.families[PLAN_IPV6].preferred &&
          !plan.families[PLAN_IPV4].used);
    CHECK(!plan.families[PLAN_IPV4].has_dns && !plan.families[PLAN_IPV6].has_dns);
    plan_free(&plan);

    plan = plan_of(HEAD "DNS = a.example\n");
    CHECK(plan.families[PLAN_IPV4].has_dns && !plan.families[PLAN_IPV4].servers[0]);
    CHECK(!plan.families[PLAN_IPV6].has_dns);
    plan_free(&plan);
}

static void check_missing(const char *has, const char *wanted, const char *result)
{
    char text[1024];
    struct config_prefixes missing;
    snprintf(text, sizeof text, HEAD PEER "AllowedIPs = %s\n", has);
    struct plan before = plan_of(text);
    snprintf(text, sizeof text, HEAD PEER "AllowedIPs = %s\n", wanted);
    struct plan after = plan_of(text);
    CHECK(plan_missing(&before.routes, &after.routes, &missing));
    check_prefixes(&missing, result);
    free(missing.items);
    plan_free(&before);
    plan_free(&after);
}

static void test_difference(void)
{
    check_missing("10.0.0.0/8", "10.0.0.0/8", "");
    check_missing("10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/9");
    check_missing("10.0.0.0/8, fd00::/8", "fd00::/8, 10.0.0.0/8", "");
    check_missing("10.9.9.9/8", "10.1.1.1/8, 11.0.0.0/8, 12.0.0.0/8", "11.0.0.0/8 12.0.0.0/8");
    check_missing("", "0.0.0.0/0, ::/0", "0.0.0.0/0 ::/0");
    check_missing("0.0.0.0/0", "::/0", "::/0"); /* the same bytes, another family */
    check_missing("0.0.0.0/0, ::/0", "", "");
}

static void test_dns_difference(void)
{
    struct plan none = plan_of(HEAD), one = plan_of(HEAD "DNS = 10.0.0.53\n"),
                same = plan_of(HEAD "DNS = 10.0.0.53\n"),
                domain = plan_of(HEAD "DNS = 10.0.0.53, a.example\n");
    CHECK(plan_dns_differs(&none.families[0], &one.families[0]));
    CHECK(plan_dns_differs(&one.families[0], &none.families[0]));
    CHECK(!plan_dns_differs(&one.families[0], &same.families[0]));
    CHECK(plan_dns_differs(&one.families[0], &domain.families[0]));
    CHECK(!plan_dns_differs(&none.families[1], &one.families[1]));
    plan_free(&none);
    plan_free(&one);
    plan_free(&same);
    plan_free(&domain);
}

static void test_names(void)
{
    static const char *const good[] = {"a",       "home",  "A_b=c+d.e-9",
                                       "console", "com",   "com12",
                                       "lpt",     "nul-1", "12345678901234567890123456789012"};
    static const char *const bad[] = {
        "",    ".",   "..",      "a.",  "a/b",  "a\\b",   "a b",      "a$b",
        "CON", "con", "nul.txt", "Aux", "COM1", "lpt9.x", "\xC3\xA4", "123456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_MSG(plan_name_valid(good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(!plan_name_valid(bad[i]), "%s", bad[i]);
}

static void check_refusal(const char *text, const char *part)
{
    struct config *config = parse(text);
    const char *refusal = config ? plan_refusal(config) : NULL;
    CHECK_MSG(part ? refusal && strstr(refusal, part) : !refusal, "%s",
              refusal ? refusal : "nothing is refused");
    config_free(config);
}

static void test_refusals(void)
{
    check_refusal(HEAD, NULL);
    check_refusal(HEAD "FwMark = off\n", NULL);
    check_refusal(HEAD "FwMark = 7\n", "FwMark");
    check_refusal(HEAD "SaveConfig = true\n", "SaveConfig");
    check_refusal(HEAD "PreDown = x\n", "PreDown");
}

static void check_kill_switch(const char *text, bool wanted)
{
    struct config *config = parse(text);
    CHECK_MSG(config && plan_wants_kill_switch(config) == wanted, "%s", text);
    config_free(config);
}

static void test_kill_switch(void)
{
    check_kill_switch(HEAD PEER "AllowedIPs = 0.0.0.0/0\n", true);
    check_kill_switch(HEAD PEER "AllowedIPs = 10.0.0.0/8, ::/0\n", true);
    check_kill_switch(HEAD PEER "AllowedIPs = 0.0.0.0/1, 128.0.0.0/1\n", false);
    check_kill_switch(HEAD "Table = off\n" PEER "AllowedIPs = 0.0.0.0/0\n", false);
    check_kill_switch(HEAD PEER "AllowedIPs = 0.0.0.0/0\n[Peer]\nPublicKey = " KEY1 "\n", false);
    check_kill_switch(HEAD, false);
}

static void check_name_rules(const char *text, bool wanted)
{
    struct config *config = parse(text);
    CHECK_MSG(config && plan_wants_name_rules(config) == wanted, "%s", text);
    config_free(config);
}

static void test_name_rules(void)
{
    check_name_rules(HEAD "DNS = 10.0.0.53, a.example\n" PEER "AllowedIPs = 10.0.0.0/8\n", true);
    check_name_rules(HEAD "DNS = 10.0.0.53, a.example\nTable = off\n" PEER "AllowedIPs = ::/0\n", true);
    check_name_rules(HEAD "DNS = 10.0.0.53, a.example\n" PEER "AllowedIPs = ::/0\n", false);
    check_name_rules(HEAD "DNS = 10.0.0.53\n", false);
    check_name_rules(HEAD "DNS = a.example\n", false);
}

/* All pauses from `now` until it gives up; each is waited for. */
static uint64_t waited(struct retry *retry, uint64_t now, unsigned *attempts)
{
    uint64_t begin = now;
    uint32_t pause, before = 0;
    for (*attempts = 0; (pause = retry_next(retry, now)); now += pause, ++*attempts) {
        CHECK(pause <= RETRY_LONGEST_MS && (pause >= before || now + pause == retry->deadline_ms));
        before = pause;
        if (*attempts > 1000)
            break;
    }
    return now - begin;
}

static void test_retry(void)
{
    struct retry retry;
    unsigned attempts;
    retry_begin(&retry, 5000);
    CHECK(waited(&retry, 5000, &attempts) == RETRY_BOOT_MS - 5000 && attempts > 15 && attempts < 40);
    retry_begin(&retry, RETRY_BOOT_MS - 1);
    CHECK(waited(&retry, RETRY_BOOT_MS - 1, &attempts) == RETRY_LATER_MS);
    retry_begin(&retry, UINT64_C(1) << 40);
    CHECK(waited(&retry, UINT64_C(1) << 40, &attempts) == RETRY_LATER_MS && attempts == 4);
    retry_begin_again(&retry, 7);
    CHECK(waited(&retry, 7, &attempts) == RETRY_BOOT_MS);
    retry_begin(&retry, 0);
    CHECK(retry_next(&retry, RETRY_BOOT_MS) == 0); /* an attempt that took all the time was the last */
}

static void test_restarts(void)
{
    struct restarts restarts = {0};
    for (unsigned i = 0; i < RESTARTS_MAX; i++)
        CHECK(restarts_allow(&restarts, 1000 + i));
    CHECK(!restarts_allow(&restarts, 2000));
    CHECK(!restarts_allow(&restarts, 1000 + RESTARTS_WITHIN_MS - 1));
    CHECK(restarts_allow(&restarts, 1000 + RESTARTS_WITHIN_MS)); /* the first is forgotten */
    CHECK(!restarts_allow(&restarts, 1000 + RESTARTS_WITHIN_MS));
    for (uint64_t now = UINT64_C(1) << 33; now < (UINT64_C(1) << 33) + 100 * RESTARTS_WITHIN_MS;
         now += RESTARTS_WITHIN_MS / 4)
        CHECK(restarts_allow(&restarts, now));
}

/* The resolver: the last byte of every address, 0: there is no answer. */
static uint8_t resolver;
static unsigned questions;

bool endpoint_resolve(const char *host, uint16_t port, struct endpoint *endpoint, struct failure *failure)
{
    (void)host;
    (void)failure;
    questions++;
    *endpoint = (struct endpoint){.family = 4, .address = {192, 0, 2, resolver}, .port = port};
    return resolver != 0;
}

static void check_recall(const char *host, uint16_t port, uint8_t wanted, unsigned asked)
{
    struct endpoint endpoint;
    struct failure failure;
    questions = 0;
    bool done = recall_resolve(host, port, &endpoint, &failure);
    CHECK_MSG(done == (wanted != 0) && questions == asked, "%s: %u questions", host, questions);
    CHECK(!done || (endpoint.address[3] == wanted && endpoint.port == port));
}

static void test_recall(void)
{
    check_recall("a.example", 1, 0, 1);
    resolver = 7;
    check_recall("a.example", 1, 7, 1);
    resolver = 8;
    check_recall("a.example", 2, 8, 1); /* what is asked for anew is right */
    check_recall("b.example", 3, 8, 1);
    resolver = 0;
    check_recall("a.example", 4, 8, 1); /* no answer: what was known */
    resolver = 9;
    recall_only(true);
    check_recall("a.example", 5, 8, 0);
    check_recall("c.example", 5, 9, 1); /* not known */
    check_recall("c.example", 6, 9, 0);
    recall_only(false);
    check_recall("b.example", 7, 9, 1);
    recall_forget();
    resolver = 0;
    check_recall("a.example", 1, 0, 1);
}

int main(void)
{
    test_plan();
    test_difference();
    test_dns_difference();
    test_names();
    test_refusals();
    test_kill_switch();
    test_name_rules();
    test_retry();
    test_restarts();
    test_recall();
    return check_summary();
}
