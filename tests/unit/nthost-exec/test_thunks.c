/* Verify mode's thunks with an import table of the test's own: arguments of any number and kind, callee-saved
 * registers, nesting, functions that do not return, the IRQL rule, counters, and injected failures. */
#include "check.h"
#include "host.h"
#include "imports/imports.h"
#include "loader/image.h"
#include "sched/sched.h"
#include "verify/verify.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#define MS __attribute__((ms_abi))

/* ---- what the thunks need from the host ---- */

struct host_options host_options = {.verify = true, .cpus = 1};
static uint8_t irql;
static enum verify_rule reported;
static int reports;
static jmp_buf report_jump;

uint8_t sched_irql(void)
{
    return irql;
}

void verify_report(enum verify_rule rule, const char *format, ...)
{
    (void)format;
    reported = rule;
    reports++;
    longjmp(report_jump, 1);
}

void verify_import_entered(bool changes_irql, uint64_t return_address, uintptr_t slot)
{
    (void)changes_irql, (void)return_address, (void)slot;
}

bool import_fault_by_stack(const struct import_entry *entry)
{
    (void)entry;
    return false;
}

void host_fatal(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    abort();
}

unsigned image_unwind(uint64_t rip, uint64_t rsp, uint64_t rbp, const uint64_t *nonvolatile, uint64_t *frames,
                      unsigned max)
{
    (void)rsp, (void)rbp, (void)nonvolatile;
    if (max)
        frames[0] = rip;
    return max ? 1 : 0;
}

/* ---- host functions ---- */

static uint64_t seen[16];
static double seen_double[4];

static MS uint64_t take_14(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f, uint64_t g,
                           uint64_t h, uint64_t i, uint64_t j, uint64_t k, uint64_t l, uint64_t m, uint64_t n)
{
    uint64_t all[14] = {a, b, c, d, e, f, g, h, i, j, k, l, m, n};
    memcpy(seen, all, sizeof all);
    return 0x1122334455667788ull;
}

static MS double take_doubles(double a, uint64_t b, double c, float d, double e)
{
    seen_double[0] = a;
    seen_double[1] = c;
    seen_double[2] = d;
    seen_double[3] = e;
    seen[0] = b;
    return a + c + (double)d + e;
}

static MS uint64_t take_variadic(uint64_t count, ...)
{
    uint64_t sum = 0;
    __builtin_ms_va_list arguments;
    __builtin_ms_va_start(arguments, count);
    for (uint64_t i = 0; i < count; i++)
        sum =
            sum * 3 + __builtin_va_arg(arguments, uint64_t); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    __builtin_ms_va_end(arguments);
    return sum;
}

static bool stack_aligned;
static MS uint64_t check_alignment(void)
{
    stack_aligned = ((uintptr_t)__builtin_frame_address(0) & 15) == 0;
    return 7;
}

/* Calls back into "driver" code, which calls imports again. */
static unsigned deepest;
static MS uint64_t nest(uint64_t depth, MS uint64_t (*callback)(uint64_t));

static MS uint64_t nest(uint64_t depth, MS uint64_t (*callback)(uint64_t))
{
    if (import_depth() > deepest)
        deepest = import_depth();
    return depth == 0 ? 1 : callback(depth - 1) + 1;
}

static jmp_buf escape;
static MS uint64_t leave_by_jump(void)
{
    longjmp(escape, 1);
}

static MS uint64_t leave_thread(void)
{
    pthread_exit((void *)5);
}

static MS uint64_t plain(uint64_t value)
{
    return value + 1;
}

static MS uint64_t tail_host(uint64_t value, void *callback);
static MS uint64_t tail_end(uint64_t value, void *callback);

enum {
    TAKE_14,
    TAKE_DOUBLES,
    TAKE_VARIADIC,
    ALIGNMENT,
    NEST,
    JUMP,
    LEAVE_THREAD,
    LOW_ONLY,
    DISPATCH_ONLY,
    BLOCKING,
    FAILS_NULL,
    FAILS_STATUS,
    DATA,
    TAIL_HOST,
    TAIL_END,
    ROWS
};

#define ROW(name, function, low, high, flags) {"ntoskrnl.exe", name, (void *)(function), low, high, flags}
const struct import_entry import_table[] = {
    [TAKE_14] = ROW("take_14", take_14, 0, 15, 0),
    [TAKE_DOUBLES] = ROW("take_doubles", take_doubles, 0, 15, 0),
    [TAKE_VARIADIC] = ROW("take_variadic", take_variadic, 0, 15, 0),
    [ALIGNMENT] = ROW("check_alignment", check_alignment, 0, 15, 0),
    [NEST] = ROW("nest", nest, 0, 15, 0),
    [JUMP] = ROW("leave_by_jump", leave_by_jump, 0, 15, IMPORT_NORETURN),
    [LEAVE_THREAD] = ROW("leave_thread", leave_thread, 0, 15, IMPORT_NORETURN),
    [LOW_ONLY] = ROW("low_only", plain, 0, 1, 0),
    [DISPATCH_ONLY] = ROW("dispatch_only", plain, 2, 2, 0),
    [BLOCKING] = ROW("blocking", plain, 0, 2, IMPORT_BLOCKS),
    [FAILS_NULL] = ROW("fails_null", plain, 0, 2, IMPORT_FAILS),
    [FAILS_STATUS] = ROW("fails_status", plain, 0, 2, IMPORT_FAILS_STATUS),
    [TAIL_HOST] = ROW("tail_host", tail_host, 0, 15, 0),
    [TAIL_END] = ROW("tail_end", tail_end, 0, 15, 0),
    [DATA] = ROW("data", seen, 0, 15, IMPORT_DATA_ROW),
};
const unsigned import_table_count = ROWS;

static void *bound(unsigned row)
{
    return import_bind(&import_table[row]);
}

/* ---- tests ---- */

static void test_arguments(void)
{
    MS uint64_t (*call)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t) = bound(TAKE_14);
    CHECK((void *)call != (void *)take_14);
    uint64_t result = call(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, ~0ull);
    CHECK(result == 0x1122334455667788ull);
    for (unsigned i = 0; i < 13; i++)
        CHECK_MSG(seen[i] == i + 1, "argument %u is %llu", i, (unsigned long long)seen[i]);
    CHECK(seen[13] == ~0ull);
    CHECK(import_depth() == 0);

    MS double (*doubles)(double, uint64_t, double, float, double) = bound(TAKE_DOUBLES);
    CHECK(doubles(1.5, 77, 2.25, 4.5f, 8.125) == 1.5 + 2.25 + 4.5 + 8.125);
    CHECK(seen_double[0] == 1.5 && seen_double[1] == 2.25 && seen_double[2] == 4.5 &&
          seen_double[3] == 8.125);
    CHECK(seen[0] == 77);

    MS uint64_t (*variadic)(uint64_t, ...) = bound(TAKE_VARIADIC);
    CHECK(variadic(0) == 0);
    uint64_t expected = 0;
    for (uint64_t i = 1; i <= 12; i++)
        expected = expected * 3 + i * i;
    CHECK(variadic(12, 1ull, 4ull, 9ull, 16ull, 25ull, 36ull, 49ull, 64ull, 81ull, 100ull, 121ull, 144ull) ==
          expected);

    MS uint64_t (*alignment)(void) = bound(ALIGNMENT);
    CHECK(alignment() == 7 && stack_aligned);
}

/* The Microsoft convention keeps rbx rbp rsi rdi r12-r15 and xmm6-15. */
static void test_registers(void)
{
    uint64_t after[7] = {0};
    uint64_t vectors[10] = {0};
    uint64_t result;
    struct {
        void *function, *after, *vectors;
    } pack = {bound(LOW_ONLY), after, vectors};
    void *argument = &pack;
    __asm__ volatile("leaq -128(%%rsp), %%rsp\n\t" /* beyond the red zone */
                     "pushq %%rbp\n\t"
                     "movq %%rsp, %%rbp\n\t"
                     "andq $-16, %%rsp\n\t"
                     "subq $256, %%rsp\n\t"
                     "movq %%rcx, 192(%%rsp)\n\t"
                     "movq (%%rcx), %%rax\n\t"
                     "movq $0x101, %%rbx\n\t"
                     "movq $0x102, %%rsi\n\t"
                     "movq $0x103, %%rdi\n\t"
                     "movq $0x104, %%r12\n\t"
                     "movq $0x105, %%r13\n\t"
                     "movq $0x106, %%r14\n\t"
                     "movq $0x107, %%r15\n\t"
                     "movq %%rbx, %%xmm6\n\t"
                     "movq %%rsi, %%xmm7\n\t"
                     "movq %%rdi, %%xmm8\n\t"
                     "movq %%r12, %%xmm9\n\t"
                     "movq %%r13, %%xmm10\n\t"
                     "movq %%r14, %%xmm11\n\t"
                     "movq %%r15, %%xmm12\n\t"
                     "movq %%rbx, %%xmm13\n\t"
                     "movq %%rsi, %%xmm14\n\t"
                     "movq %%rdi, %%xmm15\n\t"
                     "movq $41, %%rcx\n\t"
                     "callq *%%rax\n\t"
                     "movq 192(%%rsp), %%r9\n\t"
                     "movq 8(%%r9), %%r8\n\t"
                     "movq 16(%%r9), %%r9\n\t"
                     "movq %%rbx, (%%r8)\n\t"
                     "movq %%rsi, 8(%%r8)\n\t"
                     "movq %%rdi, 16(%%r8)\n\t"
                     "movq %%r12, 24(%%r8)\n\t"
                     "movq %%r13, 32(%%r8)\n\t"
                     "movq %%r14, 40(%%r8)\n\t"
                     "movq %%r15, 48(%%r8)\n\t"
                     "movq %%xmm6, (%%r9)\n\t"
                     "movq %%xmm7, 8(%%r9)\n\t"
                     "movq %%xmm8, 16(%%r9)\n\t"
                     "movq %%xmm9, 24(%%r9)\n\t"
                     "movq %%xmm10, 32(%%r9)\n\t"
                     "movq %%xmm11, 40(%%r9)\n\t"
                     "movq %%xmm12, 48(%%r9)\n\t"
                     "movq %%xmm13, 56(%%r9)\n\t"
                     "movq %%xmm14, 64(%%r9)\n\t"
                     "movq %%xmm15, 72(%%r9)\n\t"
                     "movq %%rbp, %%rsp\n\t"
                     "popq %%rbp\n\t"
                     "leaq 128(%%rsp), %%rsp\n\t"
                     : "=&a"(result), "+c"(argument)
                     :
                     : "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdx",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "memory", "cc");
    CHECK(result == 42);
    for (unsigned i = 0; i < 7; i++)
        CHECK_MSG(after[i] == 0x101 + i, "register %u is 0x%llx", i, (unsigned long long)after[i]);
    for (unsigned i = 0; i < 10; i++)
        CHECK_MSG(vectors[i] == 0x101 + i % 7, "xmm%u is 0x%llx", i + 6, (unsigned long long)vectors[i]);
}

static MS uint64_t driver_callback(uint64_t depth)
{
    MS uint64_t (*call)(uint64_t, MS uint64_t (*)(uint64_t)) = bound(NEST);
    return call(depth, driver_callback);
}

static void test_nesting(void)
{
    deepest = 0;
    CHECK(driver_callback(50) == 51);
    CHECK_MSG(deepest == 51, "deepest %u", deepest);
    CHECK(import_depth() == 0);
    CHECK(import_current() == NULL);
}

/* Host function -> callback -> import, each by a jump: all use one return address slot. */
#define MUSTTAIL __attribute__((musttail))

static MS uint64_t tail_host(uint64_t value, void *callback)
{
    MUSTTAIL return ((MS uint64_t (*)(uint64_t, void *))callback)(value + 1, NULL);
}

static MS uint64_t tail_end(uint64_t value, void *callback)
{
    (void)callback;
    return value * 2;
}

static MS uint64_t tail_callback(uint64_t value, void *unused)
{
    MUSTTAIL return ((MS uint64_t (*)(uint64_t, void *))bound(TAIL_END))(value, unused);
}

static void test_tail_calls(void)
{
    MS uint64_t (*call)(uint64_t, void *) = bound(TAIL_HOST);
    for (unsigned i = 0; i < 600; i++)
        CHECK(call(20, tail_callback) == 42);
    CHECK(import_depth() == 0);
}

static uint64_t volatile round_count;

static void test_no_return(void)
{
    MS uint64_t (*jump)(void) = bound(JUMP);
    MS uint64_t (*next)(uint64_t) = bound(LOW_ONLY);
    for (round_count = 0; round_count < 1000; round_count++) {
        if (setjmp(escape) == 0)
            jump();
    }
    CHECK(next(1) == 2);
    CHECK_MSG(import_depth() == 0, "%u frames are left", import_depth());
}

static void *thread_main(void *argument)
{
    MS uint64_t (*leave)(void) = bound(LEAVE_THREAD);
    leave();
    return argument;
}

static void test_thread_exit(void)
{
    for (unsigned i = 0; i < 20; i++) {
        pthread_t thread;
        void *result = NULL;
        CHECK(pthread_create(&thread, NULL, thread_main, NULL) == 0);
        CHECK(pthread_join(thread, &result) == 0);
        CHECK(result == (void *)5);
    }
}

static uint64_t call_reported(unsigned row)
{
    MS uint64_t (*call)(uint64_t) = bound(row);
    reports = 0;
    if (setjmp(report_jump) == 0)
        return call(10);
    return 0;
}

static void test_irql(void)
{
    irql = 0;
    CHECK(call_reported(LOW_ONLY) == 11 && reports == 0);
    CHECK(call_reported(BLOCKING) == 11 && reports == 0);
    CHECK(call_reported(DISPATCH_ONLY) == 0 && reports == 1 && reported == RULE_IRQL_RANGE);
    irql = 1;
    CHECK(call_reported(LOW_ONLY) == 11 && reports == 0);
    irql = 2;
    CHECK(call_reported(DISPATCH_ONLY) == 11 && reports == 0);
    CHECK(call_reported(LOW_ONLY) == 0 && reports == 1 && reported == RULE_IRQL_RANGE);
    CHECK(call_reported(BLOCKING) == 0 && reports == 1 && reported == RULE_WAIT_AT_DISPATCH);
    irql = 3;
    CHECK(call_reported(DISPATCH_ONLY) == 0 && reports == 1 && reported == RULE_IRQL_RANGE);
    irql = 0;
}

static const struct import_entry *asked;
static bool always(const struct import_entry *entry)
{
    asked = entry;
    return true;
}

static void test_counters_and_faults(void)
{
    uint64_t before = import_calls(FAILS_NULL);
    CHECK(call_reported(FAILS_NULL) == 11);
    CHECK(import_calls(FAILS_NULL) == before + 1);
    import_fault_hook = always;
    CHECK(call_reported(FAILS_NULL) == 0);
    CHECK(asked == &import_table[FAILS_NULL]);
    CHECK((uint32_t)call_reported(FAILS_STATUS) == 0xC000009Au);
    CHECK(call_reported(LOW_ONLY) == 11);
    import_fault_hook = NULL;
    CHECK(call_reported(FAILS_STATUS) == 11);
    CHECK(bound(DATA) == (void *)seen);
    host_options.verify = false;
    CHECK(bound(LOW_ONLY) == (void *)plain);
    host_options.verify = true;
}

int main(void)
{
    test_arguments();
    test_registers();
    test_nesting();
    test_tail_calls();
    test_no_return();
    test_thread_exit();
    test_irql();
    test_counters_and_faults();
    return check_summary();
}
