# The library: what the folders add up to, how it is installed, and how others find it. SPDX-License-Identifier: MIT
include(CMakePackageConfigHelpers)
set(QGM_PUBLIC_HEADERS
    kernels/base.h kernels/kernels.h kernels/kernels.def kernels/random.h
    layers/model.h layers/safetensors.h algos/topology.h algos/faults.h algos/group.h algos/engine.h data/dataset.h)
set_target_properties(qgm PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0 LINKER_LANGUAGE C)
target_include_directories(qgm PUBLIC $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_link_libraries(qgm PRIVATE ${QGM_LAPACKE_LIBRARY} $<BUILD_INTERFACE:PkgConfig::ZLIB>
    $<BUILD_INTERFACE:PkgConfig::XXHASH> $<BUILD_INTERFACE:PkgConfig::JANSSON> $<BUILD_INTERFACE:${QGM_OPENMP}> m)

if(QGM_HAVE_JPEG)
    set(QGM_PC_JPEG libturbojpeg)
    set(QGM_LINK_JPEG turbojpeg)
endif()
install(TARGETS qgm EXPORT qgm-targets)
install(FILES ${QGM_PUBLIC_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/qgm)
install(EXPORT qgm-targets NAMESPACE qgm:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/qgm)
configure_package_config_file(cmake/qgm-config.cmake.in ${PROJECT_BINARY_DIR}/qgm-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/qgm)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/qgm-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/qgm-config.cmake ${PROJECT_BINARY_DIR}/qgm-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/qgm)
# Relative to the .pc file itself, so that an installed tree can be moved, or installed under another prefix.
file(RELATIVE_PATH QGM_PC_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
if(QGM_HAVE_ONEDNN)
    set(QGM_PC_DNNL -ldnnl)
endif()
# What a shared library links itself, a program names that links the static one.
get_target_property(QGM_LIBRARY_TYPE qgm TYPE)
if(QGM_LIBRARY_TYPE STREQUAL "SHARED_LIBRARY")
    set(QGM_PC_PRIVATE .private)
else()
    set(QGM_PC_LIBS "-llapacke ${QGM_PC_DNNL} ${OpenMP_C_FLAGS} -lm")
endif()
configure_file(cmake/qgm.pc.in ${PROJECT_BINARY_DIR}/qgm.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/qgm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
