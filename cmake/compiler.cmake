# Flags of everything in the tree. gist_flags is linked by each target, privately.
add_library(gist_flags INTERFACE)
# GCC 12 reports -Wrestrict for std::string's own code when it optimises (GCC bug 105651).
target_compile_options(gist_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Werror;$<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wshadow,-Werror;-Werror=all-warnings>)
target_include_directories(gist_flags INTERFACE ${CMAKE_SOURCE_DIR})
# The files that a unity build joins share one anonymous namespace: what shadows another file's name there
# shadows nothing in its own, and what only that namespace has isn't a header's. The preset dev, which
# compiles each file alone, has these warnings.
if(CMAKE_UNITY_BUILD)
  target_compile_options(gist_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-shadow>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>)
endif()

if(GIST_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
elseif(GIST_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()
