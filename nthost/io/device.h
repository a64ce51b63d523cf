/* Device objects and the names under which they are found.  IRQL of the verbs: PASSIVE_LEVEL. */
#pragma once

#include "nt/io.h"

#include <stdbool.h>

/* The device of this name, or of a symbolic link to it; compared without case, as the object manager does.
 * NULL if there is none. */
DEVICE_OBJECT *device_by_name(const UNICODE_STRING *name);
/* The top of the stack that `device` is in. */
DEVICE_OBJECT *device_stack_top(DEVICE_OBJECT *device);
/* An open file or a request keeps a device whose driver deleted it until the last reference is gone. */
void device_reference(DEVICE_OBJECT *device);
void device_dereference(DEVICE_OBJECT *device);

extern POBJECT_TYPE *IoDeviceObjectType, *IoFileObjectType; /* exported variables */

/* Documented, and not needed by our own driver (so not declared in nt/): */
NTKERNELAPI PDEVICE_OBJECT NTAPI IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice,
                                                             PDEVICE_OBJECT TargetDevice);
NTKERNELAPI VOID NTAPI IoDetachDevice(PDEVICE_OBJECT TargetDevice);
