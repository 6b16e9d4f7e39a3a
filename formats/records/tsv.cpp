#include "formats/records/tsv.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "formats/files/decompressor.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::vector<std::string> fields_of(std::string_view row, const std::string& where,
                                   std::uint64_t line) {
  if (!valid_utf8(row)) {
    fail(ErrorKind::data, "{}:{}: not valid UTF-8: {}", where, line, in_quotes(row));
  }
  return split(row, '\t');
}

}  // namespace

bool is_tsv(std::string_view path) {
  return without_compression(path).ends_with(".tsv");
}

std::vector<std::string> tsv_columns(std::string_view header, const std::string& where,
                                     std::uint64_t line) {
  refuse_byte_order_mark(header, where, line);
  std::vector<std::string> columns = fields_of(header, where, line);
  for (auto name = columns.begin(); name != columns.end(); ++name) {
    if (name->empty()) {
      fail(ErrorKind::data,
           "{}:{}: column {} of the header has no name: the first line should name the columns, "
           "with tabs between them",
           where, line, name - columns.begin() + 1);
    }
    if (std::find(columns.begin(), name, *name) != name) {
      fail(ErrorKind::data, "{}:{}: the header has two columns {}: give each a name of its own",
           where, line, in_quotes(*name));
    }
  }
  return columns;
}

std::string tsv_record(std::string_view row, const std::vector<std::string>& columns,
                       const std::string& where, std::uint64_t line) {
  const std::vector<std::string> fields = fields_of(row, where, line);
  if (fields.size() != columns.size()) {
    fail(ErrorKind::data,
         "{}:{}: expected {} fields with tabs between them, as the header has, found {}", where,
         line, columns.size(), fields.size());
  }
  nlohmann::ordered_json record = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < fields.size(); ++i) record[columns[i]] = fields[i];
  return record.dump();
}

}  // namespace gist
