# wyrm.sys for x64.
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(WYRM_ARCHITECTURE x64)
set(WYRM_TARGET x86_64-pc-windows-msvc)
set(WYRM_POINTER_BYTES 8)
set(NT_ARCHITECTURE_FLAGS "")
include(${CMAKE_CURRENT_LIST_DIR}/WindowsDriver.cmake)
