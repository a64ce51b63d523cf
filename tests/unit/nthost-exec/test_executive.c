/* The I/O manager, access checks and run-time library with the real scheduler and kernel core, natively and
 * through a driver, in fast and in verify mode.
 *
 * usage: test_executive fast|verify EXEC.sys [RULE-TO-BREAK]
 *        test_executive faults EXEC.sys SEED */
#include "executive.h"

#include "host.h"
#include "imports/imports.h"
#include "sched/sched.h"
#include "verify/verify.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t check_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned passed, failed;
static char **arguments;

void check_at(bool condition, const char *file, int line, const char *format, ...)
{
    va_list list;
    pthread_mutex_lock(&check_lock);
    if (condition) {
        passed++;
    } else {
        failed++;
        fprintf(stderr, "FAIL %s:%d: ", file, line);
        va_start(list, format);
        vfprintf(stderr, format, list);
        va_end(list);
        fputc('\n', stderr);
    }
    pthread_mutex_unlock(&check_lock);
}

/* Every row that the program links has a function: rows are weak, so that tests can link parts of the host.
 */
static void test_table(void)
{
    for (unsigned i = 0; i < import_table_count; i++)
        CHECK_MSG(import_table[i].target, "%s!%s has no host function", import_table[i].module,
                  import_table[i].name);
    for (unsigned i = 0; i < import_table_count; i++) {
        for (unsigned j = 0; j < i; j++)
            CHECK_MSG(strcmp(import_table[i].name, import_table[j].name) != 0, "%s has two rows",
                      import_table[i].name);
        CHECK(import_table[i].irql_min <= import_table[i].irql_max);
    }
    CHECK(import_find("HAL.dll", "KeQueryPerformanceCounter") != NULL);
    CHECK(import_find("NTOSKRNL.EXE", "DbgPrint") != NULL);
    CHECK(import_find("ntoskrnl.exe", "NdisMRegisterMiniportDriver") == NULL);
}

static void *control_main(void *unused)
{
    (void)unused;
    sched_thread_adopt("control");
    if (host_options.fault_seed) {
        test_faults(arguments[2]);
        CHECK(host_count_report_leaks() == 0);
    } else if (arguments[3]) {
        test_break(arguments[2], (unsigned)atoi(arguments[3]));
    } else {
        test_table();
        test_format();
        test_access();
        test_irp();
        test_csq();
        test_driver(arguments[2]);
        CHECK(host_count_report_leaks() == 0);
    }
    sched_thread_disown();
    loop_stop();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t control;
    if (argc < 3) {
        fprintf(stderr, "usage: %s fast|verify EXEC.sys [RULE-TO-BREAK]\n", argv[0]);
        return 2;
    }
    arguments = argv;
    host_options.verify = strcmp(argv[1], "verify") == 0;
    host_options.cpus = 2;
    if (strcmp(argv[1], "faults") == 0 && argv[3]) {
        host_options.verify = true;
        host_options.fault_seed = (uint64_t)atoi(argv[3]);
    }
    sched_initialize(host_options.cpus);
    sched_thread_adopt("loop");
    verify_start();
    if (pthread_create(&control, NULL, control_main, NULL) != 0)
        return 1;
    loop_run();
    pthread_join(control, NULL);
    verify_finish();
    sched_thread_disown();
    sched_shutdown();
    printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}
