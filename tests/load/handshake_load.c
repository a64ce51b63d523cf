/* Handshake load, made by our own initiator (src/protocol), for suites and ./bench:
 *
 *   handshake_load keys N                            the public keys of N known peers, base64, one a line
 *   handshake_load answered OPTIONS                  how many initiations of known peers are answered per
 * second handshake_load flood OPTIONS                     initiations of strangers
 *
 * The known peers' private keys follow from a line on standard input (a seed), so that they are in no
 * argument. Results are one line of JSON.  Everything costly is computed before the clock starts. */
#include "crypto/blake2s.h"
#include "crypto/x25519.h"
#include "load_socket.h"
#include "protocol/cookie.h"
#include "protocol/handshake.h"
#include "protocol/tai64n.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STRANGERS        64
#define RESEND_NS        NS_PER_SECOND
#define SCAN_NS          (5 * NS_PER_MS) /* how often is looked for what to send again */
#define SENDS_MAX        40              /* of one peer's initiation in a round */
#define VERIFIED_ANSWERS 16              /* opened completely, after the clock stopped */
#define ROUND_MAX_NS     (60 * NS_PER_SECOND)
#define NT_EPOCH_100NS   UINT64_C(116444736000000000)

struct options {
    struct load_sockets sockets;
    uint8_t responder[PUBLIC_KEY_BYTES];
    bool has_responder;
    uint32_t peers, window, rounds, sources, ports;
    uint64_t count, rate;
    bool garbage, take_cookies;
};

static volatile sig_atomic_t stopping;

static void stop(int number)
{
    (void)number;
    stopping = 1;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* Rather than waiting for the next answer: a wake-up per datagram would cost the machine more than the load.
 */
static void nap(void)
{
    static const struct timespec half_a_millisecond = {.tv_nsec = 500000};
    nanosleep(&half_a_millisecond, NULL);
}

static void timestamp_now(uint8_t label[TAI64N_BYTES])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    tai64n_from_system_time(label,
                            NT_EPOCH_100NS + (uint64_t)now.tv_sec * 10000000 + (uint64_t)now.tv_nsec / 100);
}

/* ---- keys ---- */

static uint8_t seed[64];

static bool read_seed(void)
{
    return fgets((char *)seed, sizeof(seed), stdin) != NULL;
}

/* 32 bytes that follow from the seed, a purpose and a number. */
static void derive(uint8_t out[32], uint32_t purpose, uint64_t number)
{
    uint8_t input[sizeof(seed) + 12];
    memcpy(input, seed, sizeof(seed));
    store_le32(input + sizeof(seed), purpose);
    store_le64(input + sizeof(seed) + 4, number);
    blake2s(out, 32, input, sizeof(input), NULL, 0);
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void print_key(const uint8_t key[32])
{
    char text[45];
    for (uint32_t i = 0; i < 11; i++) {
        uint32_t value = 0;
        for (uint32_t j = 0; j < 3; j++)
            value = value << 8 | (i * 3 + j < 32 ? key[i * 3 + j] : 0);
        for (uint32_t j = 0; j < 4; j++)
            text[i * 4 + j] = base64_digits[value >> (18 - 6 * j) & 63];
    }
    text[43] = '=';
    text[44] = 0;
    puts(text);
}

static bool parse_key(const char *text, uint8_t key[32])
{
    uint8_t bytes[33] = {0};
    if (!text || strlen(text) != 44 || text[43] != '=')
        return false;
    for (uint32_t i = 0; i < 43; i++) {
        const char *digit = strchr(base64_digits, text[i]);
        if (!digit)
            return false;
        uint32_t value = (uint32_t)(digit - base64_digits);
        for (uint32_t bit = 0; bit < 6; bit++)
            if (value >> (5 - bit) & 1 && (i * 6 + bit) / 8 < 33)
                bytes[(i * 6 + bit) / 8] |= (uint8_t)(0x80 >> (i * 6 + bit) % 8);
    }
    memcpy(key, bytes, 32);
    return true;
}

static int print_keys(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t private_key[32], public_key[32];
        derive(private_key, 1, i);
        x25519_base(public_key, private_key);
        print_key(public_key);
    }
    return 0;
}

/* ---- initiators ---- */

struct initiator {
    struct identity identity;
    struct handshake handshake;
    struct cookie_maker cookie;
    struct message_initiation message;
    struct message_response response; /* of this round */
    uint64_t sent_ns;                 /* TIME_NEVER_NS: not waiting for an answer */
    uint32_t sends;
    bool answered;
};

static uint64_t ephemerals;

/* Receiver indexes are the initiator's number plus 1: the answer tells whose it is. */
static void initiator_prepare(struct initiator *initiator, const struct options *options, uint32_t number)
{
    uint8_t random[32], label[TAI64N_BYTES];
    uint32_t released;
    derive(random, 2, ephemerals++);
    timestamp_now(label);
    initiator->answered = false;
    initiator->sent_ns = TIME_NEVER_NS;
    initiator->sends = 0;
    cookie_maker_init(&initiator->cookie, options->responder);
    if (handshake_create_initiation(&initiator->handshake, &initiator->identity, number + 1, random, label,
                                    &initiator->message, &released) != HANDSHAKE_OK) {
        fputs("handshake_load: the responder's key is not usable\n", stderr);
        exit(1);
    }
    cookie_maker_add_macs(&initiator->cookie, &initiator->message, sizeof(initiator->message), now_ns());
}

static struct initiator *initiators_create(const struct options *options, uint32_t count, uint32_t purpose)
{
    struct initiator *initiators = calloc(count, sizeof(*initiators));
    for (uint32_t i = 0; initiators && i < count; i++) {
        uint8_t private_key[32];
        derive(private_key, purpose, i);
        identity_init(&initiators[i].identity);
        identity_set(&initiators[i].identity, private_key);
        handshake_init(&initiators[i].handshake, &initiators[i].identity, options->responder);
    }
    return initiators;
}

/* ---- answered ---- */

struct round {
    uint32_t waiting, answered, given_up;
    uint64_t cookies, resent, sent;
    uint64_t began_ns, nearly_all_ns, last_ns;
};

static void queue_initiation(const struct options *options, struct initiator *initiators, uint32_t number,
                             struct load_datagram *datagram, uint64_t now)
{
    struct initiator *initiator = &initiators[number];
    initiator->sent_ns = now;
    initiator->sends++;
    datagram->source = number % options->sources;
    datagram->socket = 0;
    datagram->length = sizeof(initiator->message);
    memcpy(datagram->bytes, &initiator->message, sizeof(initiator->message));
}

static void take_answer(const struct options *options, struct initiator *initiators, struct round *round,
                        const struct load_datagram *datagram, uint64_t now)
{
    enum message_type type = message_classify(datagram->bytes, datagram->length);
    uint32_t at = type == MESSAGE_RESPONSE ? 8 : 4;
    if (type != MESSAGE_RESPONSE && type != MESSAGE_COOKIE_REPLY)
        return;
    uint32_t number = load_le32(datagram->bytes + at) - 1;
    if (number >= options->peers || initiators[number].answered)
        return;
    struct initiator *initiator = &initiators[number];
    if (type == MESSAGE_RESPONSE) {
        memcpy(&initiator->response, datagram->bytes, sizeof(initiator->response));
        initiator->answered = true;
        round->waiting -= initiator->sent_ns != TIME_NEVER_NS;
        initiator->sent_ns = TIME_NEVER_NS;
        round->last_ns = now;
        if (++round->answered == options->peers - options->peers / 20)
            round->nearly_all_ns = now;
    } else if (cookie_maker_consume_reply(&initiator->cookie,
                                          (const struct message_cookie_reply *)datagram->bytes, now)) {
        cookie_maker_add_macs(&initiator->cookie, &initiator->message, sizeof(initiator->message), now);
        initiator->sent_ns = 1; /* at once: long overdue */
        round->cookies++;
    }
}

/* One initiation of each peer, at most `window` of them unanswered at a time. */
static void run_round(struct options *options, struct initiator *initiators, struct round *round)
{
    static struct load_datagram datagrams[LOAD_BATCH];
    uint32_t next = 0, scan_at = 0;
    uint64_t scanned_ns = 0;
    round->began_ns = now_ns();
    while (round->answered + round->given_up < options->peers && !stopping) {
        uint64_t now = now_ns();
        uint32_t batch = 0;
        if (now - round->began_ns > ROUND_MAX_NS)
            break;
        while (batch < LOAD_BATCH && round->waiting < options->window && next < options->peers) {
            round->waiting++;
            queue_initiation(options, initiators, next++, &datagrams[batch++], now);
        }
        if (scan_at == next && now - scanned_ns >= SCAN_NS) {
            scan_at = 0;
            scanned_ns = now;
        }
        for (; scan_at < next && batch < LOAD_BATCH; scan_at++) {
            uint32_t i = scan_at;
            struct initiator *initiator = &initiators[i];
            if (initiator->sent_ns == TIME_NEVER_NS || now - initiator->sent_ns < RESEND_NS)
                continue;
            if (initiator->sends >= SENDS_MAX) {
                initiator->sent_ns = TIME_NEVER_NS;
                round->waiting--;
                round->given_up++;
                continue;
            }
            queue_initiation(options, initiators, i, &datagrams[batch++], now);
            round->resent++;
        }
        load_send(&options->sockets, datagrams, batch);
        round->sent += batch;
        uint32_t got = load_receive(&options->sockets, datagrams, LOAD_BATCH);
        now = now_ns();
        for (uint32_t i = 0; i < got; i++)
            take_answer(options, initiators, round, &datagrams[i], now);
        if (got == 0 && batch == 0)
            nap();
    }
}

/* That the answers counted are answers. */
static uint32_t verify_answers(struct initiator *initiators, uint32_t count)
{
    uint32_t wrong = 0, looked_at = 0;
    for (uint32_t i = 0; i < count && looked_at < VERIFIED_ANSWERS; i++) {
        if (!initiators[i].answered)
            continue;
        looked_at++;
        wrong += handshake_consume_response(&initiators[i].handshake, &initiators[i].identity,
                                            &initiators[i].response) != HANDSHAKE_OK;
    }
    return wrong;
}

static int run_answered(struct options *options)
{
    struct initiator *initiators = initiators_create(options, options->peers, 1);
    printf("[");
    for (uint32_t number = 0; initiators && number < options->rounds && !stopping; number++) {
        struct round round = {0};
        for (uint32_t i = 0; i < options->peers; i++)
            initiator_prepare(&initiators[i], options, i);
        run_round(options, initiators, &round);
        uint32_t most = options->peers - options->peers / 20;
        double seconds = (double)(round.nearly_all_ns - round.began_ns) / 1e9;
        printf("%s{\"answered\": %u, \"given_up\": %u, \"cookies\": %llu, \"resent\": %llu, \"sent\": %llu, "
               "\"wrong\": %u, \"per_second\": %.0f, \"seconds\": %.4f}",
               number ? ", " : "", round.answered, round.given_up, (unsigned long long)round.cookies,
               (unsigned long long)round.resent, (unsigned long long)round.sent,
               verify_answers(initiators, options->peers), round.nearly_all_ns ? most / seconds : 0.0,
               (double)(now_ns() - round.began_ns) / 1e9);
    }
    puts("]");
    free(initiators);
    return initiators ? 0 : 1;
}

/* ---- flood ---- */

struct flood {
    uint64_t sent, responses, cookies;
    struct cookie_maker maker; /* for take_cookies: of the one source */
    bool has_cookie;
};

/* Message `number`: a stranger's initiation under a sender index of its own. */
static void flood_message(const struct options *options, struct flood *flood, struct initiator *strangers,
                          uint64_t number, struct message_initiation *message)
{
    *message = strangers[number % STRANGERS].message;
    store_le32(message->sender_index, (uint32_t)number + 1);
    memset(message->mac2, 0, sizeof(message->mac2));
    if (options->garbage)
        memcpy(message->mac1, strangers[(number + 1) % STRANGERS].message.mac1, sizeof(message->mac1));
    else
        cookie_maker_add_macs(&flood->maker, message, sizeof(*message), now_ns());
}

static void flood_answers(struct options *options, struct flood *flood, struct initiator *strangers)
{
    static struct load_datagram datagrams[LOAD_BATCH];
    uint32_t got = load_receive(&options->sockets, datagrams, LOAD_BATCH);
    for (uint32_t i = 0; i < got; i++) {
        enum message_type type = message_classify(datagrams[i].bytes, datagrams[i].length);
        flood->responses += type == MESSAGE_RESPONSE;
        flood->cookies += type == MESSAGE_COOKIE_REPLY;
        if (type != MESSAGE_COOKIE_REPLY || !options->take_cookies || flood->has_cookie)
            continue;
        struct message_initiation message;
        flood_message(options, flood, strangers, load_le32(datagrams[i].bytes + 4) - 1, &message);
        flood->has_cookie = cookie_maker_consume_reply(
            &flood->maker, (const struct message_cookie_reply *)datagrams[i].bytes, now_ns());
    }
}

static int run_flood(struct options *options)
{
    static struct load_datagram datagrams[LOAD_BATCH];
    struct initiator *strangers = initiators_create(options, STRANGERS, 3);
    struct flood flood = {0};
    if (!strangers)
        return 1;
    for (uint32_t i = 0; i < STRANGERS; i++)
        initiator_prepare(&strangers[i], options, i);
    cookie_maker_init(&flood.maker, options->responder);
    puts("started");
    fflush(stdout);

    uint64_t began = now_ns();
    for (uint32_t turn = 0; flood.sent < options->count && !stopping; turn++) {
        uint32_t batch = 0, socket = turn % options->sockets.count;
        for (; batch < LOAD_BATCH && flood.sent < options->count; batch++) {
            datagrams[batch].source = (uint32_t)(flood.sent % options->sources);
            datagrams[batch].socket = socket;
            datagrams[batch].length = MESSAGE_INITIATION_BYTES;
            flood_message(options, &flood, strangers, flood.sent++,
                          (struct message_initiation *)datagrams[batch].bytes);
        }
        load_send(&options->sockets, datagrams, batch);
        flood_answers(options, &flood, strangers);
        uint64_t due = options->rate ? began + flood.sent * NS_PER_SECOND / options->rate : 0;
        while (now_ns() < due && !stopping) {
            load_wait(&options->sockets, 1);
            flood_answers(options, &flood, strangers);
        }
    }
    double seconds = (double)(now_ns() - began) / 1e9;
    puts("sent");
    fflush(stdout);
    for (uint64_t end = now_ns() + 200 * NS_PER_MS; now_ns() < end;) {
        load_wait(&options->sockets, 10);
        flood_answers(options, &flood, strangers);
    }
    printf(
        "{\"sent\": %llu, \"seconds\": %.3f, \"per_second\": %.0f, \"responses\": %llu, \"cookies\": %llu, "
        "\"has_cookie\": %d}\n",
        (unsigned long long)flood.sent, seconds, (double)flood.sent / seconds,
        (unsigned long long)flood.responses, (unsigned long long)flood.cookies, flood.has_cookie);
    free(strangers);
    return 0;
}

/* ---- command line ---- */

static int usage(void)
{
    fputs("usage: handshake_load keys N\n"
          "       handshake_load answered --to ADDRESS:PORT --key KEY [--peers N] [--window N] [--rounds N] "
          "[--sources N --first ADDRESS]\n"
          "       handshake_load flood --to ADDRESS:PORT --key KEY [--count N] [--rate N a second] "
          "[--sources N --first ADDRESS] [--ports N] [--garbage | --take-cookies]\n"
          "the seed of the keys is a line on standard input\n",
          stderr);
    return 2;
}

static bool parse_to(char *text, struct sockaddr_in *to)
{
    char *colon = text ? strrchr(text, ':') : NULL;
    if (!colon)
        return false;
    *colon = 0;
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    return inet_pton(AF_INET, text, &to->sin_addr) == 1 && to->sin_port != 0;
}

static bool take_option(struct options *options, int option)
{
    struct in_addr address;
    uint64_t number = optarg ? strtoull(optarg, NULL, 10) : 0;
    switch (option) {
    case 't':
        return parse_to(optarg, &options->sockets.to);
    case 'k':
        options->has_responder = parse_key(optarg, options->responder);
        return options->has_responder;
    case 'f':
        if (inet_pton(AF_INET, optarg, &address) != 1)
            return false;
        options->sockets.first = ntohl(address.s_addr);
        return true;
    case 'p':
        options->peers = (uint32_t)number;
        return number > 0 && number <= 100000;
    case 'w':
        options->window = (uint32_t)number;
        return number > 0;
    case 'r':
        options->rounds = (uint32_t)number;
        return number > 0;
    case 's':
        options->sources = (uint32_t)number;
        return number > 0;
    case 'n':
        options->ports = (uint32_t)number;
        return number > 0 && number <= 64;
    case 'c':
        options->count = number;
        return number > 0;
    case 'a':
        options->rate = number;
        return true;
    case 'g':
        options->garbage = true;
        return true;
    case 'o':
        options->take_cookies = true;
        return true;
    default:
        return false;
    }
}

int main(int argc, char **argv)
{
    static const struct option table[] = {{"to", required_argument, NULL, 't'},
                                          {"key", required_argument, NULL, 'k'},
                                          {"first", required_argument, NULL, 'f'},
                                          {"peers", required_argument, NULL, 'p'},
                                          {"window", required_argument, NULL, 'w'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"sources", required_argument, NULL, 's'},
                                          {"ports", required_argument, NULL, 'n'},
                                          {"count", required_argument, NULL, 'c'},
                                          {"rate", required_argument, NULL, 'a'},
                                          {"garbage", no_argument, NULL, 'g'},
                                          {"take-cookies", no_argument, NULL, 'o'},
                                          {NULL, 0, NULL, 0}};
    struct options options = {
        .peers = 4000, .window = 64, .rounds = 1, .sources = 1, .ports = 1, .count = 200000, .rate = 0};
    bool answered = argc > 1 && !strcmp(argv[1], "answered"), flood = argc > 1 && !strcmp(argv[1], "flood");
    if (argc == 3 && !strcmp(argv[1], "keys"))
        return read_seed() ? print_keys((uint32_t)atoi(argv[2])) : usage();
    if (!answered && !flood)
        return usage();
    optind = 2;
    for (int option; (option = getopt_long(argc, argv, "", table, NULL)) != -1;)
        if (!take_option(&options, option))
            return usage();
    if (!options.has_responder || !options.sockets.to.sin_port || !read_seed())
        return usage();
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    if (!load_sockets_open(&options.sockets, 0, answered ? 1 : options.ports))
        return 1;
    int status = answered ? run_answered(&options) : run_flood(&options);
    load_sockets_close(&options.sockets);
    return status;
}
