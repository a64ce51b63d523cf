# fiat-crypto's formally verified field arithmetic for Curve25519: one generated C header (MIT), taken at configure
# time out of the Debian package librust-ring-dev, which is unpacked but not installed.  Package and header stay in
# build/cache/fiat-crypto, so that later configurations need no network; the header's checksum is verified each time.
# Sets FIAT_CRYPTO_INCLUDE_DIR.
set(_fiat_package librust-ring-dev)
set(_fiat_version 0.16.20-2)
set(_fiat_sha256 b57420753499030621a681cbfac90df82f641147e6b8c55ee644c8fe9178e291)
set(_fiat_member usr/share/cargo/registry/ring-0.16.20/third_party/fiat/curve25519_64.h)
set(_fiat_cache ${CMAKE_SOURCE_DIR}/build/cache/fiat-crypto)

file(MAKE_DIRECTORY ${_fiat_cache})
# Two presets may be configured at the same time.
file(LOCK ${_fiat_cache}/lock GUARD FILE TIMEOUT 300)

set(_fiat_header ${_fiat_cache}/include/curve25519_64.h)
set(_fiat_found "")
if(EXISTS ${_fiat_header})
    file(SHA256 ${_fiat_header} _fiat_found)
endif()

if(NOT _fiat_found STREQUAL _fiat_sha256)
    file(GLOB _fiat_deb ${_fiat_cache}/${_fiat_package}_${_fiat_version}_*.deb)
    if(NOT _fiat_deb)
        message(STATUS "Fetching ${_fiat_package} ${_fiat_version} (fiat-crypto's Curve25519 arithmetic)")
        execute_process(COMMAND apt-get -q -o APT::Sandbox::User=root download ${_fiat_package}=${_fiat_version}
                        WORKING_DIRECTORY ${_fiat_cache} RESULT_VARIABLE _fiat_result OUTPUT_VARIABLE _fiat_output
                        ERROR_VARIABLE _fiat_output TIMEOUT 240)
        file(GLOB _fiat_deb ${_fiat_cache}/${_fiat_package}_${_fiat_version}_*.deb)
        if(NOT _fiat_result EQUAL 0 OR NOT _fiat_deb)
            message(FATAL_ERROR
                "Cannot fetch the Debian package ${_fiat_package} ${_fiat_version}, which holds fiat-crypto's "
                "Curve25519 arithmetic.  apt-get download said (${_fiat_result}):\n${_fiat_output}\n"
                "On Debian 12 run `apt-get update` first; without a network, copy the package's .deb from "
                "pool/main/r/rust-ring/ of a Debian mirror into ${_fiat_cache}.")
        endif()
    endif()
    list(GET _fiat_deb 0 _fiat_deb)

    file(REMOVE_RECURSE ${_fiat_cache}/unpacked)
    execute_process(COMMAND dpkg-deb -x ${_fiat_deb} ${_fiat_cache}/unpacked RESULT_VARIABLE _fiat_result
                    OUTPUT_VARIABLE _fiat_output ERROR_VARIABLE _fiat_output)
    if(NOT _fiat_result EQUAL 0)
        # A damaged download must not be taken for the package next time.
        file(REMOVE ${_fiat_deb})
        message(FATAL_ERROR "Cannot unpack ${_fiat_deb} (removed; configure again to fetch it anew): ${_fiat_output}")
    endif()
    set(_fiat_found "missing")
    if(EXISTS ${_fiat_cache}/unpacked/${_fiat_member})
        file(SHA256 ${_fiat_cache}/unpacked/${_fiat_member} _fiat_found)
    endif()
    if(NOT _fiat_found STREQUAL _fiat_sha256)
        file(REMOVE ${_fiat_deb})
        file(REMOVE_RECURSE ${_fiat_cache}/unpacked)
        message(FATAL_ERROR "${_fiat_deb} does not hold the expected ${_fiat_member}: SHA-256 is ${_fiat_found}, "
                            "expected ${_fiat_sha256}.  The package was removed.")
    endif()
    file(MAKE_DIRECTORY ${_fiat_cache}/include)
    file(COPY_FILE ${_fiat_cache}/unpacked/${_fiat_member} ${_fiat_header} ONLY_IF_DIFFERENT)
    file(REMOVE_RECURSE ${_fiat_cache}/unpacked)
endif()

file(LOCK ${_fiat_cache}/lock RELEASE)
set(FIAT_CRYPTO_INCLUDE_DIR ${_fiat_cache}/include)
