/* Coverage of code inside a driver image.  For the loader only; PASSIVE_LEVEL, once per image. */
#pragma once

struct image;

/* If the image was compiled with -fprofile-instr-generate and the environment variable NTHOST_PROFILE_DIR
 * names a directory, the image counts into a file there from now on, in LLVM's raw profile format.  Images
 * without counters and runs without the variable are left alone.  What goes wrong is a warning: the driver
 * runs all the same. */
void image_profile_start(const struct image *image);
