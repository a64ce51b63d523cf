# Tool chain of the user-mode Windows binaries (DLL, command-line tool, service): clang and lld for MinGW's ABI, with the
# declarations of Debian's mingw-w64-common, our own import libraries (src/win/def) and start-up code (src/win/runtime);
# the C library is ucrtbase.dll, which is part of Windows 10.  Included by user-x64.cmake, user-arm64.cmake and
# user-x86.cmake, which set
#   WYRM_ARCHITECTURE     x64, arm64 or x86, as Windows' documentation calls them
#   WYRM_USER_TARGET      clang's name of the target
#   WYRM_USER_POINTER_BYTES
set(CMAKE_SYSTEM_NAME Windows)
set(WYRM_USER_MODE TRUE)

set(CMAKE_C_COMPILER clang-19)
set(CMAKE_C_COMPILER_TARGET ${WYRM_USER_TARGET})
set(CMAKE_ASM_COMPILER clang-19)
set(CMAKE_ASM_COMPILER_TARGET ${WYRM_USER_TARGET})
set(CMAKE_AR llvm-ar-19)
set(CMAKE_RANLIB llvm-ranlib-19)
set(CMAKE_RC_COMPILER llvm-rc-19)

# There is nothing to link a test program with.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_COMPILER_WORKS TRUE)
set(CMAKE_C_COMPILER_ID_RUN TRUE)
set(CMAKE_C_COMPILER_ID Clang)
set(CMAKE_C_COMPILER_FRONTEND_VARIANT GNU)
set(CMAKE_C_COMPILER_VERSION 19.0)
set(CMAKE_C_STANDARD_COMPUTED_DEFAULT 17)
set(CMAKE_C_EXTENSIONS_COMPUTED_DEFAULT ON)
set(CMAKE_SIZEOF_VOID_P ${WYRM_USER_POINTER_BYTES})
set(CMAKE_C_SIZEOF_DATA_PTR ${WYRM_USER_POINTER_BYTES})

get_filename_component(wyrm_source_root ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
string(CONCAT wyrm_user_flags
    "-isystem /usr/share/mingw-w64/include -D_UCRT -D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000006 -DUNICODE -D_UNICODE "
    "-fno-strict-aliasing -fstack-protector-strong -mguard=cf -funwind-tables -gcodeview -gno-codeview-command-line -fno-ident "
    "-fdebug-compilation-dir=. -ffile-prefix-map=${wyrm_source_root}/=")
set(CMAKE_C_FLAGS_INIT "${wyrm_user_flags}")
set(CMAKE_ASM_FLAGS_INIT "-fdebug-compilation-dir=. -ffile-prefix-map=${wyrm_source_root}/=")
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type")
# Whole, not _INIT: CMake would add -g, which is DWARF beside the .pdb.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2" CACHE STRING "")
set(CMAKE_C_FLAGS_RELEASE "-O2" CACHE STRING "")
set(CMAKE_C_FLAGS_DEBUG "-O1" CACHE STRING "")
set(CMAKE_ASM_FLAGS_RELWITHDEBINFO "" CACHE STRING "")
set(CMAKE_ASM_FLAGS_RELEASE "" CACHE STRING "")
set(CMAKE_ASM_FLAGS_DEBUG "" CACHE STRING "")
