# Third-party packages, found once. None of them appears in a public header or in what libhearth.so needs at run time.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_path(HEARTH_FMT_INCLUDE fmt/format.h REQUIRED)  # its headers alone
find_package(Eigen3 3.3 REQUIRED NO_MODULE)
find_package(nlohmann_json 3.9 REQUIRED)

# hearth_static_library(target header library): an imported static library, so that hosts need nothing at run time.
function(hearth_static_library target header library)
  find_path(${target}_INCLUDE ${header} REQUIRED)
  find_library(${target}_LIBRARY NAMES lib${library}.a ${library} REQUIRED)
  add_library(${target} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${${target}_LIBRARY}"
                                             INTERFACE_INCLUDE_DIRECTORIES "${${target}_INCLUDE}")
endfunction()
hearth_static_library(hearth_pcre2 pcre2.h pcre2-8)
set_property(TARGET hearth_pcre2 PROPERTY INTERFACE_COMPILE_DEFINITIONS PCRE2_CODE_UNIT_WIDTH=8 PCRE2_STATIC)
hearth_static_library(hearth_utf8proc utf8proc.h utf8proc)
set_property(TARGET hearth_utf8proc PROPERTY INTERFACE_COMPILE_DEFINITIONS UTF8PROC_STATIC)
