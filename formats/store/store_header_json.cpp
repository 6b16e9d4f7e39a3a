#include "formats/store/store_header_json.h"

#include <type_traits>

#include "formats/files/json_text.h"
#include "formats/store/gist_store_layout.h"
#include "formats/store/store_header_fields.h"
#include "kernels/error.h"

namespace gist {

using nlohmann::json;

nlohmann::ordered_json to_json(const StoreHeader& header) {
  nlohmann::ordered_json values;
  const auto add = [&]<typename Value>(const char* name, Value StoreHeader::*member) {
    if constexpr (std::is_same_v<Value, Dtype>) {
      values[name] = name_of(header.*member);
    } else if (!may_be_left_out(member) || header.*member != Value()) {
      values[name] = header.*member;
    }
  };
  for_each_header_field(add);
  return values;
}

StoreHeader store_header_from_json(const std::string& text, const std::string& name) {
  try {
    const json values = parse_json(text, name);
    StoreHeader header;
    const auto take = [&]<typename Value>(const char* field, Value StoreHeader::*member) {
      if constexpr (std::is_same_v<Value, Dtype>) {
        const auto dtype = values.at(field).get<std::string>();
        header.*member = dtype_named(dtype).value_or(Dtype::i32);
      } else if (!may_be_left_out(member) || values.contains(field)) {
        values.at(field).get_to(header.*member);
      }
    };
    for_each_header_field(take);
    if (header.dtype == Dtype::i32) fail(ErrorKind::data, "{}: unknown dtype", name);
    check_store_shape(header, name);
    return header;
  } catch (const json::exception& error) {
    fail(ErrorKind::data, "{}: no staging file of gist, or a damaged one ({})", name, error.what());
  }
}

}  // namespace gist
