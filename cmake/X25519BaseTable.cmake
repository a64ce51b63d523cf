# The multiples of Curve25519's base point that src/crypto/x25519_base.c reads, computed at configure time and put beside
# fiat-crypto's header, so that whoever finds the one finds the other.
set(_table_script ${CMAKE_SOURCE_DIR}/src/crypto/x25519_base_table.py)
set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${_table_script})
# Two presets may be configured at the same time.
file(LOCK ${FIAT_CRYPTO_INCLUDE_DIR}/../table.lock GUARD FILE TIMEOUT 300)
execute_process(COMMAND /usr/bin/python3 ${_table_script} OUTPUT_FILE ${FIAT_CRYPTO_INCLUDE_DIR}/x25519_base_table.new
                RESULT_VARIABLE _table_result ERROR_VARIABLE _table_error)
if(NOT _table_result EQUAL 0)
    message(FATAL_ERROR "${_table_script} failed (${_table_result}): ${_table_error}")
endif()
file(COPY_FILE ${FIAT_CRYPTO_INCLUDE_DIR}/x25519_base_table.new ${FIAT_CRYPTO_INCLUDE_DIR}/x25519_base_table.h
     ONLY_IF_DIFFERENT)
