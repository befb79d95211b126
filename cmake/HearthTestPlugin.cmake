# hearth_test_plugin(program file name folder macros...): tests/plugin/plugin.cpp as the plugin libhearth_<file> of a device <name>, in a
# folder beside the program's build, which is built with the program.
function(hearth_test_plugin program file name folder)
  set(target hearth_${program}_${folder}_${file})
  add_library(${target} MODULE ${PROJECT_SOURCE_DIR}/tests/plugin/plugin.cpp)
  hearth_target(${target})
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/include)
  target_compile_definitions(${target} PRIVATE PLUGIN_NAME="${name}" ${ARGN})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME hearth_${file} LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${folder})
  add_dependencies(${program} ${target})
endfunction()
