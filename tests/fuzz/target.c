/* libFuzzer's entry points for the targets that drive the machine. */
#include "target.h"

#include "sched/sched.h"

#include <wyrm/control.h>

#define QUIET_NS 1000000u /* what an input has set off is over by then */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void start_job(void *unused)
{
    peers_start();
    target_start();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    machine_start();
    machine_run(start_job, NULL);
    return 0;
}

static void input_job(void *context)
{
    uint32_t up = WYRM_ADAPTER_UP;
    (void)machine_control(WYRM_IOCTL_STATE, &up, sizeof up, NULL, 0, NULL);
    peers_reset();
    target_run(context);
    machine_sleep_ns(QUIET_NS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    machine_run(input_job, &input);
    return 0;
}
