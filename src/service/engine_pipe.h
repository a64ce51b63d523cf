/* The userspace protocol over the engine's named pipe (docs/engine.md). */
#pragma once

#include "change.h"
#include "device.h"
#include "failure.h"

bool engine_pipe_get(const char *name, struct device *device, struct failure *failure);
bool engine_pipe_set(const char *name, const struct change *change, struct failure *failure);
