/* `wyrm setconf`, `addconf` and `syncconf`: a configuration file applied to an adapter. */
#include "command.h"
#include "sync.h"
#include "transport.h"

#include <string.h>

enum way { WAY_SET, WAY_ADD, WAY_SYNC };

/* What an adapter is to be told.  setconf and syncconf describe it completely: what the file lacks is taken
 * away. */
static bool change_of(const struct config *config, enum way way, struct change *change,
                      struct failure *failure)
{
    bool complete = way != WAY_ADD;
    change->has_private_key = complete || config->has_private_key;
    memcpy(change->private_key, config->private_key, KEY_LENGTH);
    change->has_listen_port = complete || config->has_listen_port;
    change->listen_port = config->listen_port;
    change->has_fwmark = complete || config->has_fwmark;
    change->fwmark = config->fwmark;
    change->replace_peers = complete;
    return change_add_config_peers(change, config, failure);
}

static bool apply(const struct invocation *invocation, enum way way, const char *verb,
                  struct failure *failure)
{
    struct change change = {0};
    struct device device = {0};
    if (invocation->count != 2)
        return fail(failure, EXIT_USAGE, "%s wants an adapter and a file: wyrm %s wg0 wg0.conf", verb, verb);
    const char *name = invocation->arguments[0];
    struct config *config =
        config_load(invocation->arguments[1], CONFIG_WG, "wyrm", failure->text, sizeof failure->text);
    failure->status = EXIT_INVALID;
    if (!config)
        return false;
    bool done = change_of(config, way, &change, failure);
    config_free(config);
    if (done && way == WAY_SYNC)
        done = transport_get(name, &device, failure) && sync_difference(&change, &device, failure);
    done = done && transport_set(name, &change, failure);
    device_free(&device);
    change_free(&change);
    return done && report_done(invocation, name, failure);
}

bool command_setconf(const struct invocation *invocation, struct failure *failure)
{
    return apply(invocation, WAY_SET, "setconf", failure);
}

bool command_addconf(const struct invocation *invocation, struct failure *failure)
{
    return apply(invocation, WAY_ADD, "addconf", failure);
}

bool command_syncconf(const struct invocation *invocation, struct failure *failure)
{
    return apply(invocation, WAY_SYNC, "syncconf", failure);
}
