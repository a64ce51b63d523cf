# fiat-crypto's formally verified field arithmetic for Curve25519: two generated C headers (MIT), over words of
# 64 and of 32 bits, taken at configure
# time out of the Debian package librust-ring-dev, which is unpacked but not installed.  Package and headers stay in
# build/cache/fiat-crypto, so that later configurations need no network; the headers' checksums are verified each time.
# Sets FIAT_CRYPTO_INCLUDE_DIR.
set(_fiat_package librust-ring-dev)
set(_fiat_version 0.16.20-2)
set(_fiat_sha256_64 b57420753499030621a681cbfac90df82f641147e6b8c55ee644c8fe9178e291)
set(_fiat_sha256_32 7bcd226c85bdb0fe8fd4d80c006cc3fab4352df94aa8fedd826b6b1f60beaecf)
set(_fiat_folder usr/share/cargo/registry/ring-0.16.20/third_party/fiat)
set(_fiat_cache ${CMAKE_SOURCE_DIR}/build/cache/fiat-crypto)

file(MAKE_DIRECTORY ${_fiat_cache})
# Two presets may be configured at the same time.
file(LOCK ${_fiat_cache}/lock GUARD FILE TIMEOUT 300)

# Sets OUT to a text that says which header of DIRECTORY is missing or not the expected one, empty when all is well.
function(_fiat_problem directory out)
    set(problem "")
    foreach(width 64 32)
        set(found "missing")
        if(EXISTS ${directory}/curve25519_${width}.h)
            file(SHA256 ${directory}/curve25519_${width}.h found)
        endif()
        if(NOT found STREQUAL _fiat_sha256_${width})
            set(problem "curve25519_${width}.h: SHA-256 is ${found}, expected ${_fiat_sha256_${width}}")
        endif()
    endforeach()
    set(${out} "${problem}" PARENT_SCOPE)
endfunction()

_fiat_problem(${_fiat_cache}/include _fiat_found)
if(_fiat_found)
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
    _fiat_problem(${_fiat_cache}/unpacked/${_fiat_folder} _fiat_found)
    if(_fiat_found)
        file(REMOVE ${_fiat_deb})
        message(FATAL_ERROR "${_fiat_deb} does not hold the expected ${_fiat_found}.  The package was removed.")
    endif()
    file(MAKE_DIRECTORY ${_fiat_cache}/include)
    foreach(_fiat_width 64 32)
        file(COPY_FILE ${_fiat_cache}/unpacked/${_fiat_folder}/curve25519_${_fiat_width}.h
             ${_fiat_cache}/include/curve25519_${_fiat_width}.h ONLY_IF_DIFFERENT)
    endforeach()
    file(REMOVE_RECURSE ${_fiat_cache}/unpacked)
endif()

file(LOCK ${_fiat_cache}/lock RELEASE)
set(FIAT_CRYPTO_INCLUDE_DIR ${_fiat_cache}/include)
