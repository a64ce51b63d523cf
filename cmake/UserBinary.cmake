# win_binary(NAME dll|exe SOURCES s... [LINK static-lib...] [IMPORTS module...] [INCLUDE dir...] [DEFINE d...]
#            [EXPORTS file.def] [RESOURCES file.rc] [OUTPUT_NAME name] [OUTPUT_DIR dir] [WINDOWS])
#
# Makes OUTPUT_DIR/OUTPUT_NAME.dll or .exe (default ${WYRM_BIN_DIR}; default name NAME) with its symbols in a .pdb beside
# it, out of C sources, the shared code of user mode (win_runtime) and the import libraries made from src/win/def; IMPORTS defaults to all of them, unused ones leave no trace.  A DLL's sources
# hold DllMain, a program's main(argc, argv) with UTF-8 arguments.  EXPORTS lists exported names without decoration.
# WINDOWS: no console.  The same inputs give the same bytes.  A DLL's import library is NAME.lib in the
# binary directory.

set(WIN_SOURCE_DIR ${CMAKE_SOURCE_DIR}/src/win)
file(GLOB _win_defs CONFIGURE_DEPENDS ${WIN_SOURCE_DIR}/def/*.def)
set(WIN_IMPORT_MODULES)
foreach(_win_def ${_win_defs})
    get_filename_component(_win_module ${_win_def} NAME_WE)
    list(APPEND WIN_IMPORT_MODULES ${_win_module})
endforeach()
find_program(WIN_LLD_LINK lld-link-19 REQUIRED)
find_program(WIN_DLLTOOL llvm-dlltool-19 REQUIRED)
include(WindowsResource)

if(WYRM_ARCHITECTURE STREQUAL x64)
    set(WIN_DLLTOOL_MACHINE -m i386:x86-64)
    set(WIN_BASE 0x180000000)
elseif(WYRM_ARCHITECTURE STREQUAL arm64)
    set(WIN_DLLTOOL_MACHINE -m arm64)
    set(WIN_BASE 0x180000000)
else()
    set(WIN_DLLTOOL_MACHINE -k -m i386)
    set(WIN_BASE 0x10000000)
endif()
set(WIN_OUTPUT_DIR ${WYRM_BIN_DIR})

set(WIN_LINK_FLAGS
    /nodefaultlib /machine:${WYRM_ARCHITECTURE} /dynamicbase /nxcompat /release /Brepro /guard:cf /opt:ref,icf
    /version:10.0 /osversion:10.0 /merge:.00cfg=.rdata /debug /pdbaltpath:%_PDB%
    # Static imports come from System32 only: nothing is planted beside the program.
    /dependentloadflag:0x800)
if(WYRM_ARCHITECTURE STREQUAL x86)
    list(APPEND WIN_LINK_FLAGS /safeseh:no)
    set(WIN_SYMBOL_PREFIX _)
else()
    list(APPEND WIN_LINK_FLAGS /highentropyva)
    set(WIN_SYMBOL_PREFIX "")
endif()

function(win_binary name kind)
    cmake_parse_arguments(ARG "WINDOWS" "OUTPUT_DIR;OUTPUT_NAME;EXPORTS" "SOURCES;LINK;IMPORTS;INCLUDE;DEFINE;RESOURCES"
                          ${ARGN})
    if(NOT ARG_OUTPUT_DIR)
        set(ARG_OUTPUT_DIR ${WIN_OUTPUT_DIR})
    endif()
    if(NOT ARG_OUTPUT_NAME)
        set(ARG_OUTPUT_NAME ${name})
    endif()
    if(NOT ARG_IMPORTS)
        set(ARG_IMPORTS ${WIN_IMPORT_MODULES})
    endif()
    set(subsystem console)
    if(ARG_WINDOWS)
        set(subsystem windows)
    endif()
    set(work ${CMAKE_CURRENT_BINARY_DIR}/${name}.link)
    set(options /subsystem:${subsystem},10.00)
    set(files)
    if(kind STREQUAL dll)
        list(APPEND options /dll /entry:win_dll_start /implib:${CMAKE_CURRENT_BINARY_DIR}/${name}.lib)
        math(EXPR base "${WIN_BASE}" OUTPUT_FORMAT HEXADECIMAL)
        list(APPEND options /base:${base})
    else()
        list(APPEND options /entry:win_program_start /tsaware)
    endif()
    if(ARG_EXPORTS)
        list(APPEND options /def:${ARG_EXPORTS})
        list(APPEND files ${ARG_EXPORTS})
    endif()

    add_library(${name}_objects OBJECT ${ARG_SOURCES})
    target_include_directories(${name}_objects PRIVATE ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src ${ARG_INCLUDE})
    target_compile_definitions(${name}_objects PRIVATE ${ARG_DEFINE})

    set(inputs)
    foreach(resource ${ARG_RESOURCES})
        windows_resource(result ${name} ${resource})
        list(APPEND inputs ${result})
        list(APPEND files ${result})
    endforeach()
    foreach(library ${ARG_LINK} win_runtime)
        list(APPEND inputs $<TARGET_FILE:${library}>)
        list(APPEND files ${library} $<TARGET_FILE:${library}>)
    endforeach()
    foreach(module ${ARG_IMPORTS})
        list(APPEND inputs ${WIN_IMPORT_DIR}/${module}.lib)
        list(APPEND files win_import_libraries ${WIN_IMPORT_DIR}/${module}.lib)
    endforeach()

    set(file_name ${ARG_OUTPUT_NAME}.${kind})
    set(image ${ARG_OUTPUT_DIR}/${file_name})
    list(TRANSFORM options REPLACE ":${CMAKE_SOURCE_DIR}/" ":")
    string(JOIN " " link_flags ${WIN_LINK_FLAGS} ${options})
    file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.link.sh CONTENT
"#!/bin/sh
# $1: the image to write; its symbols go beside it.  Paths are relative to the root of the sources: a .pdb names the files
# that it was made of.
set -eu
cd '${CMAKE_SOURCE_DIR}'
out=\"\${1#\"$PWD\"/}\"
sed \"s|^$PWD/||\" >\"$out.inputs\" <<'END'
$<JOIN:$<TARGET_OBJECTS:${name}_objects>,\n>
/include:${WIN_SYMBOL_PREFIX}_load_config_used
$<JOIN:${inputs},\n>
END
exec ${WIN_LLD_LINK} /out:\"$out\" /pdb:\"\${out%.*}.${kind}.pdb\" /pdbsourcepath:. ${link_flags} @\"$out.inputs\"
")
    # A folder of its own and moves: whoever runs the image meanwhile never sees half of it.
    add_custom_command(
        OUTPUT ${image}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${ARG_OUTPUT_DIR} ${work}
        COMMAND sh ${CMAKE_CURRENT_BINARY_DIR}/${name}.link.sh ${work}/${file_name}
        COMMAND ${CMAKE_COMMAND} -E copy ${work}/${file_name}.pdb ${image}.pdb
        COMMAND ${CMAKE_COMMAND} -E copy ${work}/${file_name} ${image}.new
        COMMAND ${CMAKE_COMMAND} -E rename ${image}.new ${image}
        DEPENDS ${name}_objects $<TARGET_OBJECTS:${name}_objects> ${files}
                ${CMAKE_CURRENT_BINARY_DIR}/${name}.link.sh
        COMMENT "Linking ${file_name} (${WYRM_ARCHITECTURE})"
        VERBATIM)
    add_custom_target(${name} ALL DEPENDS ${image})
endfunction()
