#include "cli/record_options.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/ranges.h>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// These are the fields that gist reads of records, besides what a template asks for.
constexpr std::array<std::string_view, 7> field_names = {
    "id", "gist", "instruction", "input", "output", "completion", "text"};

}  // namespace

std::vector<OptionSpec> field_options() {
  return {{"fields", OptionKind::text, "LIST", "",
           "NAME=FIELD,...: names of the records' fields, where they are others; "
           "NAME=FIELD.ROLE of chat messages"},
          {"max-record-bytes", OptionKind::integer, "N", std::to_string(default_record_bytes),
           "refuse longer records before they are read whole; 0: none"}};
}

RecordRequest record_request(const Options& options) {
  constexpr std::int64_t most = std::int64_t{1} << 40;
  RecordRequest request;
  if (options.has("fields")) request.fields = options.text("fields");
  request.most_bytes = static_cast<std::size_t>(options.integer("max-record-bytes", 0, most));
  return request;
}

FieldMap field_map(const RecordRequest& request, const PromptTemplate& prompt_template) {
  if (!request.fields) return {};
  FieldMap map = parse_field_map(*request.fields);
  for (const auto& [name, path] : map) {
    const bool read =
        std::find(field_names.begin(), field_names.end(), name) != field_names.end() ||
        prompt_template.reads(name);
    if (read) continue;
    fail(ErrorKind::usage,
         "--fields: expected {} or a field of the template before the =, found {}",
         fmt::join(field_names, ", "), in_quotes(name));
  }
  return map;
}

}  // namespace gist
