/* Stored configurations: NAME.conf.dpapi in the folder Configurations, encrypted with DPAPI for the account
 * that runs the service, with the tunnel's name as description (docs/decisions/service-configurations.md). */
#pragma once

#include "config.h"
#include "failure.h"
#include "secure_buffer.h"

#include <stdbool.h>

#define STORE_LIMIT_BYTES (64u << 20)

/* Reads a configuration's text: NAME.conf.dpapi is decrypted, and was encrypted for this name; any other file
 * is read as it is.  `text` is for secure_buffer_free() in any case. */
bool store_load(const char *path, const char *name, struct secure_buffer *text, struct failure *failure);
/* Checks a text as a tunnel of the service needs it.  NULL: `failure` says line and column, or what Windows
 * cannot do.  `file` is only named. */
struct config *store_parse(const struct secure_buffer *text, const char *file, struct failure *failure);
/* Replaces the stored configuration at once, or leaves it as it was. */
bool store_save(const char *name, const struct secure_buffer *text, struct failure *failure);
/* What is not there is no error. */
bool store_delete(const char *name, struct failure *failure);
