/* A configuration's way from the administrator who installs it to the service, which encrypts it with its own
 * account's key: a named pipe that the administrator's program makes, never a file.  The service answers with
 * a status and a message. */
#pragma once

#include "failure.h"
#include "secure_buffer.h"

#include <stdbool.h>
#include <winsock2.h>

/* ---- the administrator's side ---- */

/* Makes the pipe; NULL: `failure` says why (another program hands something over to this tunnel). */
HANDLE handover_offer(const char *name, struct failure *failure);
/* Waits for the service, sends `text` (NULL: "read your file again"), and waits for what it says: true, or
 * its failure.  `wait_ms` for each of both. */
bool handover_deliver(HANDLE pipe, const struct secure_buffer *text, unsigned wait_ms,
                      struct failure *failure);

/* ---- the service's side ---- */

/* Opens the pipe if there is one (*pipe NULL: there is none), and reads.  `given`: a text has come. false:
 * what was sent cannot be read.  `text` is for secure_buffer_free() in any case. */
bool handover_take(const char *name, HANDLE *pipe, bool *given, struct secure_buffer *text,
                   struct failure *failure);
/* Answers and closes; status 0: done. */
void handover_answer(HANDLE pipe, const struct failure *failure);
