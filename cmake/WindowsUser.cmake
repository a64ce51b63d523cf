# Tool chain of the user-mode Windows binaries (DLL, command-line tool, service): clang and lld for MinGW's ABI, with the
# declarations of Debian's mingw-w64-common, our own import libraries (src/win/def) and start-up code (src/win/runtime);
# the C library is ucrtbase.dll, which is part of Windows 10.  Included by user-x64.cmake, user-arm64.cmake and
# user-x86.cmake, which set
#   WYRM_ARCHITECTURE  x64, arm64 or x86, as Windows' documentation calls them
#   WYRM_TARGET, WYRM_POINTER_BYTES
include(${CMAKE_CURRENT_LIST_DIR}/WindowsClang.cmake)
set(WYRM_USER_MODE TRUE)

get_filename_component(wyrm_source_root ${CMAKE_CURRENT_LIST_DIR} DIRECTORY)
string(CONCAT wyrm_user_flags
    "-isystem /usr/share/mingw-w64/include -D_UCRT -D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000006 -DUNICODE -D_UNICODE "
    "-fno-strict-aliasing -fstack-protector-strong -mguard=cf -funwind-tables -gcodeview -gno-codeview-command-line -fno-ident "
    "-fdebug-compilation-dir=. -ffile-prefix-map=${wyrm_source_root}/=")
set(CMAKE_C_FLAGS_INIT "${wyrm_user_flags}")
set(CMAKE_ASM_FLAGS_INIT "-fdebug-compilation-dir=. -ffile-prefix-map=${wyrm_source_root}/=")
# Whole, not _INIT: CMake would add -g, which is DWARF beside the .pdb.
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2" CACHE STRING "")
set(CMAKE_C_FLAGS_RELEASE "-O2" CACHE STRING "")
set(CMAKE_C_FLAGS_DEBUG "-O1" CACHE STRING "")
set(CMAKE_ASM_FLAGS_RELWITHDEBINFO "" CACHE STRING "")
set(CMAKE_ASM_FLAGS_RELEASE "" CACHE STRING "")
set(CMAKE_ASM_FLAGS_DEBUG "" CACHE STRING "")
