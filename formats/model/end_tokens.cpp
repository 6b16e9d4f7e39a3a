#include "formats/model/end_tokens.h"

#include <algorithm>
#include <string>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/model/model_directory.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

constexpr const char* end_key = "eos_token_id";

/// Negative ones stand for none in older configurations.
std::vector<std::int32_t> ids_in(const json& config, const std::string& where) {
  const json value = config.value(end_key, json());
  if (value.is_null()) return {};
  std::vector<std::int32_t> ids;
  for (const json& id : value.is_array() ? value : json::array({value})) {
    const bool too_large = id.is_number_unsigned() ? id.get<std::uint64_t>() > INT32_MAX
                                                   : id.is_number() && id > INT32_MAX;
    if (!id.is_number_integer() || too_large) {
      fail(ErrorKind::data, "{}: \"{}\" should be a token's id or a list of ids, found {}", where,
           end_key, value.dump());
    }
    if (id.get<std::int64_t>() >= 0) ids.push_back(id.get<std::int32_t>());
  }
  return ids;
}

}  // namespace

EndTokens end_tokens(const std::filesystem::path& directory, const json& config,
                     const Tokenizer& tokenizer) {
  EndTokens ends;
  const std::filesystem::path generation = directory / generation_config_name;
  if (!directory.empty() && may_exist(generation)) {
    ends.ids = ids_in(read_json_object(generation), generation.string());
  }
  if (ends.ids.empty()) ends.ids = ids_in(config, config_place(directory));
  if (ends.ids.empty() && tokenizer.eos()) ends.ids = {*tokenizer.eos()};

  const auto written = std::find(ends.ids.begin(), ends.ids.end(), tokenizer.eos().value_or(-1));
  if (written != ends.ids.end()) {
    ends.written = *written;
    return ends;
  }
  const json rows = config.value("vocab_size", json());
  for (const std::int32_t id : ends.ids) {
    if (rows.is_number_integer() && id >= rows.get<std::int64_t>()) continue;
    ends.written = id;
    break;
  }
  return ends;
}

}  // namespace gist
