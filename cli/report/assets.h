// page.css and page.js, embedded when gist is built.
#pragma once

#include <string_view>

namespace gist {

extern const std::string_view page_style;
extern const std::string_view page_script;

}  // namespace gist
