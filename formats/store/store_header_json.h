// A store's header as JSON: in the staging file, and for people who inspect a store.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "formats/store/gist_store.h"

namespace gist {

/// The attributes under their names in the file; "template" is text.
nlohmann::ordered_json to_json(const StoreHeader& header);
/// Throws Error(data), prefixed by `name`, where the text is not what to_json gives.
StoreHeader store_header_from_json(const std::string& text, const std::string& name);

}  // namespace gist
