/* Keys as users give them: files for secrets, text for public keys. */
#pragma once

#include "failure.h"
#include "key_codec.h"

#include <stdbool.h>
#include <stdint.h>

/* Reads a key in base64, with white space around it, from a file or pipe; "-" is standard input.  `*empty`:
 * there was nothing in it, and `key` is zero. */
bool key_text_read(const char *path, uint8_t key[KEY_LENGTH], bool *empty, struct failure *failure);
