# Install rules and the package files for find_package(hearth) and pkg-config.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
if(NOT TARGET hearth)
  return()
endif()

# A static libhearth carries the core beside it, and its hosts link the two third-party libraries themselves.
set(installed hearth)
set(HEARTH_LIBS_PRIVATE "")
if(NOT BUILD_SHARED_LIBS)
  list(APPEND installed hearth_core)
  set(HEARTH_LIBS_PRIVATE "-lhearth_core -lpcre2-8 -lutf8proc -lstdc++ -lm -pthread -ldl")
endif()
install(TARGETS ${installed} EXPORT hearthTargets
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/hearth DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp" PATTERN "*.def")

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/hearth)
install(EXPORT hearthTargets NAMESPACE hearth:: DESTINATION ${package})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/hearthConfig.cmake.in ${PROJECT_BINARY_DIR}/hearthConfig.cmake
                              INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/hearthConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hearthConfig.cmake ${PROJECT_BINARY_DIR}/hearthConfigVersion.cmake DESTINATION ${package})

configure_file(${PROJECT_SOURCE_DIR}/cmake/hearth.pc.in ${PROJECT_BINARY_DIR}/hearth.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/hearth.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET hearth_cli)
  set_target_properties(hearth_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS hearth_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# What `pip install ./capi/python` bundles: the library alone, beside the package, under one name (no links in wheels).
if(DEFINED SKBUILD AND BUILD_SHARED_LIBS)
  install(FILES $<TARGET_FILE:hearth> DESTINATION . RENAME ${CMAKE_SHARED_LIBRARY_PREFIX}hearth${CMAKE_SHARED_LIBRARY_SUFFIX}
          COMPONENT python)
endif()
