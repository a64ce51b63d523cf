/* Reports: which rule, what happened, in which function, the driver's stack with source lines, and the other
 * stacks that explain it.  The first report ends the process. */
#include "verify/internal.h"

#include "imports/imports.h"
#include "loader/image.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_RULE_BROKEN 70
#define REPORT_SECONDS   30u /* a process whose heap is destroyed may hang while it reports */

static const char *const rule_names[VERIFY_RULE_COUNT] = {
    [RULE_POOL_OVERRUN] = "pool-overrun",
    [RULE_POOL_UNDERRUN] = "pool-underrun",
    [RULE_POOL_USE_AFTER_FREE] = "pool-use-after-free",
    [RULE_POOL_UNINITIALIZED] = "pool-uninitialized",
    [RULE_POOL_DOUBLE_FREE] = "pool-double-free",
    [RULE_POOL_BAD_FREE] = "pool-bad-free",
    [RULE_POOL_TAG] = "pool-tag",
    [RULE_POOL_ZERO_SIZE] = "pool-zero-size",
    [RULE_POOL_IRQL] = "pool-irql",
    [RULE_POOL_EXECUTABLE] = "pool-executable",
    [RULE_POOL_LEAK] = "pool-leak",
    [RULE_POOL_ACTIVE_OBJECT] = "pool-active-object",
    [RULE_ACCESS_VIOLATION] = "access-violation",
    [RULE_DISCARDED_CODE] = "discarded-code",
    [RULE_IRQL_RANGE] = "irql-range",
    [RULE_IRQL_RAISE_LOWER] = "irql-raise-lower",
    [RULE_IRQL_CALLBACK_EXIT] = "irql-callback-exit",
    [RULE_WAIT_AT_DISPATCH] = "wait-at-dispatch",
    [RULE_DPC_WATCHDOG] = "dpc-watchdog",
    [RULE_STACK_OVERFLOW] = "stack-overflow",
    [RULE_LOCK_RECURSION] = "lock-recursion",
    [RULE_LOCK_NOT_HELD] = "lock-not-held",
    [RULE_LOCK_HELD_AT_EXIT] = "lock-held-at-exit",
    [RULE_LOCK_ORDER] = "lock-order",
    [RULE_LOCK_LEVEL] = "lock-level",
    [RULE_RUNDOWN_MISUSE] = "rundown-misuse",
    [RULE_OBJECT_REFERENCE] = "object-reference",
    [RULE_DOUBLE_INITIALIZE] = "double-initialize",
    [RULE_LEFT_AT_UNLOAD] = "left-at-unload",
    [RULE_IRP_COMPLETED_TWICE] = "irp-completed-twice",
    [RULE_IRP_PENDING_MARK] = "irp-pending-mark",
    [RULE_IRP_INFORMATION] = "irp-information",
    [RULE_IRP_CANCEL_ROUTINE] = "irp-cancel-routine",
    [RULE_IRP_STACK_LOCATION] = "irp-stack-location",
    [RULE_IRP_NOT_OWNED] = "irp-not-owned",
    [RULE_MDL_MISUSE] = "mdl-misuse",
    [RULE_NDIS_ATTRIBUTES] = "ndis-attributes",
    [RULE_NDIS_STATE] = "ndis-state",
    [RULE_NDIS_AFTER_HALT] = "ndis-after-halt",
    [RULE_NBL_NOT_OWNED] = "nbl-not-owned",
    [RULE_NBL_COMPLETED_TWICE] = "nbl-completed-twice",
    [RULE_NBL_FIELDS] = "nbl-fields",
    [RULE_NBL_OFFLOAD] = "nbl-offload",
    [RULE_OFFLOAD_STRUCTURE] = "offload-structure",
    [RULE_NDIS_FLAGS] = "ndis-flags",
    [RULE_NDIS_TIMEOUT] = "ndis-timeout",
    [RULE_OID_RESULT] = "oid-result",
    [RULE_LINK_STATE] = "link-state",
    [RULE_WSK_DATAGRAM_RELEASE] = "wsk-datagram-release",
    [RULE_WSK_SOCKET_STATE] = "wsk-socket-state",
    [RULE_WSK_CONTROL_DATA] = "wsk-control-data",
    [RULE_MIB_TABLE] = "mib-table",
    [RULE_NOTIFICATION] = "notification",
};

static pthread_mutex_t report_lock = PTHREAD_MUTEX_INITIALIZER;

const char *verify_rule_name(enum verify_rule rule)
{
    return rule < VERIFY_RULE_COUNT && rule_names[rule] ? rule_names[rule] : "unknown-rule";
}

const char *report_tag(uint32_t tag, char text[8])
{
    for (unsigned i = 0; i < 4; i++) {
        char c = (char)(tag >> (8 * i));
        text[i] = c >= 0x20 && c < 0x7f ? c : '.';
    }
    text[4] = 0;
    return text;
}

/* What stands between the rule and the stacks. */
static void print_place(FILE *out, bool direct, unsigned count)
{
    const struct import_entry *import = import_current();
    const char *callback = gate_callback_name();
    if (callback)
        fprintf(out, "  in the driver's callback %s\n", callback);
    if (count == 0)
        fprintf(out, "  outside of any call of the driver\n");
    else if (import && !direct)
        fprintf(out, "  in %s, called from\n", import->name);
    else
        fprintf(out, "  at\n");
}

static void print_report(FILE *out, enum verify_rule rule, const char *text, const struct report_note *notes,
                         unsigned note_count)
{
    uint64_t frames[32];
    bool direct;
    unsigned count = stack_driver_frames(frames, 32, &direct);
    fprintf(out, "nthost: verify: rule %s is broken: %s\n", verify_rule_name(rule), text);
    fflush(out);
    print_place(out, direct, count);
    image_print_stack(out, frames, count);
    for (unsigned i = 0; i < note_count; i++) {
        fprintf(out, "  %s%s\n", notes[i].title, notes[i].stack && notes[i].stack->count ? ", at" : "");
        if (notes[i].stack)
            image_print_stack(out, notes[i].stack->frames, notes[i].stack->count);
    }
    fflush(out);
}

/* Into memory first, so that stderr and the file get the same bytes and the symbolizer runs once. */
_Noreturn static void report(enum verify_rule rule, const struct report_note *notes, unsigned count,
                             const char *format, va_list arguments)
{
    char message[1024], *text = NULL;
    size_t length = 0;
    if (pthread_mutex_trylock(&report_lock) != 0) {
        for (;;) /* another thread's report ends the process */
            pause();
    }
    signal(SIGALRM, SIG_DFL);
    alarm(REPORT_SECONDS);
    vsnprintf(message, sizeof message, format, arguments);
    FILE *buffer = open_memstream(&text, &length);
    if (buffer) {
        print_report(buffer, rule, message, notes, count);
        fclose(buffer);
        for (size_t at = 0; at < length;) {
            ssize_t written = write(STDERR_FILENO, text + at, length - at);
            if (written <= 0)
                break;
            at += (size_t)written;
        }
    } else {
        print_report(stderr, rule, message, notes, count);
    }
    if (host_options.report_file) {
        FILE *file = fopen(host_options.report_file, "a");
        if (!file) {
            host_warn("--report %s cannot be written", host_options.report_file);
        } else {
            if (text)
                fwrite(text, 1, length, file);
            else
                fprintf(file, "nthost: verify: rule %s is broken: %s\n", verify_rule_name(rule), message);
            fclose(file);
        }
    }
    _exit(EXIT_RULE_BROKEN);
}

void verify_report(enum verify_rule rule, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(rule, NULL, 0, format, arguments);
}

void report_notes(enum verify_rule rule, const struct report_note *notes, unsigned count, const char *format,
                  ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(rule, notes, count, format, arguments);
}
