#include "cli/record_reader.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cli/words.h"
#include "formats/json_text.h"
#include "formats/text.h"
#include "formats/tsv.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// What gist reads of records, besides what a template asks for.
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

std::size_t max_record_bytes(const Options& options) {
  constexpr std::int64_t most = std::int64_t{1} << 40;
  return static_cast<std::size_t>(options.integer("max-record-bytes", 0, most));
}

FieldMap field_map(const Options& options, const PromptTemplate& prompt_template) {
  if (!options.has("fields")) return {};
  FieldMap map = parse_field_map(options.text("fields"));
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

std::vector<OptionSpec> reject_options() {
  return {{"keep-going", OptionKind::flag, "", "", "skip bad records, and exit 1"},
          {"errors", OptionKind::text, "FILE", "",
           "where skipped records go, with the reason, in place of a warning for each"}};
}

Rejects::Rejects(const Options& options) : keep_going_(options.flag("keep-going")) {
  if (!options.has("errors")) return;
  if (!keep_going_) fail(ErrorKind::usage, "--errors needs --keep-going");
  list_.emplace(options, errors_list);
}

void Rejects::reject(const Record& record, const Error& error) {
  if (!keep_going_) throw error;
  ++count_;
  if (!list_) return spdlog::warn("{}", error.what());
  nlohmann::ordered_json line{{"line", record.line},
                              {"ordinal", record.ordinal},
                              {"reason", error.what()},
                              {"record", record.text}};
  list_->lines().line(text_of_json(line));
  list_->lines().flush();
}

void Rejects::tell_listed() const {
  if (!list_ || count_ == 0) return;
  spdlog::warn("{} rejected: {} with the reason{} in {}", counted(count_, "record"),
               count_ == 1 ? "it stands" : "they stand", count_ == 1 ? "" : "s", list_->path());
}

RecordReader::RecordReader(const std::string& path, const FieldMap& map, const Signals* signals,
                           std::size_t most_bytes)
    : lines_(path, signals), map_(&map), most_bytes_(most_bytes) {}

std::optional<Record> RecordReader::next() {
  if (!held_) return read();
  if (next_held_ == held_->size()) return std::nullopt;
  return (*held_)[next_held_++];
}

std::optional<Record> RecordReader::read() {
  if (form_ == Form::unknown) form_ = read_form();
  if (form_ == Form::unknown) return std::nullopt;
  return form_ == Form::array ? next_element() : next_line();
}

/// Unknown: there is no record in the input, or a signal came.
RecordReader::Form RecordReader::read_form() {
  if (is_tsv(name())) return read_header();
  const std::optional<char> first = lines_.peek();
  if (!first) return Form::unknown;
  if (*first != '[') return Form::lines;
  array_.emplace(name(), most_bytes_);
  return Form::array;
}

void RecordReader::hold() {
  std::vector<Record> records;
  while (std::optional<Record> record = read()) records.push_back(std::move(*record));
  held_ = std::move(records);
}

RecordReader::Form RecordReader::read_header() {
  bool cut = false;
  const std::optional<std::string> header = lines_.next(most_bytes_, cut);
  if (!header) return Form::unknown;
  ++line_;
  if (cut) refuse_length(line_);
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

void RecordReader::refuse_length(std::uint64_t line) const {
  fail(ErrorKind::data,
       "{}:{}: longer than {} bytes; --max-record-bytes N takes longer records, 0 any", name(),
       line, most_bytes_);
}

bool RecordReader::is_blank(const std::string& line) const {
  if (form_ == Form::table) return line.empty() && columns_.size() > 1;
  return line.find_first_not_of(" \t\r") == std::string::npos;
}

std::optional<double> RecordReader::fraction() const {
  if (!held_) return lines_.fraction();
  return held_->empty() ? 1.0
                        : static_cast<double>(next_held_) / static_cast<double>(held_->size());
}

Record RecordReader::parse(Record record) const {
  if (record.cut) refuse_length(record.line);
  if (form_ == Form::table) record.text = tsv_record(record.text, columns_, name(), record.line);
  record = parse_record(std::move(record.text), name(), record.line, record.ordinal);
  record.map = map_;
  return record;
}

bool RecordReader::use(Record& record, Rejects& rejects,
                       const std::function<void(const Record&)>& action) const {
  try {
    record = parse(record);
    action(record);
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    rejects.reject(record, placed(error, record));
    return false;
  }
}

Error RecordReader::placed(const Error& error, const Record& record) const {
  const std::string message = error.what();
  if (message.starts_with(name() + ":")) return error;
  return {error.kind(), fmt::format("{}:{}: {}", name(), record.line, message)};
}

std::optional<std::string> id_field(const Record& record, const char* field,
                                    const std::string& where) {
  const nlohmann::json* at = record.find(field);
  if (at == nullptr) return std::nullopt;
  std::string id;
  if (at->is_string()) {
    id = at->get<std::string>();
  } else if (at->is_number_integer()) {
    id = at->dump();
  } else {
    fail(ErrorKind::data, "{}:{}: field \"{}\": expected a string or a whole number, found {}",
         where, record.line, field, in_quotes(at->dump()));
  }
  if (id.empty()) fail(ErrorKind::data, "{}:{}: field \"{}\" is empty", where, record.line, field);
  return id;
}

}  // namespace gist
