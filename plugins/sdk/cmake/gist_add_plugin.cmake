# gist_add_plugin(NAME
#   SOURCES file...          # one of them says GIST_PLUGIN(...)
#   FAMILIES id...           # the families' ids
#   ARCHITECTURES name...    # the architectures that they serve, as in config.json
#   CHECK file               # JSON: for each family a small config.json, on which `gist plugins check` runs
#   [VERSION version]        # default: the project's, or else 0
#   [OUTPUT_DIRECTORY dir]   # default: ${CMAKE_BINARY_DIR}/plugins
#   [NO_INSTALL])            # otherwise into ${CMAKE_INSTALL_LIBDIR}/gist/plugins
#
# Builds NAME.so and writes its manifest NAME.gist.json beside it. The library exports gist_plugin and
# nothing else, and none of its inline variables is shared with another plugin's.

# The ABI numbers stand in plugin.h alone.
function(_gist_abi_version header major minor)
  foreach(part MAJOR MINOR)
    file(STRINGS "${header}" line REGEX "^#define GIST_ABI_${part} [0-9]+$")
    string(REGEX REPLACE "^#define GIST_ABI_${part} " "" number "${line}")
    set(number_${part} "${number}")
  endforeach()
  set(${major} "${number_MAJOR}" PARENT_SCOPE)
  set(${minor} "${number_MINOR}" PARENT_SCOPE)
endfunction()

function(_gist_json_list out)
  list(TRANSFORM ARGN PREPEND "\"")
  list(TRANSFORM ARGN APPEND "\"")
  list(JOIN ARGN ", " joined)
  set(${out} "[${joined}]" PARENT_SCOPE)
endfunction()

function(gist_add_plugin name)
  cmake_parse_arguments(arg "NO_INSTALL" "CHECK;VERSION;OUTPUT_DIRECTORY"
    "SOURCES;FAMILIES;ARCHITECTURES" ${ARGN})
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "gist_add_plugin(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  foreach(required SOURCES FAMILIES ARCHITECTURES CHECK)
    if(NOT arg_${required})
      message(FATAL_ERROR "gist_add_plugin(${name}): ${required} is missing")
    endif()
  endforeach()
  if(NOT arg_VERSION)
    set(arg_VERSION "${PROJECT_VERSION}")
  endif()
  if(NOT arg_VERSION)
    set(arg_VERSION 0)
  endif()
  if(NOT arg_OUTPUT_DIRECTORY)
    set(arg_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/plugins")
  endif()

  add_library(${name} MODULE ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE gist::sdk)
  target_compile_definitions(${name} PRIVATE
    GIST_PLUGIN_NAME="${name}" GIST_PLUGIN_VERSION="${arg_VERSION}")
  set_target_properties(${name} PROPERTIES
    PREFIX ""
    SUFFIX ".so"
    LIBRARY_OUTPUT_DIRECTORY "${arg_OUTPUT_DIRECTORY}"
    C_VISIBILITY_PRESET hidden
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)

  # A family may be written in C, in a project that knows no C++.
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if("CXX" IN_LIST languages)
    target_compile_features(${name} PRIVATE cxx_std_20)
    # A symbol that is "gnu unique" is one in the whole process, even across rtld_local.
    include(CheckCXXCompilerFlag)
    check_cxx_compiler_flag(-fno-gnu-unique GIST_HAS_NO_GNU_UNIQUE)
    if(GIST_HAS_NO_GNU_UNIQUE)
      target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)
    endif()
  endif()
  set(map "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/gist_plugin.map")
  target_link_options(${name} PRIVATE "LINKER:-z,defs" "LINKER:--version-script=${map}")
  set_property(TARGET ${name} APPEND PROPERTY LINK_DEPENDS "${map}")

  get_filename_component(check_file "${arg_CHECK}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_SOURCE_DIR}")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${check_file}")
  file(READ "${check_file}" check)
  foreach(family IN LISTS arg_FAMILIES)
    string(JSON kind ERROR_VARIABLE error TYPE "${check}" "${family}")
    if(NOT kind STREQUAL "OBJECT")
      message(FATAL_ERROR "gist_add_plugin(${name}): ${check_file} has no object for the family "
        "'${family}'")
    endif()
  endforeach()
  get_property(include_dir GLOBAL PROPERTY GIST_SDK_INCLUDE_DIR)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${include_dir}/gist/plugin.h")
  _gist_abi_version("${include_dir}/gist/plugin.h" abi_major abi_minor)
  _gist_json_list(families ${arg_FAMILIES})
  _gist_json_list(architectures ${arg_ARCHITECTURES})
  string(STRIP "${check}" check)
  file(GENERATE OUTPUT "$<TARGET_FILE_DIR:${name}>/${name}.gist.json" CONTENT "{
  \"name\": \"${name}\",
  \"version\": \"${arg_VERSION}\",
  \"library\": \"$<TARGET_FILE_NAME:${name}>\",
  \"abi\": [${abi_major}, ${abi_minor}],
  \"families\": ${families},
  \"architectures\": ${architectures},
  \"check\": ${check}
}
")

  if(NOT arg_NO_INSTALL)
    include(GNUInstallDirs)
    set(destination "${CMAKE_INSTALL_LIBDIR}/gist/plugins")
    install(TARGETS ${name} LIBRARY DESTINATION "${destination}")
    install(FILES "$<TARGET_FILE_DIR:${name}>/${name}.gist.json" DESTINATION "${destination}")
  endif()
endfunction()
