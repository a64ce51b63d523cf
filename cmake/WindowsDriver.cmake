# Tool chain of the NT kernel binaries: clang and lld for the MSVC ABI, no SDK, no WDK, no libc.  Included by
# windows-x64.cmake, windows-arm64.cmake and windows-x86.cmake, which set
#   WYRM_ARCHITECTURE  x64, arm64 or x86, as Windows' documentation calls them
#   NT_TARGET          clang's name of the target
#   NT_POINTER_BYTES, NT_ARCHITECTURE_FLAGS
# The reasons for the flags are in nt/README.md.
set(CMAKE_SYSTEM_NAME Windows)

set(CMAKE_C_COMPILER clang-19)
set(CMAKE_C_COMPILER_TARGET ${NT_TARGET})
set(CMAKE_ASM_COMPILER clang-19)
set(CMAKE_ASM_COMPILER_TARGET ${NT_TARGET})
set(CMAKE_AR llvm-ar-19)
set(CMAKE_RANLIB llvm-ranlib-19)
set(CMAKE_RC_COMPILER llvm-rc-19)

# There is nothing to link a test program with.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_COMPILER_WORKS TRUE)
set(CMAKE_C_COMPILER_ID_RUN TRUE)
set(CMAKE_C_COMPILER_ID Clang)
set(CMAKE_C_COMPILER_FRONTEND_VARIANT GNU)
set(CMAKE_C_SIMULATE_ID MSVC)
set(CMAKE_C_COMPILER_VERSION 19.0)
set(CMAKE_C_STANDARD_COMPUTED_DEFAULT 17)
set(CMAKE_C_EXTENSIONS_COMPUTED_DEFAULT ON)
set(CMAKE_SIZEOF_VOID_P ${NT_POINTER_BYTES})
set(CMAKE_C_SIZEOF_DATA_PTR ${NT_POINTER_BYTES})

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
# Without a build type vector code would be compiled without optimisation.
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type")
set(CMAKE_C_FLAGS_RELWITHDEBINFO_INIT "-O2")
set(CMAKE_C_FLAGS_RELEASE_INIT "-O2")
set(CMAKE_C_FLAGS_DEBUG_INIT "-O1")
