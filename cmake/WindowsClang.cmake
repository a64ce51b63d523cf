# What every tool chain for Windows shares: clang and LLVM's tools, and what CMake would find out by linking a test program,
# for which there is nothing to link with.  Included by WindowsDriver.cmake and WindowsUser.cmake, which set
#   WYRM_TARGET         clang's name of the target
#   WYRM_POINTER_BYTES
set(CMAKE_SYSTEM_NAME Windows)

set(CMAKE_C_COMPILER clang-19)
set(CMAKE_C_COMPILER_TARGET ${WYRM_TARGET})
set(CMAKE_ASM_COMPILER clang-19)
set(CMAKE_ASM_COMPILER_TARGET ${WYRM_TARGET})
set(CMAKE_AR llvm-ar-19)
set(CMAKE_RANLIB llvm-ranlib-19)
set(CMAKE_RC_COMPILER llvm-rc-19)

set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_C_COMPILER_WORKS TRUE)
set(CMAKE_C_COMPILER_ID_RUN TRUE)
set(CMAKE_C_COMPILER_ID Clang)
set(CMAKE_C_COMPILER_FRONTEND_VARIANT GNU)
set(CMAKE_C_COMPILER_VERSION 19.0)
set(CMAKE_C_STANDARD_COMPUTED_DEFAULT 17)
set(CMAKE_C_EXTENSIONS_COMPUTED_DEFAULT ON)
set(CMAKE_SIZEOF_VOID_P ${WYRM_POINTER_BYTES})
set(CMAKE_C_SIZEOF_DATA_PTR ${WYRM_POINTER_BYTES})

# Without a build type vector code would be compiled without optimisation.
set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type")
