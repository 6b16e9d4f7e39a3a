#include "cli/record_reader.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

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
           "NAME=FIELD.ROLE of chat messages"}};
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
          {"errors", OptionKind::text, "FILE", "", "where skipped records go, with the reason"}};
}

Rejects::Rejects(const Options& options) : keep_going_(options.flag("keep-going")) {
  if (!options.has("errors")) return;
  const std::string path = options.text("errors");
  if (!keep_going_) fail(ErrorKind::usage, "--errors needs --keep-going");
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    fail(ErrorKind::cannot_create, "--errors {}: {}", path, std::strerror(errno));
  }
  file_.emplace(descriptor_, path);
}

Rejects::~Rejects() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void Rejects::reject(const Record& record, const Error& error) {
  if (!keep_going_) throw error;
  ++count_;
  spdlog::warn("{}", error.what());
  if (!file_) return;
  nlohmann::ordered_json line{{"line", record.line},
                              {"ordinal", record.ordinal},
                              {"reason", error.what()},
                              {"record", record.text}};
  file_->line(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  file_->flush();
}

RecordReader::RecordReader(const std::string& path, const FieldMap& map, const Signals* signals)
    : lines_(path, signals), map_(&map) {}

std::optional<Record> RecordReader::next() {
  if (form_ == Form::unknown) form_ = read_form();
  if (form_ == Form::unknown) return std::nullopt;
  return form_ == Form::array || held_ ? next_element() : next_line();
}

/// Unknown: there is no record in the input, or a signal came.
RecordReader::Form RecordReader::read_form() {
  if (is_tsv(name())) return read_header();
  const std::optional<char> first = lines_.peek();
  if (!first) return Form::unknown;
  if (*first != '[') return Form::lines;
  std::optional<std::string> text = lines_.rest();
  if (!text) return Form::unknown;
  elements_ = elements_of_array(*text, name());
  array_ = std::move(*text);
  return Form::array;
}

void RecordReader::hold() {
  if (form_ == Form::unknown) form_ = read_form();
  if (form_ == Form::unknown || form_ == Form::array) return;
  held_ = true;
  array_ = lines_.rest().value_or("");
  for (std::size_t begin = 0; begin < array_.size();) {
    const std::size_t next = std::min(array_.find('\n', begin), array_.size()) + 1;
    std::size_t end = next - 1;
    if (end > begin && array_[end - 1] == '\r') --end;
    ++line_;
    if (!is_blank(array_.substr(begin, end - begin))) elements_.push_back({begin, end, line_});
    begin = next;
  }
}

RecordReader::Form RecordReader::read_header() {
  const std::optional<std::string> header = lines_.next();
  if (!header) return Form::unknown;
  columns_ = tsv_columns(*header, name(), ++line_);
  return Form::table;
}

std::optional<Record> RecordReader::next_element() {
  if (ordinal_ == elements_.size()) return std::nullopt;
  const ArrayElement& element = elements_[ordinal_];
  Record record;
  record.line = element.line;
  record.ordinal = ordinal_++;
  record.text = array_.substr(element.begin, element.end - element.begin);
  return record;
}

std::optional<Record> RecordReader::next_line() {
  while (std::optional<std::string> line = lines_.next()) {
    ++line_;
    if (is_blank(*line)) continue;
    Record record;
    record.line = line_;
    record.ordinal = ordinal_++;
    record.text = std::move(*line);
    return record;
  }
  return std::nullopt;
}

bool RecordReader::is_blank(const std::string& line) const {
  if (form_ == Form::table) return line.empty() && columns_.size() > 1;
  return line.find_first_not_of(" \t\r") == std::string::npos;
}

std::optional<double> RecordReader::fraction() const {
  if (form_ != Form::array && !held_) return lines_.fraction();
  return elements_.empty() ? 1.0
                           : static_cast<double>(ordinal_) / static_cast<double>(elements_.size());
}

Record RecordReader::parse(Record record) const {
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
    rejects.reject(record, error);
    return false;
  }
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
