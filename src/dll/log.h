/* The process's logger.  Every failure that a caller can see passes log_failure, so that the log names what
 * the error code cannot: what was being done, with which value, and what to do.  The formats are literals:
 * docs/messages-dll.md lists them, and the tests compare. */
#pragma once

#include "wyrm/wireguard.h"

#include <stdbool.h>

void log_set_callback(WIREGUARD_LOGGER_CALLBACK callback);

/* A line with the present time.  `format` is printf's, wide. */
void log_line(WIREGUARD_LOGGER_LEVEL level, const wchar_t *format, ...);
/* A line that came with its time (100 ns since 1601) from the driver. */
void log_at(WIREGUARD_LOGGER_LEVEL level, DWORD64 timestamp, const wchar_t *message);

/* Logs "TEXT: the system's words for the error (code)" as an error (or warning) and makes `error` the
 * thread's last error. Returns false, to be returned. */
bool log_failure(DWORD error, const wchar_t *format, ...);
void log_warning(DWORD error, const wchar_t *format, ...);
