/* The parts of test_executive; all run on an adopted thread at PASSIVE_LEVEL while the loop serves. */
#pragma once

#include <stdbool.h>

/* As check.h, for several files and any thread. */
#define CHECK(condition)          check_at((condition), __FILE__, __LINE__, "%s", #condition)
#define CHECK_MSG(condition, ...) check_at((condition), __FILE__, __LINE__, __VA_ARGS__)
void check_at(bool condition, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void test_access(void);
void test_format(void);
void test_irp(void);
void test_csq(void);
void test_driver(const char *path);
/* Breaks rule number `number` of exec_control.h and returns, if nothing stops the process. */
void test_break(const char *path, unsigned number);
/* Loads and uses the driver while calls fail by host_options.fault_seed. */
void test_faults(const char *path);
