/* Samples: a timer signal at the loop's thread takes the instruction pointer; names come afterwards. The
 * time in the edges and outside of the driver's calls is left out. */
#include "internal.h"

#include "loader/image.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define SAMPLES_MAX (1u << 18)

static struct {
    timer_t timer;
    volatile unsigned count;
    struct {
        uintptr_t address;
        enum phase phase;
    } taken[SAMPLES_MAX];
} samples;

static void take(int number, siginfo_t *info, void *context)
{
    const ucontext_t *state = context;
    unsigned at = samples.count;

    (void)number;
    (void)info;
    if (meter.phase == PHASE_OUTSIDE || at == SAMPLES_MAX)
        return;
    samples.taken[at].address = (uintptr_t)state->uc_mcontext.gregs[REG_RIP];
    samples.taken[at].phase = meter.phase;
    samples.count = at + 1;
}

static void start(void *context)
{
    unsigned hertz = *(unsigned *)context;
    struct sigaction action = {.sa_sigaction = take, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 4};
    struct itimerspec interval = {.it_interval.tv_nsec = 1000000000l / hertz | 1,
                                  .it_value.tv_nsec = 1000000l};

    event._sigev_un._tid = gettid();
    sigemptyset(&action.sa_mask);
    samples.count = 0;
    if (sigaction(SIGRTMIN + 4, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &samples.timer) ||
        timer_settime(samples.timer, 0, &interval, NULL))
        pipeline_fail("no timer for samples");
}

void pipeline_sample_start(unsigned hertz)
{
    pipeline_on_loop(start, &hertz);
}

static void stop(void *unused)
{
    (void)unused;
    timer_delete(samples.timer);
}

static struct pipeline_sample *entry(struct pipeline_sample *list, unsigned *count, const char *function)
{
    for (unsigned i = 0; i < *count; i++)
        if (list[i].function == function)
            return &list[i];
    list[*count] = (struct pipeline_sample){.function = function};
    return &list[(*count)++];
}

unsigned pipeline_sample_stop(struct pipeline_sample **out)
{
    struct pipeline_sample *list;
    unsigned count = 0;

    pipeline_on_loop(stop, NULL);
    list = calloc(samples.count + 1, sizeof *list);
    if (!list)
        pipeline_fail("no memory");
    for (unsigned i = 0; i < samples.count; i++) {
        const void *address = (const void *)samples.taken[i].address;
        const char *name = NULL;
        size_t offset;

        if (image_find(address) && !image_symbol(address, &name, &offset))
            name = "";
        entry(list, &count, name)->hits[samples.taken[i].phase]++;
    }
    *out = list;
    return count;
}
