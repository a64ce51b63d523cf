/* In drivers that are built for fuzzing only (cmake/Instrumented.cmake): what the compiler calls for each
 * comparison is passed on to the host through a table, which the host fills in after it has loaded the image
 * (section .fuzzcb). Edge counters need no calls: the host finds them in section .SCOV. */
#include <stddef.h>
#include <stdint.h>

/* By the log2 of the operands' size. */
struct fuzz_callbacks {
    void (*compare[4])(uint64_t left, uint64_t right);
    void (*compare_constant[4])(uint64_t constant, uint64_t value);
    void (*choice)(uint64_t value, uint64_t *cases);
};
__attribute__((section(".fuzzcb"))) volatile struct fuzz_callbacks fuzz_callbacks = {{NULL}, {NULL}, NULL};

#define FORWARD(function, field, type)                                                                       \
    void function(type left, type right);                                                                    \
    void function(type left, type right)                                                                     \
    {                                                                                                        \
        void (*callback)(uint64_t, uint64_t) = fuzz_callbacks.field;                                         \
        if (callback)                                                                                        \
            callback(left, right);                                                                           \
    }

FORWARD(__sanitizer_cov_trace_cmp1, compare[0], uint8_t)
FORWARD(__sanitizer_cov_trace_cmp2, compare[1], uint16_t)
FORWARD(__sanitizer_cov_trace_cmp4, compare[2], uint32_t)
FORWARD(__sanitizer_cov_trace_cmp8, compare[3], uint64_t)
FORWARD(__sanitizer_cov_trace_const_cmp1, compare_constant[0], uint8_t)
FORWARD(__sanitizer_cov_trace_const_cmp2, compare_constant[1], uint16_t)
FORWARD(__sanitizer_cov_trace_const_cmp4, compare_constant[2], uint32_t)
FORWARD(__sanitizer_cov_trace_const_cmp8, compare_constant[3], uint64_t)

void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases);
void __sanitizer_cov_trace_switch(uint64_t value, uint64_t *cases)
{
    void (*callback)(uint64_t, uint64_t *) = fuzz_callbacks.choice;
    if (callback)
        callback(value, cases);
}

/* Constructors that nobody runs refer to these. */
extern uint8_t __start___sancov_cntrs[1], __stop___sancov_cntrs[1], __start___sancov_pcs[1],
    __stop___sancov_pcs[1];
uint8_t __start___sancov_cntrs[1], __stop___sancov_cntrs[1], __start___sancov_pcs[1], __stop___sancov_pcs[1];
void __sanitizer_cov_8bit_counters_init(uint8_t *start, uint8_t *stop);
void __sanitizer_cov_8bit_counters_init(uint8_t *start, uint8_t *stop)
{
}
void __sanitizer_cov_pcs_init(const uintptr_t *start, const uintptr_t *stop);
void __sanitizer_cov_pcs_init(const uintptr_t *start, const uintptr_t *stop)
{
}
