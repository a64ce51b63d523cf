#!/bin/sh
# Builds everything: nthost and the native tests (preset linux), the driver (windows-ARCH), what runs in user mode on
# Windows (user-ARCH), each for x64, arm64 and x86.  What people run then stands in build/bin/.
#   ./build.sh         install what is missing, then build
#   ./build.sh --clean remove build/ first
set -eu
cd "$(dirname "$0")"

case "${1-}" in
'') ;;
--clean) rm -rf build ;;
-h | --help)
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "build.sh: unknown argument '$1' (try --help)" >&2
    exit 2
    ;;
esac

./setup
mkdir -p build
log=build/build.log
: >"$log"
for preset in windows-x64 windows-arm64 windows-x86 linux user-x64 user-arm64 user-x86; do
    if ! { cmake --preset "$preset" && cmake --build --preset "$preset"; } >>"$log" 2>&1; then
        grep -E 'error|FAILED|CMake Error' "$log" | head -n 40 >&2 || true
        echo "build.sh: preset $preset failed; the whole output is in $log" >&2
        exit 1
    fi
done
