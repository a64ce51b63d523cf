# User-mode binaries for x64.
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(WYRM_ARCHITECTURE x64)
set(WYRM_TARGET x86_64-w64-windows-gnu)
set(WYRM_POINTER_BYTES 8)
include(${CMAKE_CURRENT_LIST_DIR}/WindowsUser.cmake)
