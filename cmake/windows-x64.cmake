# Tool chain of the NT kernel binaries: clang and lld for the MSVC x64 ABI, no SDK, no WDK, no libc.
# The reasons for the flags are in nt/README.md.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)

set(CMAKE_C_COMPILER clang-19)
set(CMAKE_C_COMPILER_TARGET x86_64-pc-windows-msvc)
set(CMAKE_ASM_COMPILER clang-19)
set(CMAKE_ASM_COMPILER_TARGET x86_64-pc-windows-msvc)
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
set(CMAKE_SIZEOF_VOID_P 8)
set(CMAKE_C_SIZEOF_DATA_PTR 8)

# No C run-time library, no .pdb: DWARF, which gdb and perf read in nthost.
set(CMAKE_MSVC_RUNTIME_LIBRARY "")
set(CMAKE_MSVC_DEBUG_INFORMATION_FORMAT "")

get_filename_component(nt_source_root ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
string(CONCAT nt_compile_flags
    "-ffreestanding -funwind-tables -fno-strict-aliasing -mno-stack-arg-probe -fstack-protector-strong "
    "-Xclang -cfguard -gdwarf-4 -fno-ident -fdebug-compilation-dir=. -ffile-prefix-map=${nt_source_root}/= "
    # else paths get a backslash, which no debugger on Linux finds
    "-fno-file-reproducible")
set(CMAKE_C_FLAGS_INIT "${nt_compile_flags}")
set(CMAKE_ASM_FLAGS_INIT "-fdebug-compilation-dir=. -ffile-prefix-map=${nt_source_root}/=")
# Without a build type vector code would be compiled without optimisation.
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type")
set(CMAKE_C_FLAGS_RELWITHDEBINFO_INIT "-O2")
set(CMAKE_C_FLAGS_RELEASE_INIT "-O2")
set(CMAKE_C_FLAGS_DEBUG_INIT "-O1")
