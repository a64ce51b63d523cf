/* The command-line tool: which command, its options, its help, and how failures are told. */
#include "command.h"
#include "format.h"
#include "output.h"
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct command {
    const char *name;
    bool (*run)(const struct invocation *invocation, struct failure *failure);
    const char *usage, *summary, *help;
};

static const struct command commands[] = {
    {"up", command_up, "up FILE.conf | NAME [--engine COMMAND] [--json]",
     "makes a tunnel from a configuration file",
     "FILE: the format of wg-quick(8); NAME stands for /etc/wireguard/NAME.conf.  Makes the interface and "
     "sets "
     "keys, peers,\n"
     "addresses, MTU, DNS and routes, and runs the hooks; whatever fails, all of it is undone.  What is up "
     "stays as it is.\n"
     "\n"
     "  --engine COMMAND  serves the interface by another implementation in user space (COMMAND NAME is run, "
     "as "
     "wg-quick does,\n"
     "                    with WG_PROCESS_FOREGROUND=1) instead of wyrm.sys in nthost\n"},
    {"down", command_down, "down FILE.conf | NAME [--json]", "undoes `up`",
     "Takes away all that `up` made, and runs the hooks as they were then.  What is not up stays so.\n"},
    {"doctor", command_doctor, "doctor [NAME] [--json]", "looks for what keeps tunnels from working",
     "Examines permissions, the TUN device, programs, what a tunnel left behind, and of each adapter (or "
     "NAME) "
     "the interface,\n"
     "MTU, keys, sessions and the way to its endpoints; says what to do.  Changes nothing.  The status is 1 "
     "when "
     "something is\n"
     "wrong; warnings do not count.\n"
     "\n"
     "  --json  an object with the list \"checks\": subject, grade (ok, warning, wrong), text, remedy\n"},
    {"log", command_log, "log NAME [--follow] [--json]", "prints the driver's log",
     "Prints the lines that the driver of an adapter in nthost has kept and nobody has read, and ends; each "
     "line goes to one\n"
     "reader.  Times are UTC.\n"
     "\n"
     "  --follow  goes on with the lines that come, until Ctrl-C\n"
     "  --json    an object a line: time, level (error, warning, info), text\n"},
    {"events", command_events, "events NAME [--follow] [--json]", "prints what happened to an adapter",
     "Prints the last events (128 at most) that the driver has kept, and ends; every reader gets all of "
     "them.  "
     "Times are UTC.\n"
     "\n"
     "  handshake  a session with the peer is confirmed; by-us or by-peer began it\n"
     "  endpoint   the peer was heard from another address, which is its endpoint now\n"
     "  expired    there is no session any more: no-answer to handshakes for 90 s, or idle for too long\n"
     "  state      the adapter went up or down\n"
     "  log-lost   lines of the log begin to be lost: overwritten unread, or suppressed as too frequent\n"
     "\n"
     "  --follow  goes on with the events that come, until Ctrl-C\n"
     "  --json    an object a line: time, sequence, event, and where there are, detail, peer, endpoint\n"},
    {"show", command_show, "show [NAME | all | interfaces] [FIELD] [--json] [--show-keys]",
     "shows adapters, their peers and counters",
     "Without arguments: all adapters, for people.  NAME: one adapter.  interfaces: only the names.\n"
     "A FIELD is printed in lines and tabs for scripts, as `wg show` does; with `all` each line begins with "
     "the\n"
     "adapter's name.  Fields: public-key private-key listen-port fwmark peers preshared-keys endpoints "
     "allowed-ips\n"
     "latest-handshakes transfer persistent-keepalive dump\n"
     "\n"
     "  --json       an object with the list \"interfaces\"; keys that are secret only when their field (or "
     "dump) is asked for\n"
     "  --show-keys  private and preshared keys instead of (hidden); so does WG_HIDE_KEYS=never\n"
     "\n"
     "Colours: on a terminal only; WG_COLOR_MODE=always or never says otherwise.\n"},
    {"showconf", command_showconf, "showconf NAME [--json]",
     "prints an adapter's configuration with its keys, for setconf",
     "The output holds the private key and all preshared keys.\n"},
    {"set", command_set,
     "set NAME [listen-port PORT] [fwmark MARK] [private-key FILE]\n"
     "                [peer KEY [remove] [preshared-key FILE] [endpoint HOST:PORT]\n"
     "                          [persistent-keepalive SECONDS] [allowed-ips LIST]]... [--json]",
     "changes an adapter or its peers",
     "All of it goes to the adapter as one change.  Secret keys come from files; \"-\" is standard input, an "
     "empty file "
     "such as\n"
     "/dev/null removes the key.  fwmark and persistent-keepalive: 0 or off for none.  allowed-ips: prefixes "
     "with commas\n"
     "between replace what the peer has, \"\" removes all; +PREFIX and -PREFIX add one and take one away.\n"},
    {"setconf", command_setconf, "setconf NAME FILE [--json]",
     "replaces an adapter's configuration by that of a file",
     "FILE: the format of wg(8), \"-\" for standard input.  What the file lacks is removed; all sessions "
     "end.\n"},
    {"addconf", command_addconf, "addconf NAME FILE [--json]", "adds a file to an adapter's configuration",
     "FILE: the format of wg(8), \"-\" for standard input.  [Interface] may be missing.  A peer that is "
     "there already gets\n"
     "the allowed IPs of the file.\n"},
    {"syncconf", command_syncconf, "syncconf NAME FILE [--json]",
     "as setconf, but leaves alone what stays the same",
     "FILE: the format of wg(8), \"-\" for standard input.  Sessions of peers that stay live on.  A port or "
     "an endpoint\n"
     "that the file does not give stays as it is.\n"},
#ifdef _WIN32
    {"install", command_install, "install [--json]", "installs the driver, or a newer one",
     "Puts the driver's package that stands beside this program into the driver store, so that tunnels start "
     "at "
     "once later.\nAn installed one that is as new stays as it is.  The installer runs this.\n"},
    {"uninstall", command_uninstall, "uninstall [--json]", "removes the driver",
     "Removes the driver and its packages from the driver store, and what programs that died left behind.  "
     "Refused "
     "while an\nadapter is in use.  The installer runs this.\n"},
#endif
    {"genkey", command_genkey, "genkey [--json]", "prints a new private key", ""},
    {"genpsk", command_genpsk, "genpsk [--json]", "prints a new preshared key", ""},
    {"pubkey", command_pubkey, "pubkey [--json]",
     "prints the public key of the private key on standard input", ""},
};

static const char statuses[] =
    "Exit status: 0 done, 1 refused by the adapter or the system, 2 wrong arguments, 3 a file or key is not "
    "valid,\n"
    "4 there is no such adapter, 5 not permitted, 6 the adapter does not answer.\n";

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(name, commands[i].name))
            return &commands[i];
    return NULL;
}

static bool print_help(const struct command *command, struct failure *failure)
{
    struct output output = {0};
    if (command) {
        output_text(&output, "Usage: wyrm %s\n\n%s: %s.\n%s%s\n%s", command->usage, command->name,
                    command->summary, command->help[0] ? "\n" : "", command->help, statuses);
        return output_flush(&output, failure);
    }
    output_text(&output, "Usage: wyrm [COMMAND] [ARGUMENTS]\n\nReads and changes WireGuard adapters.  "
                         "Commands (default: show):\n\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        output_text(&output, "  %-9s %s\n", commands[i].name, commands[i].summary);
    output_text(&output,
                "\n  wyrm COMMAND --help   says more\n"
                "  wyrm --version        prints the version\n"
                "  --json                with any command: output and errors as JSON\n\n%s",
                statuses);
    return output_flush(&output, failure);
}

static bool print_version(struct failure *failure)
{
    struct output output = {0};
    output_text(&output, "wyrm " WYRM_VERSION "\n");
    return output_flush(&output, failure);
}

void report(const struct failure *failure, bool json)
{
    struct output output = {0};
    if (!json && !failure->text[0]) /* said already */
        return;
    if (json) {
        output_text(&output, "{\"error\":{\"status\":%d,\"message\":", failure->status);
        format_json_string(&output, failure->text);
        output_text(&output, "}}\n");
    } else {
        output_text(&output, "wyrm: ");
        for (const char *at = failure->text; *at; at++) /* files and names must not steer the terminal */
            output_text(&output, "%c", (unsigned char)*at < 0x20 || *at == 0x7F ? '?' : *at);
        output_text(&output, "\n");
    }
    if (!output.no_memory)
        fwrite(output.text.data, 1, output.text.length, stderr);
    output_free(&output);
}

bool report_done(const struct invocation *invocation, const char *name, struct failure *failure)
{
    struct output output = {0};
    if (!invocation->json)
        return true;
    output_text(&output, "{\"interface\":");
    format_json_string(&output, name);
    output_text(&output, ",\"applied\":true}\n");
    return output_flush(&output, failure);
}

struct options {
    bool help, version, only_arguments;
};

/* false: not an option of the tool. */
static bool take_option(const char *word, struct options *options, struct invocation *invocation)
{
    if (!strcmp(word, "--json"))
        invocation->json = true;
    else if (!strcmp(word, "--show-keys"))
        invocation->show_keys = true;
    else if (!strcmp(word, "--follow"))
        invocation->follow = true;
#ifdef _WIN32
    else if (!strcmp(word, "--keep"))
        invocation->keep = true;
#endif
    else if (!strcmp(word, "--help") || !strcmp(word, "-h"))
        options->help = true;
    else if (!strcmp(word, "--version"))
        options->version = true;
    else if (!strcmp(word, "--"))
        options->only_arguments = true;
    else
        return false;
    return true;
}

/* Options may stand anywhere; what is left goes to `words`. */
static bool sort_words(int count, char **arguments, char **words, int *word_count, struct options *options,
                       struct invocation *invocation, struct failure *failure)
{
    bool refused = false;
    for (int i = 1; i < count; i++) {
        char *word = arguments[i];
        if (!options->only_arguments && !strcmp(word, "--engine")) {
            invocation->engine = i + 1 < count ? arguments[++i] : "";
            continue;
        }
        if (options->only_arguments || word[0] != '-' || (word[1] != '-' && strcmp(word, "-h") != 0))
            words[(*word_count)++] = word;
        else if (!take_option(word, options, invocation) && !refused)
            refused = !fail(failure, EXIT_USAGE, "there is no option %.60s (see `wyrm --help`)", word);
    }
    return !refused;
}

static bool run(int word_count, char **words, const struct options *options, struct invocation *invocation,
                struct failure *failure)
{
    const struct command *command = find_command("show");
    bool help = options->help, named = word_count > 0;
    if (options->version)
        return print_version(failure);
    if (named && !strcmp(words[0], "help")) {
        help = true;
        words++;
        word_count--;
        named = word_count > 0;
    }
    if (named)
        command = find_command(words[0]);
    if (!command)
        return fail(failure, EXIT_USAGE, "there is no command \"%.40s\" (see `wyrm --help`)", words[0]);
    if (help)
        return print_help(named ? command : NULL, failure);
    if (invocation->show_keys && command->run != command_show)
        return fail(failure, EXIT_USAGE, "--show-keys is an option of show only");
    if (invocation->engine && command->run != command_up)
        return fail(failure, EXIT_USAGE, "--engine is an option of up only");
    if (invocation->keep && command->run != command_up)
        return fail(failure, EXIT_USAGE, "--keep is an option of up only");
    if (invocation->follow && command->run != command_log && command->run != command_events)
        return fail(failure, EXIT_USAGE, "--follow is an option of log and events only");
    invocation->count = named ? word_count - 1 : 0;
    invocation->arguments = words + 1;
    return command->run(invocation, failure);
}

int main(int count, char **arguments)
{
    struct failure failure = {.status = EXIT_REFUSED};
    platform_start();
    struct invocation invocation = {0};
    struct options options = {0};
    int word_count = 0;
    char **words = calloc((size_t)count + 2, sizeof(*words));
    bool done = words != NULL;
    if (!done)
        fail(&failure, EXIT_REFUSED, "out of memory");
    done = done && sort_words(count, arguments, words, &word_count, &options, &invocation, &failure) &&
           run(word_count, words, &options, &invocation, &failure);
    free(words);
    if (!done)
        report(&failure, invocation.json);
    return done ? EXIT_DONE : failure.status;
}
