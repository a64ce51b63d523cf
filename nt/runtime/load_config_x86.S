// As load_config.S, for x86: the 32-bit structure, and names with the C prefix.

    .section .rdata,"dr"
    .globl  __load_config_used
    .p2align 2
__load_config_used:
    .long   0xbc                    // Size
    .fill   56, 1, 0                // up to EditList, all unused
    .long   ___security_cookie      // 0x3c SecurityCookie
    .long   0                       // 0x40 SEHandlerTable: no exception handlers
    .long   0                       // 0x44 SEHandlerCount
    .long   ___guard_check_icall_fptr   // 0x48
    .long   0                       // 0x4c dispatch function, x64 only
    .long   ___guard_fids_table     // 0x50
    .long   ___guard_fids_count     // 0x54
    .long   ___guard_flags          // 0x58
    .fill   12, 1, 0                // 0x5c CodeIntegrity
    .long   ___guard_iat_table      // 0x68
    .long   ___guard_iat_count      // 0x6c
    .long   ___guard_longjmp_table  // 0x70
    .long   ___guard_longjmp_count  // 0x74
    .fill   44, 1, 0                // 0x78 up to VolatileMetadataPointer
    .long   ___guard_eh_cont_table  // 0xa4
    .long   ___guard_eh_cont_count  // 0xa8
    .fill   16, 1, 0                // 0xac XFG and CastGuard
    .if     . - __load_config_used - 0xbc
    .error  "the load configuration must have 0xbc bytes"
    .endif

    // The kernel replaces it before the image's sections become read-only.
    .section .00cfg,"dr"
    .globl  ___guard_check_icall_fptr
    .p2align 2
___guard_check_icall_fptr:
    .long   guard_check_nothing

    .text
    .def guard_check_nothing; .scl 3; .type 32; .endef
    .p2align 4
guard_check_nothing:                // target in ecx
    ret
