# wyrm.sys for arm64.  The kernel keeps the vector registers of arm64 itself: NEON needs no saved state.
set(CMAKE_SYSTEM_PROCESSOR ARM64)
set(WYRM_ARCHITECTURE arm64)
set(WYRM_TARGET aarch64-pc-windows-msvc)
set(WYRM_POINTER_BYTES 8)
set(NT_ARCHITECTURE_FLAGS "")
include(${CMAKE_CURRENT_LIST_DIR}/WindowsDriver.cmake)
