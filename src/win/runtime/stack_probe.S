// Called by functions whose frame is larger than a page: touches each page of it in order, so that the stack's guard
// page is never jumped over.  Registers as the compiler's calling convention for these helpers says.
    .text
#if defined(__x86_64__)
    // rax: bytes.  Keeps all registers; the caller moves rsp.
    .globl  ___chkstk_ms
    .def ___chkstk_ms; .scl 2; .type 32; .endef
    .p2align 4
___chkstk_ms:
    pushq   %rcx
    pushq   %rax
    cmpq    $0x1000, %rax
    leaq    24(%rsp), %rcx
    jb      2f
1:  subq    $0x1000, %rcx
    testq   %rcx, (%rcx)
    subq    $0x1000, %rax
    cmpq    $0x1000, %rax
    ja      1b
2:  subq    %rax, %rcx
    testq   %rcx, (%rcx)
    popq    %rax
    popq    %rcx
    ret
#elif defined(__i386__)
    // eax: bytes.  Moves esp down by them.
    .globl  __alloca
    .def __alloca; .scl 2; .type 32; .endef
    .p2align 4
__alloca:
    pushl   %ecx
    leal    8(%esp), %ecx
    cmpl    $0x1000, %eax
    jb      2f
1:  subl    $0x1000, %ecx
    testl   %ecx, (%ecx)
    subl    $0x1000, %eax
    cmpl    $0x1000, %eax
    ja      1b
2:  subl    %eax, %ecx
    testl   %ecx, (%ecx)
    movl    %esp, %eax
    movl    %ecx, %esp
    movl    (%eax), %ecx
    pushl   4(%eax)
    ret
#elif defined(__aarch64__)
    // x15: bytes / 16.  Keeps everything but x16, x17; the caller moves sp.
    .globl  __chkstk
    .def __chkstk; .scl 2; .type 32; .endef
    .p2align 4
__chkstk:
    lsl     x16, x15, #4
    mov     x17, sp
1:  sub     x17, x17, #1, lsl #12
    subs    x16, x16, #1, lsl #12
    ldr     xzr, [x17]
    b.gt    1b
    ret
#endif
