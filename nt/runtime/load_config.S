// The load configuration of every driver image (Microsoft PE format, "The Load Configuration Structure", 64-bit):
// tells the kernel's loader where the stack cookie is, which it randomises, and where the Control Flow Guard tables
// and function pointers are.  lld-link finds it by its name.  Where the loader does not implement CFG (nthost), the
// default thunks below stand: no check.

    .section .rdata,"dr"
    .globl  _load_config_used
    .p2align 3
_load_config_used:
    .long   0x138                   // Size
    .fill   84, 1, 0                // up to EditList, all unused
    .quad   __security_cookie       // 0x58 SecurityCookie
    .quad   0                       // 0x60 SEHandlerTable, x86 only
    .quad   0                       // 0x68 SEHandlerCount
    .quad   __guard_check_icall_fptr    // 0x70
#if defined(__x86_64__)
    .quad   __guard_dispatch_icall_fptr // 0x78
#else
    .quad   0                           // 0x78, x64 only
#endif
    .quad   __guard_fids_table      // 0x80
    .quad   __guard_fids_count      // 0x88
    .long   __guard_flags           // 0x90
    .fill   12, 1, 0                // 0x94 CodeIntegrity
    .quad   __guard_iat_table       // 0xa0
    .quad   __guard_iat_count       // 0xa8
    .quad   __guard_longjmp_table   // 0xb0
    .quad   __guard_longjmp_count   // 0xb8
    .fill   72, 1, 0                // 0xc0 up to VolatileMetadataPointer
    .quad   __guard_eh_cont_table   // 0x108
    .quad   __guard_eh_cont_count   // 0x110
    .fill   32, 1, 0                // 0x118 XFG and CastGuard
    .if     . - _load_config_used - 0x138
    .error  "the load configuration must have 0x138 bytes"
    .endif

    // The kernel replaces these before the image's sections become read-only.
    .section .00cfg,"dr"
    .globl  __guard_check_icall_fptr
    .p2align 3
__guard_check_icall_fptr:
    .quad   guard_check_nothing
#if defined(__x86_64__)
    .globl  __guard_dispatch_icall_fptr
__guard_dispatch_icall_fptr:
    .quad   guard_jump
#endif

    .text
    .def guard_check_nothing; .scl 3; .type 32; .endef
    .p2align 4
guard_check_nothing:                // target in rcx or x15
    ret
#if defined(__x86_64__)
    .def guard_jump; .scl 3; .type 32; .endef
    .p2align 4
guard_jump:                         // target in rax
    jmpq    *%rax
#endif
