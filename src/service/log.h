/* What the service says: a file of at most 2 MB in %ProgramData%\Wyrm\Logs (LOG_BYTES, and the one before),
 * in the foreground standard error too, and for what administrators look for the event log.  Never a key.
 * Any thread. */
#pragma once

#include <stdbool.h>
#include <winsock2.h>

#define LOG_BYTES (1024u * 1024u)

enum log_level { LOG_INFO, LOG_WARNING, LOG_ERROR };

/* Begins; without a file (code returned, what is said goes to standard error or nowhere) the service goes on.
 */
DWORD log_open(const char *name, bool to_stderr);
void log_close(void);
/* The last line that was an error, of a tunnel's log file; false: none. */
bool log_last_error(const char *name, char *text, size_t size);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, and to the event log. */
void log_event(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of the driver, the DLL or the engine, as it is. */
void log_foreign(enum log_level level, const char *who, const char *text);

/* The event log's source; texts come from the system's own EventCreate.exe, whose messages 1 to 1000 are the
 * strings that are reported. */
DWORD log_register_source(void);
void log_unregister_source(void);
