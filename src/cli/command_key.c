/* `wyrm genkey`, `genpsk` and `pubkey`. */
#include "command.h"
#include "crypto/secure_memory.h"
#include "crypto/x25519.h"
#include "format.h"
#include "key_text.h"
#include "output.h"
#include "platform.h"

#include <stdio.h>

static bool print_key(const struct invocation *invocation, const char *name, const uint8_t key[KEY_LENGTH],
                      struct failure *failure)
{
    struct output output = {0};
    output_text(&output, invocation->json ? "{\"%s\":\"" : "%.0s", name);
    output_key(&output, key);
    output_text(&output, invocation->json ? "\"}\n" : "\n");
    return output_flush(&output, failure);
}

static bool generate(const struct invocation *invocation, const char *name, bool clamp,
                     struct failure *failure)
{
    uint8_t key[KEY_LENGTH];
    if (invocation->count)
        return fail(failure, EXIT_USAGE, "this command takes no arguments (see `wyrm --help`)");
    if (platform_output_is_exposed())
        fputs("wyrm: warning: every user can read the file that the key goes to: " PLATFORM_RESTRICT "\n",
              stderr);
    bool done = platform_random(key, sizeof key, failure);
    if (done && clamp)
        x25519_clamp(key);
    done = done && print_key(invocation, name, key, failure);
    secure_zero(key, sizeof key);
    return done;
}

bool command_genkey(const struct invocation *invocation, struct failure *failure)
{
    return generate(invocation, "private_key", true, failure);
}

bool command_genpsk(const struct invocation *invocation, struct failure *failure)
{
    return generate(invocation, "preshared_key", false, failure);
}

bool command_pubkey(const struct invocation *invocation, struct failure *failure)
{
    uint8_t private_key[KEY_LENGTH], public_key[KEY_LENGTH];
    bool empty;
    /* The argument may be the private key, so it is not repeated. */
    if (invocation->count)
        return fail(failure, EXIT_USAGE,
                    "pubkey takes no arguments: the private key comes from standard input");
    if (!key_text_read("-", private_key, &empty, failure))
        return false;
    if (empty)
        return fail(failure, EXIT_INVALID, "standard input is empty: pubkey wants a private key");
    x25519_base(public_key, private_key);
    secure_zero(private_key, sizeof private_key);
    return print_key(invocation, "public_key", public_key, failure);
}
