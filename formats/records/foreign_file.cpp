#include "formats/records/foreign_file.h"

#include <algorithm>
#include <array>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

using namespace std::string_view_literals;

struct Kind {
  std::string_view first_bytes;
  const char* what;
  const char* remedy;
};

constexpr const char* from_utf16 = "write it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE";
constexpr const char* from_parquet =
    "write it as JSON lines, as with Python's "
    "pandas.read_parquet(FILE).to_json(OUT, orient=\"records\", lines=True)";

// Where the mark of one kind begins that of another, the longer stands first.
constexpr auto kinds = std::to_array<Kind>({
    {"\xFF\xFE\0\0"sv, "text in UTF-32", "write it as UTF-8: iconv -f UTF-32 -t UTF-8 FILE"},
    {"\0\0\xFE\xFF"sv, "text in UTF-32", "write it as UTF-8: iconv -f UTF-32 -t UTF-8 FILE"},
    {"\xFF\xFE", "text in UTF-16", from_utf16},
    {"\xFE\xFF", "text in UTF-16", from_utf16},
    {"PAR1", "a Parquet file", from_parquet},
    {"ARROW1", "an Arrow file", "write it as JSON lines, as with pandas' to_json"},
    {"PK\x03\x04", "a zip archive", "unpack it on its way: unzip -p FILE | gist ..."},
    {"\xFD"
     "7zXZ",
     "compressed by xz", "decompress it on its way: xz -dc FILE | gist ..."},
    {"BZh", "compressed by bzip2", "decompress it on its way: bzip2 -dc FILE | gist ..."},
    {"\x89HDF", "an HDF5 file, perhaps a gist store", "give the records"},
    {"SQLite format 3", "an SQLite database", "give the records"},
    {"\x7F"
     "ELF",
     "a program", "give the records"},
    {"%PDF", "a PDF document", "give the records"},
    {"<!DOCTYPE", "a page, not data", "was the download refused?"},
    {"<!doctype", "a page, not data", "was the download refused?"},
    {"<html", "a page, not data", "was the download refused?"},
});

/// Says whether these bytes are UTF-16 without a byte order mark: then one of the first two bytes
/// is zero, if the text begins in ASCII.
bool is_utf16(std::string_view bytes) {
  return bytes.size() >= 2 && (bytes[0] == '\0') != (bytes[1] == '\0');
}

constexpr auto field_names = std::to_array<std::string_view>(
    {"instruction", "input", "output", "prompt", "text", "completion", "question", "answer"});

bool names_a_field(std::string_view line) {
  return std::any_of(field_names.begin(), field_names.end(), [line](std::string_view name) {
    return line.find(name) != std::string_view::npos;
  });
}

}  // namespace

void refuse_foreign_file(std::string_view first_bytes, const std::string& where) {
  refuse_git_lfs_pointer(first_bytes, where + ":1");
  const auto kind = std::find_if(kinds.begin(), kinds.end(), [first_bytes](const Kind& each) {
    return first_bytes.starts_with(each.first_bytes);
  });
  if (kind != kinds.end()) {
    fail(ErrorKind::data, "{}:1: expected records, found {}; {}", where, kind->what, kind->remedy);
  }
  if (is_utf16(first_bytes)) {
    fail(ErrorKind::data, "{}:1: expected records, found {}; {}", where,
         "zero bytes, as text in UTF-16 has them", from_utf16);
  }
}

void refuse_plain_text(std::string_view text, const std::string& where, std::uint64_t line) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool meant_as_json =
      first == std::string_view::npos || "{}[]\""sv.find(text[first]) != std::string_view::npos;
  if (meant_as_json || !valid_utf8(text) || json_in(text)) return;
  const char* found = "the text";
  const char* remedy = "to make a record of each line: jq -Rc '{instruction: .}' FILE";
  if (names_a_field(text) && text.find('\t') != std::string_view::npos) {
    found = "a table with tabs, it seems,";
    remedy = "such a file is read where its name ends in .tsv";
  } else if (names_a_field(text) && text.find_first_of(",;") != std::string_view::npos) {
    found = "a table (CSV), it seems,";
    remedy =
        "to make a record of each row: python3 -c 'import csv, json, sys; [print(json.dumps(row)) "
        "for row in csv.DictReader(sys.stdin)]' <FILE";
  }
  fail(ErrorKind::data, "{}:{}: expected a JSON object, {{\"instruction\": TEXT}}, found {} {}; {}",
       where, line, found, in_quotes(text), remedy);
}

}  // namespace gist
