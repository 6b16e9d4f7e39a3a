#include "formats/records/record_reader.h"

#include <utility>

#include "formats/files/text.h"
#include "formats/records/tsv.h"
#include "kernels/error.h"

namespace gist {

RecordReader::RecordReader(const std::string& path, const FieldMap& map, int wake,
                           std::size_t most_bytes)
    : lines_(path, wake), name_(lines_.name()), map_(&map), most_bytes_(most_bytes) {}

std::optional<Record> RecordReader::next() {
  if (form_ == Form::unknown) form_ = read_form();
  if (form_ == Form::unknown) return std::nullopt;
  return form_ == Form::array ? next_element() : next_line();
}

/// Unknown: there is no record in the input, or the reading was ended.
RecordReader::Form RecordReader::read_form() {
  if (is_tsv(name())) return read_header();
  const std::optional<char> first = lines_.peek();
  if (!first) return Form::unknown;
  if (*first != '[') return Form::lines;
  array_.emplace(name(), most_bytes_);
  return Form::array;
}

RecordReader::Form RecordReader::read_header() {
  bool cut = false;
  const std::optional<std::string> header = lines_.next(most_bytes_, cut);
  if (!header) return Form::unknown;
  ++line_;
  if (cut) refuse_length(name(), line_, most_bytes_);
  columns_ = tsv_columns(*header, name(), line_);
  return Form::table;
}

std::optional<Record> RecordReader::next_element() {
  for (;;) {
    const std::string_view unread = lines_.unread();
    if (unread.empty()) {
      if (lines_.at_end()) array_->finish();
      return std::nullopt;
    }
    std::string_view left = unread;
    std::optional<ArrayElement> element = array_->next(left);
    lines_.skip(unread.size() - left.size());
    if (element) return unparsed(std::move(element->text), element->line, element->cut);
  }
}

std::optional<Record> RecordReader::next_line() {
  bool cut = false;
  while (std::optional<std::string> line = lines_.next(most_bytes_, cut)) {
    ++line_;
    if (cut || !is_blank(*line)) return unparsed(std::move(*line), line_, cut);
  }
  return std::nullopt;
}

Record RecordReader::unparsed(std::string text, std::uint64_t line, bool cut) {
  Record record;
  record.line = line;
  record.ordinal = ordinal_++;
  record.text = std::move(text);
  record.cut = cut;
  return record;
}

bool RecordReader::is_blank(const std::string& line) const {
  if (form_ == Form::table) return line.empty() && columns_.size() > 1;
  return line.find_first_not_of(" \t\r") == std::string::npos;
}

Record RecordReader::parse(Record record) const {
  if (record.cut) refuse_length(name(), record.line, most_bytes_);
  if (form_ == Form::table) record.text = tsv_record(record.text, columns_, name(), record.line);
  record = parse_record(std::move(record.text), name(), record.line, record.ordinal);
  record.map = map_;
  return record;
}

Error placed(const Error& error, const std::string& input, const Record& record) {
  const std::string message = error.what();
  if (message.starts_with(input + ":")) return error;
  return {error.kind(), fmt::format("{}:{}: {}", input, record.line, message)};
}

void refuse_length(const std::string& input, std::uint64_t line, std::size_t most_bytes) {
  fail(
      ErrorKind::data,
      "{}:{}: longer than {} bytes; a higher limit takes longer records, 0 any (--max-record-bytes)",
      input, line, most_bytes);
}

}  // namespace gist
