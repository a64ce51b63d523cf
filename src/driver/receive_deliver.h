/* The ordered stage of the receive side.  Internal to receive*.c. */
#pragma once

#include "batch.h"

/* An opened batch whose turn it is (one at a time per peer): replay window, key confirmation, endpoint, inner
 * header, allowed source, indication.  Takes the batch over.  IRQL <= DISPATCH_LEVEL. */
void receive_deliver(struct batch *batch);
