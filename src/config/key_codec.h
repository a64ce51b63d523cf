/* Text forms of 32-byte keys: hexadecimal (the userspace protocol) and base64 (configuration files, RFC 4648
 * section 4).  Time does not depend on the key's bits, only on the text's length and on whether it is valid.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_LENGTH        32
#define KEY_HEX_LENGTH    64
#define KEY_BASE64_LENGTH 44 /* with the final '=' */

/* false: not exactly 64 hexadecimal digits; `key` is wiped then. */
bool key_from_hex(uint8_t key[KEY_LENGTH], const char *text, size_t length);
void key_to_hex(char text[KEY_HEX_LENGTH + 1], const uint8_t key[KEY_LENGTH]);
/* false: not the 44 characters of the canonical form; `key` is wiped then. */
bool key_from_base64(uint8_t key[KEY_LENGTH], const char *text, size_t length);
void key_to_base64(char text[KEY_BASE64_LENGTH + 1], const uint8_t key[KEY_LENGTH]);
/* Whether a text of `length` bytes may hold a key, whole, cut, split, with characters too many, in base64
 * (also the alphabet of URLs) or hexadecimal: then no message repeats it.  Better too few words than a key in
 * a log. */
bool key_may_be_in(const char *text, size_t length);
bool key_is_zero(const uint8_t key[KEY_LENGTH]);
