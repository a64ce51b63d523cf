# Tool chain of the NT kernel binaries: clang and lld for the MSVC ABI, no SDK, no WDK, no libc.  Included by
# windows-x64.cmake, windows-arm64.cmake and windows-x86.cmake, which set
#   WYRM_ARCHITECTURE  x64, arm64 or x86, as Windows' documentation calls them
#   WYRM_TARGET, WYRM_POINTER_BYTES, NT_ARCHITECTURE_FLAGS
# The reasons for the flags are in nt/README.md.
include(${CMAKE_CURRENT_LIST_DIR}/WindowsClang.cmake)
set(CMAKE_C_SIMULATE_ID MSVC)

# No C run-time library, no .pdb: DWARF, which gdb and perf read in nthost.
set(CMAKE_MSVC_RUNTIME_LIBRARY "")
set(CMAKE_MSVC_DEBUG_INFORMATION_FORMAT "")

get_filename_component(nt_source_root ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
string(CONCAT nt_compile_flags
    "-ffreestanding -funwind-tables -fno-strict-aliasing -mno-stack-arg-probe -fstack-protector-strong "
    "-Xclang -cfguard -gdwarf-4 -gcodeview -gno-codeview-command-line -fno-ident -fdebug-compilation-dir=. -ffile-prefix-map=${nt_source_root}/= "
    # else paths get a backslash, which no debugger on Linux finds
    "-fno-file-reproducible ${NT_ARCHITECTURE_FLAGS}")
set(CMAKE_C_FLAGS_INIT "${nt_compile_flags}")
set(CMAKE_ASM_FLAGS_INIT "-fdebug-compilation-dir=. -ffile-prefix-map=${nt_source_root}/=")
set(CMAKE_C_FLAGS_RELWITHDEBINFO_INIT "-O2")
set(CMAKE_C_FLAGS_RELEASE_INIT "-O2")
set(CMAKE_C_FLAGS_DEBUG_INIT "-O1")
