// The load configuration of every user-mode image (Microsoft PE format, "The Load Configuration Structure"): tells the
// loader where the stack cookie is, which it randomises, and where the Control Flow Guard tables and function pointers
// are.  lld-link finds it by its name.  The default thunks below stand where a loader implements no CFG: no check.
#if defined(__i386__)
#define SYMBOL(name) _##name
#define WORD         .long
#define WORD_SHIFT   2
#define CONFIG_SIZE  0x78
#else
#define SYMBOL(name) name
#define WORD         .quad
#define WORD_SHIFT   3
#define CONFIG_SIZE  0x138
#endif

    .section .rdata,"dr"
    .globl  SYMBOL(_load_config_used)
    .p2align WORD_SHIFT
SYMBOL(_load_config_used):
    .long   CONFIG_SIZE                         // Size; up to EditList all unused
#if defined(__i386__)
    .fill   56, 1, 0
#else
    .fill   84, 1, 0
#endif
    WORD    SYMBOL(__stack_chk_guard)           // SecurityCookie
    WORD    0                                   // SEHandlerTable: no structured handlers in our images
    WORD    0                                   // SEHandlerCount
    WORD    SYMBOL(__guard_check_icall_fptr)
    WORD    SYMBOL(__guard_dispatch_icall_fptr)
    WORD    SYMBOL(__guard_fids_table)
    WORD    SYMBOL(__guard_fids_count)
    .long   SYMBOL(__guard_flags)
    .fill   12, 1, 0                            // CodeIntegrity
    WORD    SYMBOL(__guard_iat_table)
    WORD    SYMBOL(__guard_iat_count)
    WORD    SYMBOL(__guard_longjmp_table)
    WORD    SYMBOL(__guard_longjmp_count)
#if !defined(__i386__)
    .fill   72, 1, 0                            // up to VolatileMetadataPointer
    .quad   __guard_eh_cont_table
    .quad   __guard_eh_cont_count
    .fill   32, 1, 0                            // XFG and CastGuard
#endif
    .if     . - SYMBOL(_load_config_used) - CONFIG_SIZE
    .error  "the load configuration has another size than it says"
    .endif

    // The loader replaces these two before the image's sections become read-only.
    .section .00cfg,"dr"
    .globl  SYMBOL(__guard_check_icall_fptr)
    .p2align WORD_SHIFT
SYMBOL(__guard_check_icall_fptr):
    WORD    guard_check_nothing
    .globl  SYMBOL(__guard_dispatch_icall_fptr)
SYMBOL(__guard_dispatch_icall_fptr):
    WORD    guard_jump

    .text
    .def guard_check_nothing; .scl 3; .type 32; .endef
    .p2align 4
guard_check_nothing:                            // target in rcx, ecx, x15
    ret
    .def guard_jump; .scl 3; .type 32; .endef
    .p2align 4
guard_jump:                                     // target in rax, x9
#if defined(__x86_64__)
    jmpq    *%rax
#elif defined(__i386__)
    jmpl    *%eax
#else
    br      x9
#endif
