/* Who is asking: the token of the calling thread.  While a request of a front is dispatched, it is that
 * front's token; otherwise the thread belongs to the system. */
#pragma once

#include "io/file.h"

const struct io_token *token_current(void);
/* The calling thread acts for `token` until token_leave(what token_enter returned). */
const struct io_token *token_enter(const struct io_token *token);
void token_leave(const struct io_token *previous);
