/* The control codes of tests/drivers/exec.c, shared by the driver and its test. */
#pragma once

#include <stdint.h>

#define EXEC_CODE(function, method) (0x22u << 16 | (0x800u + (function)) << 2 | (method))

enum exec_code {
    EXEC_REVERSE = EXEC_CODE(0, 0),
    EXEC_NO_BUFFER = EXEC_CODE(1, 0),
    EXEC_FAIL = EXEC_CODE(2, 0),
    EXEC_IN_DIRECT = EXEC_CODE(3, 1),
    EXEC_OUT_DIRECT = EXEC_CODE(4, 2),
    EXEC_NEITHER = EXEC_CODE(5, 3),
    EXEC_PEND = EXEC_CODE(6, 0),
    EXEC_RELEASE = EXEC_CODE(7, 0),
    EXEC_ACCESS = EXEC_CODE(8, 0),
    EXEC_IS_32BIT = EXEC_CODE(9, 0),
    EXEC_SELF_TEST = EXEC_CODE(10, 0),
    EXEC_BREAK = EXEC_CODE(11, 0)
};

/* Input of EXEC_BREAK. */
enum exec_break {
    EXEC_BREAK_IRQL = 1,
    EXEC_BREAK_PENDING_UNMARKED,
    EXEC_BREAK_PENDING_NOT_RETURNED,
    EXEC_BREAK_TWICE,
    EXEC_BREAK_INFORMATION,
    EXEC_BREAK_CANCEL_ROUTINE,
    EXEC_BREAK_NOT_COMPLETED,
    EXEC_BREAK_IRP_FREED_TWICE,
    EXEC_BREAK_MDL
};

/* What the direct methods see, packed into IoStatus.Information:
 * sum of bytes << 32 | input << 24 | output << 8 | system_buffer << 1 | mdl. */
struct exec_direct_report {
    uint64_t input, output, system_buffer, mdl;
};

/* Output of EXEC_SELF_TEST: bits of failed checks, then counters. */
struct exec_self_test {
    uint32_t calls, memory, work_item, thread;
    uint32_t opens, cleanups, closes, cancelled;
    uint32_t pnp_minor, power_state;
};
