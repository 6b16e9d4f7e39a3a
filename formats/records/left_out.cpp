#include "formats/records/left_out.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formats/files/json_text.h"

namespace gist {
namespace {

nlohmann::ordered_json to_json(const RecordPlace& place) {
  return {{"data", place.data}, {"line", place.line}, {"ordinal", place.ordinal}};
}

}  // namespace

std::string to_json_line(const LeftOut& record) {
  nlohmann::ordered_json line = to_json(record.place);
  line["reason"] = record.stands_in ? "exclude" : "max-tokens";
  if (record.stands_in) {
    line["stands_in"] = to_json(*record.stands_in);
  } else {
    line["tokens"] = record.tokens;
  }
  return text_of_json(line);
}

std::string all_left_out(const std::vector<LeftOut>& left_out, std::int64_t max_tokens) {
  if (left_out.empty()) return "";
  const bool any_too_long = std::any_of(left_out.begin(), left_out.end(),
                                        [](const LeftOut& record) { return !record.stands_in; });
  return fmt::format(": all {} are left out by {}", left_out.size(),
                     any_too_long
                         ? fmt::format("the limit of {0} tokens (--max-tokens {0})", max_tokens)
                         : "the records to exclude (--exclude)");
}

}  // namespace gist
