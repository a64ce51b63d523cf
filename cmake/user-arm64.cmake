# User-mode binaries for arm64.
set(CMAKE_SYSTEM_PROCESSOR ARM64)
set(WYRM_ARCHITECTURE arm64)
set(WYRM_TARGET aarch64-w64-windows-gnu)
set(WYRM_POINTER_BYTES 8)
include(${CMAKE_CURRENT_LIST_DIR}/WindowsUser.cmake)
