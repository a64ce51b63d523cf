/* The raw control socket of an adapter in nthost (docs/control-socket.md), as one who sends it the driver's
 * control codes and waits for each answer. */
#pragma once

#include "failure.h"
#include "raw_protocol.h"

#include <stdbool.h>
#include <stdint.h>

struct raw_client {
    int fd; /* -1: closed */
    uint32_t handle;
    uint64_t id;
};

/* As an elevated administrator. `what` is for messages: what is looked for there. */
bool raw_client_open(struct raw_client *client, const char *name, const char *what, struct failure *failure);
void raw_client_close(struct raw_client *client); /* with the request that waits */
/* One control code, whose answer may take any time.  `input` may be NULL (0 bytes). */
bool raw_client_control(struct raw_client *client, uint32_t code, const void *input, uint32_t input_bytes,
                        uint32_t output_bytes);
/* Its answer: 1 with `status` and what the driver wrote of `output_bytes`; 0: none came in time (-1: any
 * time); an errno below 0. */
int raw_client_answer(struct raw_client *client, int timeout_ms, int32_t *status, void *output,
                      uint32_t output_bytes);
/* Why it ended, of an errno below 0. */
const char *raw_client_end(int error);
