/* See runner.h. */
#include "runner.h"

#include "engine.h"
#include "folders.h"
#include "handover.h"
#include "library.h"
#include "log.h"
#include "platform.h"
#include "privileges.h"
#include "recall.h"
#include "store.h"
#include "tunnel_event.h"

#include <string.h>

#define LOOK_MS       5000u /* between two looks whether the adapter is there */
#define LOOK_AGAIN_MS 2000u

bool runner_prepare(struct runner *runner, const char *path, struct failure *failure)
{
    runner->path = path;
    if (!tunnel_name_of(path, runner->name, sizeof runner->name, failure))
        return false;
    if (!plan_name_valid(runner->name))
        return fail(failure, EXIT_USAGE,
                    "\"%.60s\" cannot be the name of a tunnel: use 1 to 32 of a-z A-Z 0-9 _ = + . -, and no "
                    "name of a DOS device",
                    runner->name);
    runner->reload = CreateEventW(NULL, FALSE, FALSE, NULL);
    runner->resume = CreateEventW(NULL, FALSE, FALSE, NULL);
    runner->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    return (runner->reload && runner->resume && runner->stop) ||
           fail_windows(failure, GetLastError(), "%.60s: no event", runner->name);
}

void runner_release(struct runner *runner)
{
    HANDLE handles[] = {runner->reload, runner->resume, runner->stop, runner->event};
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
        if (handles[i])
            CloseHandle(handles[i]);
    config_free(runner->config);
    *runner = (struct runner){0};
}

/* ---- what the driver and the DLL say ---- */

static void CALLBACK take_line(WIREGUARD_LOGGER_LEVEL level, DWORD64 timestamp, LPCWSTR line)
{
    char text[800];
    if (utf8_of(line, text, sizeof text))
        log_foreign(level == WIREGUARD_LOG_ERR    ? LOG_ERROR
                    : level == WIREGUARD_LOG_WARN ? LOG_WARNING
                                                  : LOG_INFO,
                    "driver", text);
}

/* ---- starting ---- */

static bool load_config(struct runner *runner, struct config **config, struct failure *failure)
{
    struct secure_buffer text = {0};
    bool done = store_load(runner->path, runner->name, &text, failure) &&
                (*config = store_parse(&text, runner->path, failure)) != NULL;
    secure_buffer_free(&text);
    return done;
}

static void close_tunnel(struct runner *runner)
{
    follow_nothing(&runner->follow);
    if (runner->open)
        tunnel_close(&runner->tunnel);
    runner->open = false;
}

/* Between the peers' endpoints, whose names are asked for outside the tunnel, and the routes. */
static bool guard(void *context, struct failure *failure)
{
    struct runner *runner = context;
    if (!protection_begin(&runner->protection, &runner->tunnel, runner->config, failure))
        return false;
    /* An adapter that is made anew has another identifier than the one that the old filters let pass. */
    protection_commit(&runner->protection);
    return true;
}

static bool open_tunnel(struct runner *runner, struct failure *failure)
{
    struct backend *backend = engine_is_chosen() ? backend_engine() : backend_driver(take_line);
    runner->open = tunnel_create(&runner->tunnel, runner->name, backend, failure);
    runner->tunnel.guard = guard;
    runner->tunnel.guard_context = runner;
    recall_only(runner->protection.firewall != NULL);
    if (runner->open && tunnel_configure(&runner->tunnel, runner->config, recall_resolve, failure)) {
        protection_names(&runner->protection, runner->name, runner->config);
        follow_tunnel(&runner->follow, &runner->tunnel, runner->config);
        recall_only(false);
        return true;
    }
    close_tunnel(runner);
    return false;
}

/* What waiting may change. */
static bool may_pass(const struct failure *failure)
{
    return failure->status == EXIT_REFUSED || failure->status == EXIT_NO_ADAPTER ||
           failure->status == EXIT_NO_ANSWER;
}

static bool stopped(const struct runner *runner, DWORD wait_ms)
{
    HANDLE handles[] = {runner->stop, runner->event};
    return WaitForMultipleObjects(2, handles, FALSE, wait_ms) != WAIT_TIMEOUT;
}

/* Until it is open, or it is to stop (true, not open), or there is no point in going on. */
static bool open_with_patience(struct runner *runner, struct retry *retry, struct failure *failure)
{
    for (;;) {
        runner->progress(runner->context);
        if (open_tunnel(runner, failure))
            return true;
        uint32_t pause = may_pass(failure) ? retry_next(retry, GetTickCount64()) : 0;
        if (!pause)
            return false;
        log_line(LOG_WARNING, "%s; trying again in %u s", failure->text, (pause + 999) / 1000);
        runner->progress(runner->context);
        if (stopped(runner, pause))
            return true;
    }
}

/* ---- changes while it runs ---- */

static bool change_config(struct runner *runner, struct config *config, struct failure *failure)
{
    if (!protection_begin(&runner->protection, &runner->tunnel, config, failure))
        return false;
    if (!tunnel_reconfigure(&runner->tunnel, runner->config, config, recall_resolve, failure)) {
        protection_abort(&runner->protection);
        return false;
    }
    protection_commit(&runner->protection);
    protection_names(&runner->protection, runner->name, config);
    follow_tunnel(&runner->follow, &runner->tunnel, config);
    config_free(runner->config);
    runner->config = config;
    return true;
}

/* A configuration that is handed over, or the file again; what is refused changes nothing.  `serves`: it is
 * in force, also when it could not be stored. */
static bool take_config(struct runner *runner, HANDLE *pipe, bool *serves, struct failure *failure)
{
    struct secure_buffer text = {0};
    struct config *config = NULL;
    bool given;
    *serves = false;
    bool done = handover_take(runner->name, pipe, &given, &text, failure) &&
                (given || store_load(runner->path, runner->name, &text, failure)) &&
                (config = store_parse(&text, runner->path, failure)) != NULL;
    if (done && !change_config(runner, config, failure)) {
        config_free(config);
        done = false;
    }
    *serves = done;
    done = done && (!given || store_save(runner->name, &text, failure));
    secure_buffer_free(&text);
    return done;
}

static void reload(struct runner *runner)
{
    struct failure failure = {.status = EXIT_DONE};
    HANDLE pipe = NULL;
    bool serves;
    if (take_config(runner, &pipe, &serves, &failure)) {
        failure.status = EXIT_DONE;
        log_event(LOG_INFO, "the tunnel %s has its new configuration", runner->name);
    } else if (serves) {
        log_event(LOG_ERROR, "the new configuration serves, but not from the next start on: %s",
                  failure.text);
    } else {
        log_event(LOG_ERROR, "the new configuration was refused, the old one goes on: %s", failure.text);
    }
    handover_answer(pipe, &failure);
}

/* false: the tunnel cannot be kept. */
static bool open_again(struct runner *runner, struct failure *failure)
{
    struct retry retry;
    close_tunnel(runner);
    if (!restarts_allow(&runner->restarts, GetTickCount64()))
        return fail(failure, EXIT_REFUSED, "%.60s: the adapter vanished %u times within %u minutes",
                    runner->name, RESTARTS_MAX + 1, RESTARTS_WITHIN_MS / 60000);
    retry_begin_again(&retry, GetTickCount64());
    if (!open_with_patience(runner, &retry, failure))
        return false;
    if (runner->open)
        log_event(LOG_INFO, "the tunnel %s has been made anew", runner->name);
    return true;
}

static bool look_after_adapter(struct runner *runner, struct failure *failure)
{
    struct backend *backend = runner->tunnel.backend;
    if (backend->alive(backend))
        return true;
    /* A driver that is being replaced is away for a moment. */
    if (!backend->process && (stopped(runner, LOOK_AGAIN_MS) || backend->alive(backend)))
        return true;
    log_event(LOG_WARNING, "the adapter of the tunnel %s has vanished: it is made anew", runner->name);
    return open_again(runner, failure);
}

/* After sleep interfaces may have lost what they were given. */
static bool resume(struct runner *runner, struct failure *failure)
{
    log_line(LOG_INFO, "the machine woke up: the tunnel is configured again");
    if (!look_after_adapter(runner, failure))
        return false;
    if (runner->open && !tunnel_repeat(&runner->tunnel, failure))
        log_line(LOG_WARNING, "after waking up: %s", failure->text);
    return true;
}

static bool serve(struct runner *runner, struct failure *failure)
{
    for (;;) {
        HANDLE handles[] = {runner->stop,   runner->event,        runner->reload,
                            runner->resume, runner->follow.event, runner->tunnel.backend->process};
        DWORD count = runner->tunnel.backend->process ? 6 : 5;
        uint32_t wait_ms = follow_look(&runner->follow);
        bool good = true;
        switch (WaitForMultipleObjects(count, handles, FALSE, wait_ms < LOOK_MS ? wait_ms : LOOK_MS)) {
        case WAIT_OBJECT_0:
        case WAIT_OBJECT_0 + 1:
            return true;
        case WAIT_OBJECT_0 + 2:
            reload(runner);
            break;
        case WAIT_OBJECT_0 + 3:
            good = resume(runner, failure);
            break;
        case WAIT_OBJECT_0 + 4: /* for follow_look() */
            break;
        default:
            good = look_after_adapter(runner, failure);
        }
        if (!good)
            return false;
        if (!runner->open) /* to stop, while it was made anew */
            return true;
    }
}

/* ---- the whole ---- */

static void drop_privileges(void)
{
    DWORD code = privileges_drop();
    if (code)
        log_line(LOG_WARNING, "privileges that are not needed cannot be dropped: code %lu", code);
}

static bool run(struct runner *runner, struct failure *failure)
{
    struct retry retry;
    retry_begin(&retry, GetTickCount64());
    runner->event = tunnel_event_claim(runner->name, failure);
    if (!runner->event || !load_config(runner, &runner->config, failure) ||
        !open_with_patience(runner, &retry, failure))
        return false;
    if (!runner->open)
        return true;
    log_event(LOG_INFO, "the tunnel %s is up", runner->name);
    drop_privileges();
    runner->running(runner->context);
    return serve(runner, failure);
}

static void begin(struct runner *runner)
{
    struct failure failure;
    platform_start();
    bool prepared = folders_prepare(&failure);
    DWORD code = log_open(runner->name, runner->to_stderr);
    if (!prepared)
        log_event(LOG_WARNING, "%s", failure.text);
    if (code)
        log_event(LOG_WARNING, "there is no log file: code %lu", code);
}

bool runner_run(struct runner *runner, struct failure *failure)
{
    begin(runner);
    log_line(LOG_INFO, "starting the tunnel %s", runner->name);
    follow_start(&runner->follow);
    bool done = run(runner, failure);
    close_tunnel(runner);
    follow_end(&runner->follow);
    recall_forget();
    protection_end(&runner->protection, runner->name);
    if (done)
        log_event(LOG_INFO, "the tunnel %s has ended as asked", runner->name);
    else
        log_event(LOG_ERROR, "the tunnel %s has failed: %s", runner->name, failure->text);
    log_close();
    return done;
}

bool runner_store(struct runner *runner, struct failure *failure)
{
    struct secure_buffer text = {0};
    struct config *config = NULL;
    HANDLE pipe;
    bool given;
    begin(runner);
    bool done = handover_take(runner->name, &pipe, &given, &text, failure);
    if (done && !given)
        done = fail(failure, EXIT_REFUSED, "%.60s: no configuration was handed over", runner->name);
    done = done && (config = store_parse(&text, runner->path, failure)) != NULL &&
           store_save(runner->name, &text, failure);
    if (done)
        failure->status = EXIT_DONE;
    else
        log_line(LOG_ERROR, "the configuration was not stored: %s", failure->text);
    handover_answer(pipe, failure);
    config_free(config);
    secure_buffer_free(&text);
    log_close();
    return done;
}
