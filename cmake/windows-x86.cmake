# wyrm.sys for x86.  A 32-bit kernel does not keep floating-point, MMX and SSE registers for drivers: nothing may touch
# them, not even for 64-bit atomic accesses, which clang would do through the x87 stack.
set(CMAKE_SYSTEM_PROCESSOR X86)
set(WYRM_ARCHITECTURE x86)
set(WYRM_TARGET i686-pc-windows-msvc)
set(WYRM_POINTER_BYTES 4)
set(NT_ARCHITECTURE_FLAGS "-mno-sse -mno-mmx -mno-80387")
include(${CMAKE_CURRENT_LIST_DIR}/WindowsDriver.cmake)
