/* Verify mode: one small entry per row of the import table, and the code they share.  An entry loads its row's
 * number; the common part saves every register that can carry an argument, calls thunk_enter (thunks.c), and
 * jumps to the host function with registers and stack exactly as the driver made them, so that any number of
 * arguments works.  thunk_enter replaces the return address by thunk_return and keeps the driver's own on the
 * thread's shadow stack; thunk_return calls thunk_exit, which gives it back.
 *
 * There is deliberately no call frame information for thunk_return: what stands above is driver code, and
 * unwinders (pthread_exit in PsTerminateSystemThread) have to stop here. */
#include "imports/thunk_count.h"

    .text

    .balign 16
    .globl thunk_entries
    .type thunk_entries, @function
thunk_entries:
    .set row, 0
    .rept THUNK_COUNT
    .balign THUNK_SIZE
    movl $row, %eax
    jmp thunk_common
    .set row, row + 1
    .endr
    .size thunk_entries, . - thunk_entries

/* Frame, from rsp: 32 bytes home space of thunk_enter, rcx rdx r8 r9, xmm0-3, 16 general registers, 8 pad. */
#define FRAME     264
#define ARGUMENTS 32
#define VECTORS   64
#define REGISTERS 128

    .balign 16
    .type thunk_common, @function
thunk_common:
    .cfi_startproc
    subq $FRAME, %rsp
    .cfi_adjust_cfa_offset FRAME
    movq %rcx, ARGUMENTS(%rsp)
    movq %rdx, ARGUMENTS+8(%rsp)
    movq %r8, ARGUMENTS+16(%rsp)
    movq %r9, ARGUMENTS+24(%rsp)
    movaps %xmm0, VECTORS(%rsp)
    movaps %xmm1, VECTORS+16(%rsp)
    movaps %xmm2, VECTORS+32(%rsp)
    movaps %xmm3, VECTORS+48(%rsp)
    /* The driver's registers as they are after the call returns, for unwinding its frames. */
    movq %rbx, REGISTERS+3*8(%rsp)
    leaq FRAME+8(%rsp), %rdx
    movq %rdx, REGISTERS+4*8(%rsp)
    movq %rbp, REGISTERS+5*8(%rsp)
    movq %rsi, REGISTERS+6*8(%rsp)
    movq %rdi, REGISTERS+7*8(%rsp)
    movq %r12, REGISTERS+12*8(%rsp)
    movq %r13, REGISTERS+13*8(%rsp)
    movq %r14, REGISTERS+14*8(%rsp)
    movq %r15, REGISTERS+15*8(%rsp)
    movl %eax, %ecx
    leaq REGISTERS(%rsp), %rdx
    leaq FRAME(%rsp), %r8
    call thunk_enter
    movq ARGUMENTS(%rsp), %rcx
    movq ARGUMENTS+8(%rsp), %rdx
    movq ARGUMENTS+16(%rsp), %r8
    movq ARGUMENTS+24(%rsp), %r9
    movaps VECTORS(%rsp), %xmm0
    movaps VECTORS+16(%rsp), %xmm1
    movaps VECTORS+32(%rsp), %xmm2
    movaps VECTORS+48(%rsp), %xmm3
    addq $FRAME, %rsp
    .cfi_adjust_cfa_offset -FRAME
    jmpq *%rax
    .cfi_endproc
    .size thunk_common, . - thunk_common

    .balign 16
    .globl thunk_return
    .type thunk_return, @function
    nop /* so that "return address - 1" is not inside of thunk_common */
thunk_return:
    subq $64, %rsp
    movq %rax, 32(%rsp)
    movaps %xmm0, 48(%rsp)
    leaq 56(%rsp), %rcx /* the slot that held the return address */
    call thunk_exit
    movq %rax, %r11
    movq 32(%rsp), %rax
    movaps 48(%rsp), %xmm0
    addq $64, %rsp
    jmpq *%r11
    .size thunk_return, . - thunk_return

    .section .note.GNU-stack, "", @progbits
