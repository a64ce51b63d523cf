/* What the driver targets have in common: a job per input, with the machine and the peers reset before it. */
#pragma once

#include "input.h"
#include "machine.h"
#include "peer.h"

/* Provided by the target: what to do with an input. */
void target_run(struct input *input);
/* Once, on the job's thread, before the first input. */
void target_start(void);
