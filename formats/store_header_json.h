// A store's header as JSON text, as the staging file keeps it.
#pragma once

#include <string>

#include "formats/gist_store.h"

namespace gist {

std::string to_json_text(const StoreHeader& header);
/// Throws Error(data), prefixed by `name`, where the text is not what to_json_text gives.
StoreHeader store_header_from_json(const std::string& text, const std::string& name);

}  // namespace gist
