#include "formats/records/left_out.h"

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

}  // namespace gist
