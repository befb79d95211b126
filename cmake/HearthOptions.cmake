# Options, and hearth_target(): what every target of ours is compiled with.
include(CMakeDependentOption)
option(BUILD_SHARED_LIBS "Build libhearth as a shared library" ON)
option(HEARTH_BUILD_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(HEARTH_BUILD_EXAMPLES "Build the examples and the hearth program" ${PROJECT_IS_TOP_LEVEL})
option(HEARTH_WERROR "Treat warnings as errors" OFF)
option(HEARTH_CCACHE "Compile through ccache where it is installed" ${PROJECT_IS_TOP_LEVEL})
option(HEARTH_FUZZ "Build the libFuzzer targets (Clang)" OFF)
set(HEARTH_SANITIZE "" CACHE STRING "Sanitizers for every target, for example address,undefined or thread")

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release)
  endif()
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

find_program(HEARTH_CCACHE_PROGRAM ccache)
if(HEARTH_CCACHE AND HEARTH_CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${HEARTH_CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${HEARTH_CCACHE_PROGRAM})
endif()

add_library(hearth_build_flags INTERFACE)
target_compile_features(hearth_build_flags INTERFACE cxx_std_20)
target_compile_options(hearth_build_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
                                                    -fno-math-errno -ffp-contract=off)
# GCC 12 warns about std::string's own code (its bug 105651), and about code that only a sanitizer made unreachable.
set(gcc $<CXX_COMPILER_ID:GNU>)
target_compile_options(hearth_build_flags INTERFACE
    $<$<AND:${gcc},$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>)
if(HEARTH_SANITIZE)
  target_compile_options(hearth_build_flags INTERFACE $<${gcc}:-Wno-maybe-uninitialized>)
endif()
if(HEARTH_WERROR)
  target_compile_options(hearth_build_flags INTERFACE -Werror)
endif()
if(HEARTH_SANITIZE)
  target_compile_options(hearth_build_flags INTERFACE -fsanitize=${HEARTH_SANITIZE} -fno-omit-frame-pointer
                                                      -fno-sanitize-recover=all)
  target_link_options(hearth_build_flags INTERFACE -fsanitize=${HEARTH_SANITIZE})
endif()
if(HEARTH_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "HEARTH_FUZZ needs Clang (use the preset fuzz)")
  endif()
  target_compile_options(hearth_build_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(hearth_build_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# hearth_target(name): warnings, sanitizers, C++20, hidden symbols, position-independent code.
function(hearth_target name)
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:hearth_build_flags>)
  set_target_properties(${name} PROPERTIES CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden
                                           VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
endfunction()
