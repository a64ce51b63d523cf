/* The interface's static key pair. */
#include "protocol/identity.h"
#include "crypto/secure_memory.h"
#include "crypto/x25519.h"
#include "protocol/stack_erase.h"

void identity_init(struct identity *identity)
{
    *identity = (struct identity){0};
}

bool identity_set(struct identity *identity, const uint8_t private_key[PRIVATE_KEY_BYTES])
{
    if (secure_is_zero(private_key, PRIVATE_KEY_BYTES))
        return false;
    __builtin_memcpy(identity->private_key, private_key, PRIVATE_KEY_BYTES);
    x25519_clamp(identity->private_key);
    x25519_base(identity->public_key, identity->private_key);
    identity->present = true;
    stack_erase();
    return true;
}

void identity_clear(struct identity *identity)
{
    secure_zero(identity, sizeof(*identity));
}

void identity_copy(struct identity *destination, const struct identity *source)
{
    *destination = *source;
}

bool identity_equals_private_key(const struct identity *identity,
                                 const uint8_t private_key[PRIVATE_KEY_BYTES])
{
    uint8_t clamped[PRIVATE_KEY_BYTES];
    __builtin_memcpy(clamped, private_key, sizeof(clamped));
    x25519_clamp(clamped);
    bool equal = identity->present && secure_equal(clamped, identity->private_key, sizeof(clamped));
    secure_zero(clamped, sizeof(clamped));
    return equal;
}
