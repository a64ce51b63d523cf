/* `wyrm show` and `wyrm showconf`. */
#include "command.h"
#include "format.h"
#include "platform.h"
#include "transport.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool environment_is(const char *variable, const char *value)
{
    const char *set = getenv(variable);
    return set && !strcmp(set, value);
}

static bool wants_colours(void)
{
    if (environment_is("WG_COLOR_MODE", "always"))
        return true;
    return !environment_is("WG_COLOR_MODE", "never") && platform_output_is_terminal();
}

struct view {
    enum field field;
    bool named, json;
    struct pretty pretty;
};

/* The time is taken after the answer: a handshake between the two would seem to come from the future. */
static void show_pretty(const struct device *device, const struct view *view, struct output *output)
{
    struct pretty pretty = view->pretty;
    pretty.now = (int64_t)time(NULL);
    format_pretty(output, device, &pretty);
}

static bool show_one(const char *name, const struct view *view, bool first, struct output *output,
                     struct failure *failure)
{
    struct device device = {0};
    bool done = transport_get(name, &device, failure);
    if (done && view->json) {
        output_text(output, first ? "" : ",");
        format_json(output, &device, view->field, view->pretty.show_keys);
    } else if (done && view->field == FIELD_ALL) {
        output_text(output, first ? "" : "\n");
        show_pretty(&device, view, output);
    } else if (done) {
        format_fields(output, &device, view->field, view->named);
    }
    device_free(&device);
    return done;
}

static bool show_names(bool json, const struct name_list *names, struct output *output)
{
    if (json)
        output_text(output, "{\"interfaces\":[");
    for (size_t i = 0; i < names->count; i++) {
        if (json) {
            output_text(output, i ? "," : "");
            format_json_string(output, names->items[i]);
        } else {
            output_text(output, "%s%s", i ? " " : "", names->items[i]);
        }
    }
    output_text(output, json ? "]}\n" : "\n");
    return true;
}

/* Those that can be read are shown even when others cannot: each of these is told, and the first decides the
 * status. */
static bool show_each(const struct view *view, const struct name_list *names, struct output *output,
                      struct failure *failure)
{
    bool all = true, first = true;
    for (size_t i = 0; i < names->count; i++) {
        struct failure one;
        if (show_one(names->items[i], view, first, output, &one)) {
            first = false;
            continue;
        }
        if (all)
            *failure = one;
        else
            report(&one, view->json);
        all = false;
    }
    return all;
}

static bool parse_arguments(const struct invocation *invocation, struct view *view, const char **name,
                            struct failure *failure)
{
    if (invocation->count > 2)
        return fail(failure, EXIT_USAGE,
                    "show takes an adapter and a field, not %d arguments (see `wyrm show --help`)",
                    invocation->count);
    if (invocation->count)
        *name = invocation->arguments[0];
    view->field = FIELD_ALL;
    if (invocation->count < 2)
        return true;
    if (!strcmp(*name, "interfaces"))
        return fail(failure, EXIT_USAGE, "`show interfaces` takes no field (see `wyrm show --help`)");
    view->field = field_of(invocation->arguments[1]);
    return view->field != FIELD_ALL ||
           fail(failure, EXIT_USAGE, "there is no field \"%.60s\" (see `wyrm show --help`)",
                invocation->arguments[1]);
}

bool command_show(const struct invocation *invocation, struct failure *failure)
{
    struct view view = {.json = invocation->json};
    struct output output = {0};
    struct name_list names = {0};
    const char *name = "all";
    if (!parse_arguments(invocation, &view, &name, failure))
        return false;
    view.pretty.show_keys = invocation->show_keys || environment_is("WG_HIDE_KEYS", "never");
    view.pretty.colours = wants_colours();
    view.named = !strcmp(name, "all");
    bool list = view.named || !strcmp(name, "interfaces"), done;
    if (list && !transport_list(&names, failure)) {
        name_list_free(&names);
        return false;
    }
    if (list && !view.named) {
        done = show_names(view.json, &names, &output);
    } else {
        char *const single[] = {(char *)name};
        const struct name_list one = {(char **)single, 1};
        if (view.json)
            output_text(&output, "{\"interfaces\":[");
        done = show_each(&view, list ? &names : &one, &output, failure);
        if (view.json)
            output_text(&output, "]}\n");
    }
    name_list_free(&names);
    if (!done && !list) { /* an empty frame of JSON would say that there are none */
        output_free(&output);
        return false;
    }
    struct failure printing;
    if (output_flush(&output, &printing))
        return done;
    if (done)
        *failure = printing;
    return false;
}

bool command_showconf(const struct invocation *invocation, struct failure *failure)
{
    struct device device = {0};
    struct output output = {0};
    if (invocation->count != 1)
        return fail(failure, EXIT_USAGE, "showconf wants one adapter: wyrm showconf wg0");
    bool done = transport_get(invocation->arguments[0], &device, failure);
    if (done && invocation->json) {
        format_json(&output, &device, FIELD_DUMP, true);
        output_text(&output, "\n");
    } else if (done) {
        format_conf(&output, &device);
    }
    device_free(&device);
    return done && output_flush(&output, failure);
}
