# version.h: what --version prints and every record carries. Made anew at each build, so that a commit shows at once.
# SPDX-License-Identifier: MIT
set(QGM_GENERATED ${PROJECT_BINARY_DIR}/generated)
string(REPLACE ";" " " QGM_ISAS_TEXT "${QGM_ISAS}")
set(QGM_FLAGS_TEXT "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_RELEASE}")
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    set(QGM_FLAGS_TEXT "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_DEBUG}")
endif()
string(STRIP "${QGM_FLAGS_TEXT} -ffp-contract=off -fno-math-errno" QGM_FLAGS_TEXT)
# What was found at build time.
set(QGM_WITH_TEXT "")
if(QGM_HAVE_JPEG)
    string(APPEND QGM_WITH_TEXT "libjpeg-turbo ${TURBOJPEG_VERSION}, ")
endif()
if(QGM_HAVE_ONEDNN)
    string(APPEND QGM_WITH_TEXT "oneDNN ${QGM_DNNL_VERSION}, ")
endif()
foreach(kind ${QGM_MPIS})
    string(APPEND QGM_WITH_TEXT "MPI (${kind}), ")
endforeach()
string(REGEX REPLACE ", $" "" QGM_WITH_TEXT "${QGM_WITH_TEXT}")
add_custom_target(qgm_version
    COMMAND ${CMAKE_COMMAND} -DOUT=${QGM_GENERATED}/version.h -DSOURCE=${PROJECT_SOURCE_DIR}
        -DIN=${PROJECT_SOURCE_DIR}/cmake/version.h.in -DVERSION=${PROJECT_VERSION}
        "-DCOMPILER=${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}" "-DFLAGS=${QGM_FLAGS_TEXT}"
        "-DWITH=${QGM_WITH_TEXT}"
        -P ${PROJECT_SOURCE_DIR}/cmake/write-version.cmake
    BYPRODUCTS ${QGM_GENERATED}/version.h
    VERBATIM)
