# wyrm_version_rc(OUT FILE DESCRIPTION driver|dll|program): writes the version resource of FILE and sets OUT to its path, for
# RESOURCES of win_binary() and nt_driver().  The version is the project's.
set(WYRM_VENDOR_NAME Wyrm CACHE STRING "the product's name at run time, at most nine letters")

function(wyrm_version_rc out WYRM_RC_FILE WYRM_RC_DESCRIPTION kind)
    # VFT_DRV with VFT2_DRV_NETWORK, VFT_DLL, VFT_APP
    set(WYRM_RC_SUBTYPE 0)
    if(kind STREQUAL driver)
        set(WYRM_RC_TYPE 3)
        set(WYRM_RC_SUBTYPE 6)
    elseif(kind STREQUAL dll)
        set(WYRM_RC_TYPE 2)
    elseif(kind STREQUAL program)
        set(WYRM_RC_TYPE 1)
    else()
        message(FATAL_ERROR "wyrm_version_rc: '${kind}' is neither driver, dll nor program")
    endif()
    set(WYRM_RC_NUMBERS "${PROJECT_VERSION_MAJOR},${PROJECT_VERSION_MINOR},${PROJECT_VERSION_PATCH},0")
    string(REPLACE "." "_" stem version_${WYRM_RC_FILE})
    set(path ${CMAKE_CURRENT_BINARY_DIR}/${stem}.rc)
    configure_file(${CMAKE_SOURCE_DIR}/cmake/version.rc.in ${path} @ONLY)
    set(${out} ${path} PARENT_SCOPE)
endfunction()
