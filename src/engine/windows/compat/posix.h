/* Included before every file of the engine on Windows: functions of glibc that portable files call and
 * ucrtbase does not have. */
#pragma once

#include "crypto/secure_memory.h"

#define explicit_bzero(memory, length) secure_zero(memory, length)
