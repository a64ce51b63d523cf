/* void sim_switch(void **save, void *load): puts the calling fiber's registers on its stack and the stack
 * pointer into *save, and goes on where `load` was saved.  Only what the System V ABI lets a callee keep. */
    .text
    .balign 16
    .globl sim_switch
    .type sim_switch, @function
sim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size sim_switch, . - sim_switch

/* Where a new fiber begins; r12 is its function, r13 the argument.  There is nothing above it. */
    .balign 16
    .globl sim_fiber_entry
    .type sim_fiber_entry, @function
sim_fiber_entry:
    xorl %ebp, %ebp
    movq %r13, %rdi
    call *%r12
    ud2
    .size sim_fiber_entry, . - sim_fiber_entry

    .section .note.GNU-stack, "", @progbits
