#include "formats/records/jsonl.h"

#include <utility>

#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/records/foreign_file.h"
#include "formats/records/json_array.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// Returns where --fields has the record's field; null where it doesn't say.
const FieldPath* path_of(const Record& record, std::string_view name) {
  if (record.map == nullptr) return nullptr;
  const auto entry = record.map->find(name);
  return entry == record.map->end() ? nullptr : &entry->second;
}

/// The field's value, which may be null; null where it is missing.
const nlohmann::json* value_of(const Record& record, std::string_view name) {
  if (record.map != nullptr) {
    return mapped_field(record.fields, *record.map, name,
                        fmt::format("{}:{}", record.where, record.line));
  }
  const auto field = record.fields.find(name);
  return field == record.fields.end() ? nullptr : &*field;
}

}  // namespace

const std::string& Record::string(std::string_view name) const {
  const std::string* found = find_string(name);
  if (found != nullptr) return *found;
  const FieldPath* path = path_of(*this, name);
  if (value_of(*this, name) != nullptr) {
    fail(ErrorKind::data, "{}:{}: the field {} is null; give a string, \"\" where there is none",
         where, line, in_quotes(path == nullptr ? name : path->text));
  }
  if (path != nullptr) {
    fail(ErrorKind::data, "{}:{}: there is no {}, from which {} is to be taken (--fields)", where,
         line, in_quotes(path->text), in_quotes(name));
  }
  fail(ErrorKind::data, "{}:{}: the field {} is missing; give \"\" where there is none", where,
       line, in_quotes(name));
}

const std::string* Record::find_string(std::string_view name) const {
  const nlohmann::json* field = find(name);
  if (field == nullptr) return nullptr;
  if (!field->is_string()) {
    const FieldPath* path = path_of(*this, name);
    fail(ErrorKind::data, "{}:{}: the field {} should be a string, not {}", where, line,
         in_quotes(path == nullptr ? name : path->text), field->type_name());
  }
  return &field->get_ref<const std::string&>();
}

const nlohmann::json* Record::find(std::string_view name) const {
  static const nlohmann::json none = "";
  const nlohmann::json* found = value_of(*this, name);
  if (found == nullptr || !found->is_null()) return found;
  return name == "input" ? &none : nullptr;
}

Record parse_record(std::string text, const std::string& where, std::uint64_t line,
                    std::uint64_t ordinal) {
  refuse_byte_order_mark(text, where, line);
  refuse_plain_text(text, where, line);
  nlohmann::json fields = parse_json(text, where, line, LongIntegers::as_text);
  if (!fields.is_object()) {
    fail(ErrorKind::data, "{}:{}: a record should be a JSON object, not {}", where, line,
         fields.type_name());
  }
  return {line, ordinal, std::move(text), std::move(fields), where, nullptr, false};
}

std::string with_fields(const Record& record, const nlohmann::ordered_json& added,
                        const std::string& where) {
  std::string members;
  bool first = record.fields.empty();
  for (const auto& [name, value] : added.items()) {
    if (record.fields.contains(name)) {
      fail(ErrorKind::data,
           "{}:{}: the record has a field {} already, which the output would overwrite; rename it",
           where, record.line, in_quotes(name));
    }
    members += first ? "" : ", ";
    members += text_of_json(nlohmann::json(name)) + ": " + text_of_json(value);
    first = false;
  }
  // White space before the closing brace stays there.
  const std::size_t brace = record.text.rfind('}');
  const std::size_t end = record.text.find_last_not_of(" \t\r\n", brace - 1) + 1;
  return on_one_line(record.text.substr(0, end) + members + record.text.substr(end));
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
