# User-mode binaries for x86.
set(CMAKE_SYSTEM_PROCESSOR X86)
set(WYRM_ARCHITECTURE x86)
set(WYRM_TARGET i686-w64-windows-gnu)
set(WYRM_POINTER_BYTES 4)
include(${CMAKE_CURRENT_LIST_DIR}/WindowsUser.cmake)
