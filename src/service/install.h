/* What `install` and `reload` share. */
#pragma once

#include "failure.h"
#include "names.h"
#include "secure_buffer.h"

#include <stdbool.h>
#include <winsock2.h>

/* FILE.conf as it is, checked; its name, TUNNEL_NAME_BYTES.  `text` is for secure_buffer_free() in any case.
 */
bool load_plain(const char *file, char *name, struct secure_buffer *text, struct failure *failure);
/* The service's account encrypts: a service that does not run is started for that, and ends. */
bool store_by_service(SC_HANDLE service, const char *name, const struct secure_buffer *text,
                      struct failure *failure);
