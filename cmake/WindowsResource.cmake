# windows_resource(OUT NAME FILE.rc): compiles FILE.rc into NAME.<stem of FILE>.res of the binary directory and sets OUT to its
# path.  llvm-rc takes what begins with "/" for an option (a tree in /check is "code page 'heck/...'"), so that it is called
# with paths relative to the binary directory.
find_program(WINDOWS_RC llvm-rc-19 REQUIRED)

function(windows_resource out name resource)
    get_filename_component(stem ${resource} NAME_WE)
    set(result ${name}.${stem}.res)
    file(RELATIVE_PATH input ${CMAKE_CURRENT_BINARY_DIR} ${resource})
    add_custom_command(
        OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${result}
        COMMAND ${WINDOWS_RC} /nologo /no-preprocess /fo ${result} ${input}
        DEPENDS ${resource}
        WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}
        VERBATIM)
    set(${out} ${CMAKE_CURRENT_BINARY_DIR}/${result} PARENT_SCOPE)
endfunction()
