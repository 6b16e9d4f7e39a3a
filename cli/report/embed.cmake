# Writes a C++ source with the text of files in it:
#   cmake -DOUTPUT=assets.cpp -DHEADER=cli/report/assets.h -P embed.cmake -- NAME=FILE ...
set(source "#include \"${HEADER}\"\n\nnamespace gist {\n")
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(index RANGE ${last})
  if(CMAKE_ARGV${index} MATCHES "^([a-z_]+)=(.+)$")
    set(name ${CMAKE_MATCH_1})
    file(READ "${CMAKE_MATCH_2}" text)
    string(APPEND source "\nconst std::string_view ${name} = R\"embed(${text})embed\";\n")
  endif()
endforeach()
file(WRITE "${OUTPUT}" "${source}\n}  // namespace gist\n")
