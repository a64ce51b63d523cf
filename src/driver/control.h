/* The control device: IRP dispatch for the adapter's device object.  Device control requests of ours (GET,
 * SET, STATE, LOG of include/wyrm/control.h, and those of control_extensions.h) are answered here; everything
 * else goes to the handlers that NDIS installed. */
#pragma once

#include "adapter.h"

/* Replaces DriverObject's dispatch entries after NdisMRegisterMiniportDriver. PASSIVE_LEVEL. */
void control_hook_dispatch(DRIVER_OBJECT *object);

/* The newest version of the protocol that the driver speaks. */
#define CONFIG_PROTOCOL_VERSION 1

/* config_get.c / config_set.c: `information` = IoStatus.Information. PASSIVE_LEVEL. config_lock not held by
 * the caller. */
NTSTATUS config_get(struct adapter *adapter, void *buffer, uint32_t length, uint64_t *information);
NTSTATUS config_set(struct adapter *adapter, const void *buffer, uint32_t length, uint64_t *information);
/* What SET does, under config_lock; `consumed`: bytes. */
NTSTATUS config_apply(struct adapter *adapter, const void *buffer, uint32_t length, uint32_t *consumed);
/* SET, all or nothing (config_atomic.c). */
NTSTATUS config_set_atomic(struct adapter *adapter, const void *buffer, uint32_t length,
                           uint64_t *information);
/* security.c: SYSTEM and Administrators at high integrity only. STATUS_ACCESS_DENIED otherwise.
 * PASSIVE_LEVEL. */
NTSTATUS security_check(IRP *irp, ACCESS_MASK desired);
