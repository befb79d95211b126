# The CPU levels: lib/device/cpu/level/*.cpp compiled once per instruction set into the one library, picked at run time.
# `generic` is plain C++ vectors for any processor; it is built everywhere, so that every machine tests it.
set(HEARTH_CPU_LEVELS generic)
set(HEARTH_CPU_FLAGS_generic "")
set(HEARTH_CPU_MORE_LEVELS "")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set(HEARTH_CPU_FLAGS_generic -march=x86-64)  # whatever CXXFLAGS say, and they may say native
  set(HEARTH_CPU_MORE_LEVELS v2 v3 v3_vnni v4)
  set(HEARTH_CPU_FLAGS_v2 -march=x86-64-v2)
  set(HEARTH_CPU_FLAGS_v3 -march=x86-64-v3)
  set(HEARTH_CPU_FLAGS_v4 -march=x86-64-v4 -mavx512vnni -mprefer-vector-width=512
      -Wno-uninitialized)  # GCC 12 sees its own _mm512_undefined as a use of an uninitialised variable
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND HEARTH_CPU_FLAGS_v4 -Wno-maybe-uninitialized)  # for the same; Clang has no such warning
  endif()
  # v3 with other products of integers: what has none is v3's own.
  set(HEARTH_CPU_FLAGS_v3_vnni -march=x86-64-v3 -mavxvnni)
  set(HEARTH_CPU_SOURCES_v3_vnni rows panels32 panels256 cached_blocks)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
  set(HEARTH_CPU_FLAGS_generic -march=armv8-a)
  set(HEARTH_CPU_MORE_LEVELS neon_dot neon_i8mm)
  set(HEARTH_CPU_FLAGS_neon_dot -march=armv8.2-a+dotprod)
  set(HEARTH_CPU_FLAGS_neon_i8mm -march=armv8.2-a+dotprod+i8mm)
endif()
list(APPEND HEARTH_CPU_LEVELS ${HEARTH_CPU_MORE_LEVELS})

# Levels that compute many tokens by tiles and all else as another level does, so that they have the sources of matmul
# and attention by tiles alone: v4_amx by the processor's tiles, generic_tiles by the same in plain C++, so that every machine tests it.
set(HEARTH_CPU_TILE_LEVELS generic_tiles)
set(HEARTH_CPU_FLAGS_generic_tiles ${HEARTH_CPU_FLAGS_generic})
if("v4" IN_LIST HEARTH_CPU_MORE_LEVELS)
  set(HEARTH_CPU_FLAGS_v4_amx ${HEARTH_CPU_FLAGS_v4} -mavx512bf16 -mamx-tile -mamx-bf16)
  include(CheckCXXSourceCompiles)
  include(CMakePushCheckState)
  cmake_push_check_state()
  string(APPEND CMAKE_REQUIRED_FLAGS " -mamx-tile -mamx-bf16")
  check_cxx_source_compiles("int main() { __asm__(\"tdpbf16ps %tmm2, %tmm1, %tmm0\"); return 0; }" HEARTH_COMPILER_HAS_AMX)
  cmake_pop_check_state()
  if(HEARTH_COMPILER_HAS_AMX)
    list(APPEND HEARTH_CPU_TILE_LEVELS v4_amx)
    list(APPEND HEARTH_CPU_MORE_LEVELS v4_amx)  # for HEARTH_HAS_LEVEL_v4_amx
  endif()
endif()
foreach(level IN LISTS HEARTH_CPU_TILE_LEVELS)
  set(HEARTH_CPU_SOURCES_${level} dense panels32 panels256 tile_attention)
endforeach()
list(APPEND HEARTH_CPU_LEVELS ${HEARTH_CPU_TILE_LEVELS})

# hearth_cpu_levels(target sources...): adds one object library per level to the target. Each source sees
# HEARTH_CPU_LEVEL (its level's name as a token) and must put every symbol but its table into an anonymous namespace.
function(hearth_cpu_levels target)
  if(HEARTH_SANITIZE MATCHES "undefined")  # the address sanitizer sees these too, and they are half of the time that unrolled loops take
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -fno-sanitize=object-size,null,pointer-overflow)
  endif()
  foreach(level IN LISTS HEARTH_CPU_LEVELS)
    set(sources ${ARGN})
    set(tiles "")
    if(DEFINED HEARTH_CPU_SOURCES_${level})
      list(JOIN HEARTH_CPU_SOURCES_${level} "|" names)
      list(FILTER sources INCLUDE REGEX "/(${names})\\.cpp$")
    else()
      list(FILTER sources EXCLUDE REGEX "/tile_[a-z]+\\.cpp$")
    endif()
    if(level IN_LIST HEARTH_CPU_TILE_LEVELS)
      set(tiles HEARTH_CPU_TILES=1)
    endif()
    add_library(hearth_cpu_${level} OBJECT ${sources})
    hearth_target(hearth_cpu_${level})
    target_include_directories(hearth_cpu_${level} PRIVATE ${PROJECT_SOURCE_DIR}/lib ${PROJECT_SOURCE_DIR}/include)
    target_compile_options(hearth_cpu_${level} PRIVATE ${HEARTH_CPU_FLAGS_${level}} -fno-lto -fno-exceptions -fno-rtti
                           -Wno-psabi)  # vectors wider than a register never leave an object file
    if(HEARTH_SANITIZE MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
      # GCC bug 110027: what is aligned to 64 bytes is not in the stack that finds uses after return, and stores to it fault.
      target_compile_options(hearth_cpu_${level} PRIVATE --param=asan-use-after-return=0)
    endif()
    target_compile_definitions(hearth_cpu_${level} PRIVATE HEARTH_CPU_LEVEL=${level} HEARTH_CPU_LEVEL_${level}=1 ${tiles})
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:hearth_cpu_${level}>)
  endforeach()
  list(TRANSFORM HEARTH_CPU_MORE_LEVELS PREPEND HEARTH_HAS_LEVEL_ OUTPUT_VARIABLE has)
  target_compile_definitions(${target} PRIVATE ${has})
endfunction()
