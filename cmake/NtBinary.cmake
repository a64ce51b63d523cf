# nt_driver(NAME SOURCES s... [LINK static-lib...] [IMPORTS ntoskrnl|hal|ndis|netio|cng...] [INCLUDE dir...]
#           [DEFINE d...] [OUTPUT_DIR dir] [ENTRY symbol] [RESOURCES file.rc] [SYMBOLS])
#
# Makes OUTPUT_DIR/NAME.sys (default ${WYRM_BIN_DIR}) out of C and assembler sources, our run-time (nt/runtime) and the
# import libraries made from nt/def; IMPORTS defaults to all of them, unused ones leave no trace.  The same inputs give
# the same bytes.  SYMBOLS: also OUTPUT_DIR/release/NAME.sys, the same objects without DWARF, with NAME.pdb, whatever folder
# it is built in: what packages hold.  The link command also stands in NAME.link.sh of the binary directory, which the PE checks use.

set(NT_SOURCE_DIR ${CMAKE_SOURCE_DIR}/nt)
set(NT_IMPORT_MODULES ntoskrnl hal ndis netio cng)
find_program(NT_LLD_LINK lld-link-19 REQUIRED)
find_program(NT_DLLTOOL llvm-dlltool-19 REQUIRED)
include(WindowsResource)

if(WYRM_ARCHITECTURE STREQUAL "x86")
    # No function installs an exception handler, so there is no table of them (/safeseh).  Symbols have their C prefix.
    set(NT_LINK_FLAGS /machine:x86 /base:0x10000000 /safeseh:no /include:__load_config_used)
    set(NT_DRIVER_ENTRY DriverEntry@8)
else()
    set(NT_LINK_FLAGS /machine:${WYRM_ARCHITECTURE} /base:0x140000000 /highentropyva /include:_load_config_used)
    set(NT_DRIVER_ENTRY DriverEntry)
endif()
list(APPEND NT_LINK_FLAGS
    /driver /subsystem:native,10.00 /nodefaultlib
    /dynamicbase /nxcompat /tsaware:no /release /Brepro /guard:cf
    /version:10.0 /osversion:10.0 /opt:ref,icf /merge:.00cfg=.rdata /debug:dwarf
    /section:INIT,ERD /section:.text,ERP /section:.rdata,RP /section:.data,RWP /section:.pdata,RP /section:.rsrc,RD)

function(nt_driver name)
    cmake_parse_arguments(ARG "SYMBOLS" "OUTPUT_DIR;ENTRY" "SOURCES;LINK;IMPORTS;INCLUDE;DEFINE;RESOURCES" ${ARGN})
    if(NOT ARG_OUTPUT_DIR)
        set(ARG_OUTPUT_DIR ${WYRM_BIN_DIR})
    endif()
    if(NOT ARG_ENTRY)
        set(ARG_ENTRY ${NT_DRIVER_ENTRY})
    endif()
    if(NOT ARG_IMPORTS)
        set(ARG_IMPORTS ${NT_IMPORT_MODULES})
    endif()

    add_library(${name}_objects OBJECT ${ARG_SOURCES})
    target_include_directories(${name}_objects PRIVATE ${NT_SOURCE_DIR}/include ${ARG_INCLUDE})
    target_compile_definitions(${name}_objects PRIVATE ${ARG_DEFINE})

    set(inputs)
    set(files)
    foreach(library ${ARG_LINK} nt_runtime)
        list(APPEND inputs $<TARGET_FILE:${library}>)
        list(APPEND files ${library} $<TARGET_FILE:${library}>)
    endforeach()
    foreach(module ${ARG_IMPORTS})
        list(APPEND inputs ${NT_IMPORT_DIR}/${module}.lib)
        list(APPEND files nt_import_libraries ${NT_IMPORT_DIR}/${module}.lib)
    endforeach()

    foreach(resource ${ARG_RESOURCES})
        windows_resource(result ${name} ${resource})
        list(APPEND inputs ${result})
        list(APPEND files ${result})
    endforeach()

    set(image ${ARG_OUTPUT_DIR}/${name}.sys)
    string(JOIN " " link_flags ${NT_LINK_FLAGS})
    file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.link.sh CONTENT
"#!/bin/sh
# $1: the image to write.  What it is made of is named relative to the root of the sources: a path beginning with \"/\" may be
# taken for an option.
set -eu
cd '${CMAKE_SOURCE_DIR}'
sed \"s|^$PWD/||\" >\"$1.inputs\" <<'END'
$<JOIN:$<TARGET_OBJECTS:${name}_objects>,\n>
$<JOIN:${inputs},\n>
END
exec ${NT_LLD_LINK} /out:\"$1\" /entry:${ARG_ENTRY} ${link_flags} @\"$1.inputs\"
")
    # A temporary name and a move: whoever runs the image meanwhile never sees half of it.
    add_custom_command(
        OUTPUT ${image}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${ARG_OUTPUT_DIR}
        COMMAND sh ${CMAKE_CURRENT_BINARY_DIR}/${name}.link.sh ${CMAKE_CURRENT_BINARY_DIR}/${name}.sys
        COMMAND ${CMAKE_COMMAND} -E copy ${CMAKE_CURRENT_BINARY_DIR}/${name}.sys ${image}.new
        COMMAND ${CMAKE_COMMAND} -E rename ${image}.new ${image}
        DEPENDS ${name}_objects $<TARGET_OBJECTS:${name}_objects> ${files}
                ${CMAKE_CURRENT_BINARY_DIR}/${name}.link.sh
        COMMENT "Linking ${name}.sys"
        VERBATIM)
    set(release)
    if(ARG_SYMBOLS AND NOT WYRM_INSTRUMENT)
        # Paths are relative to the root of the sources, as a .pdb names the files that it was made of.  lld links DWARF whatever
        # it is told.
        set(release ${ARG_OUTPUT_DIR}/release/${name}.sys)
        set(strip ${CMAKE_SOURCE_DIR}/packaging/strip_dwarf.py)
        string(REPLACE "/debug:dwarf" "/debug:full" release_flags "${link_flags}")
        file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/${name}.release.sh CONTENT
"#!/bin/sh
# $1: the image to write, $2: its .pdb, both relative to the root of the sources
set -eu
cd '${CMAKE_SOURCE_DIR}'
mkdir -p \"$(dirname \"$1\")\"
sed \"s|^$PWD/||\" >\"$1.inputs\" <<'END'
$<JOIN:$<TARGET_OBJECTS:${name}_objects>,\n>
$<JOIN:${inputs},\n>
END
${NT_LLD_LINK} /out:\"$1.new\" /pdb:\"$2\" /pdbaltpath:${name}.pdb /pdbsourcepath:. /entry:${ARG_ENTRY} \\
    ${release_flags} @\"$1.inputs\"
/usr/bin/python3 ${strip} \"$1.new\"
mv \"$1.new\" \"$1\"
rm \"$1.inputs\"
")
        file(RELATIVE_PATH release_stem ${CMAKE_SOURCE_DIR} ${ARG_OUTPUT_DIR}/release/${name})
        add_custom_command(
            OUTPUT ${release} ${ARG_OUTPUT_DIR}/release/${name}.pdb
            COMMAND sh ${CMAKE_CURRENT_BINARY_DIR}/${name}.release.sh ${release_stem}.sys ${release_stem}.pdb
            DEPENDS ${image} ${CMAKE_CURRENT_BINARY_DIR}/${name}.release.sh ${strip}
            COMMENT "Linking ${name}.sys with ${name}.pdb"
            VERBATIM)
    endif()
    add_custom_target(${name} ALL DEPENDS ${image} ${release})
endfunction()
