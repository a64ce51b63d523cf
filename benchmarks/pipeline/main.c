/* Cycles per packet of the driver's data path with memory instead of Linux at both of its edges, next to the
 * AEAD alone in the same run: bursts of packets of one size go from adapter to adapter, each burst's two
 * calls into the driver (transmit, receive) are timed, and short slices of this and of the AEAD alone take
 * turns. Cycles are those of the time-stamp counter.  Afterwards samples of the instruction pointer say which
 * part of the time is the driver's own and which stage it belongs to. */
#include "bench.h"

#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIZES_MAX    16u
#define ROUNDS_MAX   101u
#define BURSTS_MAX   8192u
#define CPUS_MAX     16u
#define LARGE_BYTES  65535u
#define TCP_HEADERS  40u
#define SETTLE_TRIES 2000u
#define SAMPLE_HERTZ 9973u
#define CORE_CLEARLY 0.93
#define CORE_BYTES   1280u /* where the cores differ most clearly */

static struct {
    const char *driver, *core, *json;
    uint32_t sizes[SIZES_MAX];
    unsigned size_count, burst, rounds, milliseconds, cpus, idle_peers;
    bool large, functions;
} options = {.sizes = {64, 128, 576, 1280, 1420},
             .size_count = 5,
             .burst = 64,
             .rounds = 11,
             .milliseconds = 10,
             .cpus = 1};

static struct tunnel tunnels[CPUS_MAX];
static double tsc_hertz;
static FILE *json;
static bool json_any;

/* ---- a slice: bursts for some milliseconds on one CPU ---- */

struct traffic {
    const struct tunnel *tunnel;
    struct pipeline_packet packets[BURST_MAX];
    unsigned count;    /* in a burst; super-segments count as one */
    unsigned in_burst; /* packets on the wire */
    uint32_t length;
    uint8_t *memory;
    uint64_t duration; /* cycles of a slice */
    uint64_t bursts[PIPELINE_DIRECTIONS][BURSTS_MAX];
    unsigned counted[PIPELINE_DIRECTIONS];
    unsigned done;
    uint64_t cycles_taken;
    double median[PIPELINE_DIRECTIONS]; /* of the slice, cycles per packet */
    uint64_t arrived, received;         /* packets at the far end before and since */
};

static int compare_counts(const void *left, const void *right)
{
    const uint64_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

static void burst(struct traffic *t)
{
    const struct tunnel_end *near = &t->tunnel->ends[0], *far = &t->tunnel->ends[1];
    uint64_t before[PIPELINE_DIRECTIONS];

    while (pipeline_holds_too_much(near->adapter)) { /* what workers do is not this thread's time */
        pipeline_deliver(far->port);
        sched_yield();
    }
    for (unsigned d = 0; d < PIPELINE_DIRECTIONS; d++)
        before[d] = pipeline_cycles(d);
    pipeline_send(near->adapter, t->packets, t->count);
    while (pipeline_deliver(far->port))
        ;
    pipeline_deliver(near->port); /* a keepalive now and then */
    for (unsigned d = 0; d < PIPELINE_DIRECTIONS; d++) {
        uint64_t cycles = pipeline_cycles(d) - before[d];

        if (cycles) /* nothing arrived yet: a worker has it */
            t->bursts[d][t->counted[d]++] = cycles;
    }
}

static void slice(void *context)
{
    struct traffic *t = context;
    uint64_t start = pipeline_tsc(), bytes, writes;

    t->arrived = pipeline_packets(t->tunnel->ends[1].adapter, &bytes, &writes);
    memset(t->counted, 0, sizeof t->counted);
    for (t->done = 0; t->done < BURSTS_MAX; t->done++) {
        if (pipeline_tsc() - start > t->duration && t->counted[0] && t->counted[1])
            break;
        burst(t);
    }
    t->cycles_taken = pipeline_tsc() - start;
    t->received = pipeline_packets(t->tunnel->ends[1].adapter, &bytes, &writes) - t->arrived;
    for (unsigned d = 0; d < PIPELINE_DIRECTIONS; d++) {
        qsort(t->bursts[d], t->counted[d], sizeof t->bursts[d][0], compare_counts);
        uint64_t middle = t->bursts[d][t->counted[d] / 2];
        t->median[d] = (double)middle / t->in_burst;
    }
}

static void deliver_late(void *context)
{
    struct traffic *t = context;
    uint64_t bytes, writes;

    pipeline_deliver(t->tunnel->ends[1].port);
    t->received = pipeline_packets(t->tunnel->ends[1].adapter, &bytes, &writes) - t->arrived;
}

/* What went through the driver's workers is late, nothing is lost. */
static void settle(struct traffic *t)
{
    uint64_t sent = (uint64_t)t->done * t->in_burst;

    for (unsigned tries = 0; t->received < sent; tries++) {
        if (tries == SETTLE_TRIES)
            pipeline_fail("only %" PRIu64 " of %" PRIu64 " packets arrived", t->received, sent);
        usleep(1000);
        pipeline_on_loop(deliver_late, t);
    }
}

/* `large`: super-segments as large as they may be, with packets of `length` bytes. */
static void traffic_prepare(struct traffic *t, const struct tunnel *tunnel, uint32_t length)
{
    uint32_t payload = length - TCP_HEADERS, per_segment = 1, stride = length;

    if (options.large) {
        per_segment = (LARGE_BYTES - TCP_HEADERS) / payload;
        if (per_segment > options.burst)
            per_segment = options.burst;
        stride = TCP_HEADERS + per_segment * payload;
    }
    *t = (struct traffic){.tunnel = tunnel, .length = length};
    t->count = options.burst / per_segment;
    t->in_burst = t->count * per_segment;
    t->duration = (uint64_t)(tsc_hertz * options.milliseconds / 1000);
    t->memory = calloc(t->count, stride);
    if (!t->memory)
        pipeline_fail("no memory");
    for (unsigned i = 0; i < t->count; i++) {
        t->packets[i] = (struct pipeline_packet){.data = t->memory + (size_t)i * stride,
                                                 .length = stride,
                                                 .segment = options.large ? (uint16_t)payload : 0};
        tunnel_packet(tunnel, t->packets[i].data, stride, options.large, i * per_segment * payload);
    }
}

/* ---- results ---- */

static int compare_doubles(const void *left, const void *right)
{
    const double *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

static double median(const double *values, unsigned count)
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, values, count * sizeof *values);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    return sorted[count / 2];
}

static void row(uint32_t length, const char *direction, const char *metric, const char *unit,
                const double *values, unsigned count)
{
    double low = values[0], high = values[0];

    if (!json)
        return;
    for (unsigned i = 1; i < count; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    fprintf(json,
            "%s\n  {\"subject\": \"wyrm\", \"test\": \"pipeline-%s%" PRIu32 "\", \"operation\": \"%s\", "
            "\"metric\": \"%s\", \"unit\": \"%s\", \"median\": %.6g, \"min\": %.6g, \"max\": %.6g, "
            "\"n\": %u}",
            json_any ? "," : "", options.large ? "large-" : "", length, direction, metric, unit,
            median(values, count), low, high, count);
    json_any = true;
}

static const char *const direction_names[PIPELINE_DIRECTIONS] = {"transmit", "receive"};

struct profile {
    double share[PIPELINE_DIRECTIONS][STAGES]; /* of the time in the gates */
    uint64_t samples[PIPELINE_DIRECTIONS];
    bool avx512; /* its functions have names of their own */
};

static int compare_samples(const void *left, const void *right)
{
    const struct pipeline_sample *a = left, *b = right;
    uint64_t first = a->hits[0] + a->hits[1], second = b->hits[0] + b->hits[1];
    return first < second ? 1 : first > second ? -1 : 0;
}

static void profile_take(struct traffic *t, struct profile *profile)
{
    struct pipeline_sample *samples;
    uint64_t duration = t->duration;

    *profile = (struct profile){0};
    t->duration = (uint64_t)(tsc_hertz / 2);
    pipeline_sample_start(SAMPLE_HERTZ);
    pipeline_on_loop(slice, t);
    unsigned count = pipeline_sample_stop(&samples);
    t->duration = duration;
    qsort(samples, count, sizeof *samples, compare_samples);
    for (unsigned i = 0; i < count; i++) {
        profile->avx512 |= samples[i].function && strstr(samples[i].function, "avx512");
        for (unsigned d = 0; d < PIPELINE_DIRECTIONS; d++) {
            profile->samples[d] += samples[i].hits[d];
            profile->share[d][stage_of(samples[i].function)] += (double)samples[i].hits[d];
        }
    }
    for (unsigned d = 0; d < PIPELINE_DIRECTIONS; d++)
        for (unsigned s = 0; s < STAGES; s++)
            profile->share[d][s] /= profile->samples[d] ? (double)profile->samples[d] : 1;
    for (unsigned i = 0; options.functions && i < count && i < 30; i++)
        printf("    %-36s %-8s %5.1f %% %5.1f %%\n", samples[i].function ? samples[i].function : "(host)",
               stage_names[stage_of(samples[i].function)],
               100 * (double)samples[i].hits[0] / (double)(profile->samples[0] | 1),
               100 * (double)samples[i].hits[1] / (double)(profile->samples[1] | 1));
    free(samples);
}

/* The driver does not say which of its cores it uses, and the functions of most have the same names: the one
 * that takes as long as the driver's AEAD. */
static void core_detect(const struct traffic *t, const struct profile *profile)
{
    static const char *const cores[] = {"avx512", "avx2", "ssse3", "sse2"};
    double cycles = profile->share[PIPELINE_TRANSMIT][STAGE_AEAD] * t->median[PIPELINE_TRANSMIT];
    double best = 0;

    for (unsigned i = 0; i < sizeof cores / sizeof *cores; i++) {
        if (profile->avx512 != (i == 0) || !aead_choose(cores[i]))
            continue;
        double alone = aead_measure(t->length, t->in_burst, t->duration).seal;
        double difference = alone > cycles ? alone / cycles : cycles / alone;
        if (best == 0 || difference < best * CORE_CLEARLY) { /* the better core when two are alike */
            best = difference;
            options.core = cores[i];
        }
    }
}

static void measure_size(uint32_t length)
{
    static double alone[PIPELINE_DIRECTIONS][ROUNDS_MAX], gate[PIPELINE_DIRECTIONS][ROUNDS_MAX],
        own[PIPELINE_DIRECTIONS][ROUNDS_MAX], ratio[PIPELINE_DIRECTIONS][ROUNDS_MAX],
        total[PIPELINE_DIRECTIONS][ROUNDS_MAX], pps[PIPELINE_DIRECTIONS][ROUNDS_MAX], values[1];
    static struct traffic t;
    struct profile profile;

    traffic_prepare(&t, &tunnels[0], length);
    pipeline_on_loop(slice, &t);
    profile_take(&t, &profile);
    for (unsigned round = 0; round < options.rounds; round++) {
        struct aead_cost cost = aead_measure(length, t.in_burst, t.duration / 2);

        pipeline_on_loop(slice, &t);
        settle(&t);
        for (unsigned d = 0; d < PIPELINE_DIRECTIONS; d++) {
            alone[d][round] = d == PIPELINE_TRANSMIT ? cost.seal : cost.open;
            gate[d][round] = t.median[d];
            own[d][round] = t.median[d] * (1 - profile.share[d][STAGE_HOST]);
            ratio[d][round] = own[d][round] / alone[d][round];
            total[d][round] = gate[d][round] / alone[d][round];
            pps[d][round] = tsc_hertz / gate[d][round];
        }
    }
    for (unsigned d = 0; d < PIPELINE_DIRECTIONS; d++) {
        double cycles = median(own[d], options.rounds);

        printf("%6" PRIu32 " %-8s %8.0f %8.0f %8.0f %6.2f %6.2f  |", length, direction_names[d],
               median(alone[d], options.rounds), cycles, median(gate[d], options.rounds),
               median(ratio[d], options.rounds), median(total[d], options.rounds));
        for (unsigned s = 0; s < STAGES; s++)
            printf(" %8.0f", profile.share[d][s] * median(gate[d], options.rounds));
        printf("\n");
        row(length, direction_names[d], "cycles_per_packet", "tsc", own[d], options.rounds);
        row(length, direction_names[d], "cycles_per_packet_with_host", "tsc", gate[d], options.rounds);
        row(length, direction_names[d], "aead_alone_cycles", "tsc", alone[d], options.rounds);
        row(length, direction_names[d], "ratio_to_crypto", "", ratio[d], options.rounds);
        row(length, direction_names[d], "ratio_to_crypto_with_host", "", total[d], options.rounds);
        row(length, direction_names[d], "pps", "1/s", pps[d], options.rounds);
        for (unsigned s = 0; s < STAGES; s++) {
            char name[48];

            snprintf(name, sizeof name, "stage_%s_cycles", stage_names[s]);
            values[0] = profile.share[d][s] * median(gate[d], options.rounds);
            row(length, direction_names[d], name, "tsc", values, 1);
        }
    }
    fflush(stdout);
    free(t.memory);
}

/* ---- several CPUs: a tunnel for each, all at once ---- */

static void measure_cpus(uint32_t length)
{
    static struct traffic traffics[CPUS_MAX];
    static double rate[CPUS_MAX + 1][ROUNDS_MAX];
    void *contexts[CPUS_MAX];

    for (unsigned cpu = 0; cpu < options.cpus; cpu++) {
        traffic_prepare(&traffics[cpu], &tunnels[cpu], length);
        contexts[cpu] = &traffics[cpu];
    }
    for (unsigned round = 0; round < options.rounds; round++)
        for (unsigned cpus = 1; cpus <= options.cpus; cpus++) {
            pipeline_on_cpus(cpus, slice, contexts);
            rate[cpus][round] = 0;
            for (unsigned cpu = 0; cpu < cpus; cpu++)
                rate[cpus][round] +=
                    (double)traffics[cpu].received / ((double)traffics[cpu].cycles_taken / tsc_hertz);
        }
    printf("%6" PRIu32 " packets through, by CPUs:", length);
    for (unsigned cpus = 1; cpus <= options.cpus; cpus++) {
        char name[24];

        printf("  %u: %.0f/s", cpus, median(rate[cpus], options.rounds));
        snprintf(name, sizeof name, "pps_cpus_%u", cpus);
        row(length, "both", name, "1/s", rate[cpus], options.rounds);
    }
    printf("\n");
    for (unsigned cpu = 0; cpu < options.cpus; cpu++)
        free(traffics[cpu].memory);
}

/* ---- one tunnel beside another at full rate ---- */

static void measure_beside(uint32_t length)
{
    static double alone[ROUNDS_MAX], beside[ROUNDS_MAX], times[ROUNDS_MAX], tail[ROUNDS_MAX];
    double flood = 0;

    for (unsigned round = 0; round < options.rounds; round++) {
        uint64_t cycles = (uint64_t)(tsc_hertz * options.milliseconds / 100); /* ten slices */
        struct beside_cost quiet = beside_measure(&tunnels[0], NULL, length, cycles, tsc_hertz);
        struct beside_cost loud = beside_measure(&tunnels[0], &tunnels[1], length, cycles, tsc_hertz);

        alone[round] = quiet.median;
        beside[round] = loud.median;
        times[round] = loud.median / quiet.median;
        tail[round] = loud.p99 / quiet.p99;
        flood = loud.flood_packets;
    }
    printf("%6" PRIu32
           " one packet's way out: %.0f cycles alone, %.0f beside another tunnel at %.0f packets/s: "
           "%.2f times, 99th percentile %.2f times\n",
           length, median(alone, options.rounds), median(beside, options.rounds), flood,
           median(times, options.rounds), median(tail, options.rounds));
    row(length, "both", "alone_cycles", "tsc", alone, options.rounds);
    row(length, "both", "beside_cycles", "tsc", beside, options.rounds);
    row(length, "both", "beside_times_alone", "", times, options.rounds);
    row(length, "both", "beside_p99_times_alone", "", tail, options.rounds);
}

/* ---- all ---- */

static void calibrate(void)
{
    struct timespec begin, end;
    uint64_t start = pipeline_tsc();

    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &end);
    while ((end.tv_sec - begin.tv_sec) * 1000000000l + end.tv_nsec - begin.tv_nsec < 50000000l);
    tsc_hertz = (double)(pipeline_tsc() - start) /
                ((double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
}

static void choose_core(void)
{
    static struct traffic t;
    struct profile profile;
    bool functions = options.functions;

    if (!options.core) {
        traffic_prepare(&t, &tunnels[0], CORE_BYTES);
        options.functions = false;
        profile_take(&t, &profile);
        options.functions = functions;
        core_detect(&t, &profile);
        free(t.memory);
    }
    if (!options.core || !aead_choose(options.core))
        pipeline_fail("this machine or build has no %s", options.core ? options.core : "such core");
}

static void run(void *unused)
{
    (void)unused;
    calibrate();
    for (unsigned i = 0; i < options.cpus; i++)
        tunnel_open(&tunnels[i], i, options.idle_peers);
    choose_core();
    printf("cycles per packet of the TSC (%.2f GHz), bursts of %u%s\n", tsc_hertz / 1e9, options.burst,
           options.large ? ", super-segments" : "");
    printf("  size              alone   driver   +host  ratio +host  |");
    for (unsigned s = 0; s < STAGES; s++)
        printf(" %8s", stage_names[s]);
    printf("\n");
    for (unsigned i = 0; i < options.size_count; i++)
        measure_size(options.sizes[i]);
    printf("the AEAD alone: %s\n", options.core);
    if (options.cpus > 1)
        for (unsigned i = 0; i < options.size_count; i++)
            measure_cpus(options.sizes[i]);
    if (options.cpus > 1)
        for (unsigned i = 0; i < options.size_count; i++)
            measure_beside(options.sizes[i]);
    for (unsigned i = 0; i < options.cpus; i++)
        tunnel_close(&tunnels[i]);
}

static unsigned number(const char *text, unsigned low, unsigned high)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end || value < low || value > high)
        pipeline_fail("\"%s\": want a number from %u to %u", text, low, high);
    return (unsigned)value;
}

static void sizes_take(char *text)
{
    char *rest = NULL;

    options.size_count = 0;
    for (char *word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (options.size_count == SIZES_MAX)
            pipeline_fail("at most %u sizes", SIZES_MAX);
        options.sizes[options.size_count++] = number(word, 48, 1420);
    }
}

int main(int argc, char **argv)
{
    static const struct option words[] = {{"sizes", required_argument, NULL, 's'},
                                          {"burst", required_argument, NULL, 'b'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"milliseconds", required_argument, NULL, 'm'},
                                          {"cpus", required_argument, NULL, 'c'},
                                          {"idle-peers", required_argument, NULL, 'p'},
                                          {"core", required_argument, NULL, 'k'},
                                          {"json", required_argument, NULL, 'j'},
                                          {"large", no_argument, NULL, 'l'},
                                          {"functions", no_argument, NULL, 'f'},
                                          {NULL, 0, NULL, 0}};
    int word;

    while ((word = getopt_long(argc, argv, "", words, NULL)) != -1) {
        switch (word) {
        case 's':
            sizes_take(optarg);
            break;
        case 'b':
            options.burst = number(optarg, 1, BURST_MAX);
            break;
        case 'r':
            options.rounds = number(optarg, 1, ROUNDS_MAX);
            break;
        case 'm':
            options.milliseconds = number(optarg, 1, 1000);
            break;
        case 'c':
            options.cpus = number(optarg, 1, CPUS_MAX);
            break;
        case 'p':
            options.idle_peers = number(optarg, 0, 50000);
            break;
        case 'k':
            options.core = optarg;
            break;
        case 'j':
            options.json = optarg;
            break;
        case 'l':
            options.large = true;
            break;
        case 'f':
            options.functions = true;
            break;
        default:
            return 2;
        }
    }
    if (optind + 1 != argc)
        pipeline_fail("usage: bench_pipeline DRIVER.sys [--sizes 64,1420] [--burst N] [--rounds N] "
                      "[--milliseconds N] [--cpus N] [--idle-peers N] [--core NAME] [--large] "
                      "[--functions] [--json FILE]");
    if (options.json && !(json = fopen(options.json, "w")))
        pipeline_fail("%s cannot be written", options.json);
    if (json)
        fputs("{\"rows\": [", json);
    int status = pipeline_main(argv[optind], options.cpus, run, NULL);
    if (json) {
        fprintf(json, "],\n \"tsc_hertz\": %.0f, \"core\": \"%s\"}\n", tsc_hertz, options.core);
        fclose(json);
    }
    return status;
}
