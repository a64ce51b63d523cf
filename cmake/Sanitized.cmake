# wyrm_sanitized_test(NAME SOURCES... LINK LIBS...): a native test program under AddressSanitizer and
# UndefinedBehaviorSanitizer.  Sources of the code under test are compiled in, so that they are sanitised too.
function(wyrm_sanitized_test name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK;INCLUDE;DEFINE" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests/lib ${CMAKE_SOURCE_DIR}/src ${ARG_INCLUDE})
    target_compile_definitions(${name} PRIVATE ${ARG_DEFINE})
    target_compile_options(${name} PRIVATE -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
                                           -fno-omit-frame-pointer)
    target_link_options(${name} PRIVATE -fsanitize=address,undefined)
    target_link_libraries(${name} PRIVATE ${ARG_LINK})
endfunction()
