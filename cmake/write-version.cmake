# Run by the target qgm_version. SPDX-License-Identifier: MIT
execute_process(COMMAND git describe --always --dirty --tags WORKING_DIRECTORY ${SOURCE}
    OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT COMMIT)
    set(COMMIT "unknown")
endif()
configure_file(${IN} ${OUT} @ONLY) # writes only when the text changed
