/* In drivers that are built for coverage only (cmake/Instrumented.cmake): what the compiler and llvm-cov
 * expect of LLVM's run-time library.  Who loads the driver finds counters and names in the image's sections.
 */

/* The compiler refers to it for the sake of the library. */
extern int __llvm_profile_runtime;
int __llvm_profile_runtime;

/* llvm-cov skips the first byte of the names in a PE image. */
__attribute__((section(".lprfn$A"), used)) static const char before_names = 0;
