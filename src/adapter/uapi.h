/* The WireGuard userspace protocol (wireguard.com/xplatform, "Configuration Protocol") as pure translation,
 * without sockets: tested by itself. */
#pragma once

#include "change.h"
#include "device.h"
#include "failure.h"
#include "secure_buffer.h"

#include <stddef.h>

/* Appends the request "set=1" with its empty line.  false: no memory. */
bool uapi_set_format(struct secure_buffer *request, const struct change *change);

/* Reads the answer to "get=1": `text` of `length` bytes up to and with its empty line; its lines are cut in
 * place. Unknown keys are ignored, for those of later versions of the protocol.  `device->name` is for
 * messages. */
bool uapi_get_parse(char *text, size_t length, struct device *device, struct failure *failure);

/* The value of the answer's "errno=", without its sign (implementations differ in it).  -1: there is none. */
int uapi_errno(const char *text, size_t length);
