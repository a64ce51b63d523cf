# Instrumented builds of wyrm.sys, never shipped: -DWYRM_INSTRUMENT=
#   coverage  source-based coverage; nthost writes the profile (nthost/loader/profile.h), ./test --coverage uses it
#   fuzz      edge counters and compared values for libFuzzer (tests/fuzz/)
# Only the product's own code is instrumented, neither the run-time nor the test drivers.
set(WYRM_INSTRUMENT "" CACHE STRING "instrumentation of wyrm.sys: empty, coverage or fuzz")
set_property(CACHE WYRM_INSTRUMENT PROPERTY STRINGS "" coverage fuzz)

function(wyrm_instrument)
    if(WYRM_INSTRUMENT STREQUAL "")
        return()
    elseif(WYRM_INSTRUMENT STREQUAL "coverage")
        # Atomic: the driver's workers run on all processors.
        set(options -fprofile-instr-generate -fcoverage-mapping -fcoverage-compilation-dir=. -fprofile-update=atomic)
        set(runtime ${CMAKE_SOURCE_DIR}/nt/runtime/profile.c)
    elseif(WYRM_INSTRUMENT STREQUAL "fuzz")
        set(options -fsanitize-coverage=inline-8bit-counters,pc-table,trace-cmp)
        set(runtime ${CMAKE_SOURCE_DIR}/nt/runtime/fuzz.c)
    else()
        message(FATAL_ERROR "WYRM_INSTRUMENT is '${WYRM_INSTRUMENT}'; it may be empty, coverage or fuzz")
    endif()
    set(targets wyrm_protocol wyrm_objects)
    if(NOT WYRM_INSTRUMENT STREQUAL "fuzz") # its loops would drown what input decides
        list(APPEND targets wyrm_crypto)
    endif()
    foreach(target ${targets})
        target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:C>:${options} -Wno-frame-larger-than>)
    endforeach()
    target_sources(nt_runtime PRIVATE ${runtime})
endfunction()
