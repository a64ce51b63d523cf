/* A stand-in for the driver behind the control fronts: it keeps one configuration with the semantics of
 * GET, SET, STATE and LOG, so that the fronts can be tested before and without a driver. */
#pragma once

#include <stdint.h>

struct ndis_adapter;

struct ndis_adapter *fake_adapter_create(const char *name);
void fake_adapter_free(struct ndis_adapter *adapter);
/* The next SET fails with this status after it applied nothing. */
void fake_adapter_fail_next_set(struct ndis_adapter *adapter, int32_t status);
/* What udp_set_mark() was given last; and what it is to return next (0 or -errno). */
extern uint32_t fake_mark;
extern int fake_mark_result;
