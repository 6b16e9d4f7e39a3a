#include "gist/prompt_source.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "formats/files/json_text.h"
#include "formats/files/text.h"

namespace gist {
namespace {

void require_utf8(const std::string& text, const char* field, const Record& record) {
  if (valid_utf8(text)) return;
  fail(ErrorKind::data, "{}:{}: the field \"{}\" is not valid UTF-8", record.where, record.line,
       field);
}

/// A record whose fields are there already. They are checked as a line's are when it is parsed.
Record checked(Record record) {
  for (const char* field : {"id", "instruction"}) {
    if (const std::string* text = record.find_string(field)) require_utf8(*text, field, record);
  }
  record.text = text_of_json(record.fields);
  return record;
}

}  // namespace

RecordSource source_of(std::function<std::optional<PromptText>()> next, std::string name) {
  RecordSource source;
  source.name = name;
  source.next = [next = std::move(next), where = std::move(name),
                 ordinal = std::uint64_t{0}]() mutable -> std::optional<Record> {
    std::optional<PromptText> prompt = next();
    if (!prompt) return std::nullopt;
    Record record;
    record.ordinal = ordinal++;
    record.line = ordinal;
    record.where = where;
    record.fields = nlohmann::json::object();
    record.fields["instruction"] = std::move(prompt->instruction);
    if (!prompt->id.empty()) record.fields["id"] = std::move(prompt->id);
    return record;
  };
  source.parse = checked;
  return source;
}

RecordSource source_of(std::span<const PromptText> prompts, std::string name) {
  const auto given = std::make_shared<std::size_t>(0);
  RecordSource source = source_of(
      [prompts, given]() -> std::optional<PromptText> {
        if (*given == prompts.size()) return std::nullopt;
        return prompts[(*given)++];
      },
      std::move(name));
  source.fraction = [prompts, given]() -> std::optional<double> {
    if (prompts.empty()) return 1.0;
    return static_cast<double>(*given) / static_cast<double>(prompts.size());
  };
  return source;
}

}  // namespace gist
