#include "formats/records/record_source.h"

#include <cstdint>
#include <utility>

#include "kernels/error.h"

namespace gist {

RecordSource source_of(RecordReader& reader) {
  return {reader.name(), [&reader] { return reader.next(); },
          [&reader](Record record) { return reader.parse(std::move(record)); },
          [&reader] { return reader.fraction(); }};
}

RecordSource source_of(RecordTexts texts, std::string name, const FieldMap& map,
                       std::size_t most_bytes) {
  RecordSource source;
  source.name = name;
  source.next = [texts = std::move(texts), most_bytes,
                 ordinal = std::uint64_t{0}]() mutable -> std::optional<Record> {
    std::optional<std::string> text = texts();
    if (!text) return std::nullopt;
    Record record;
    record.ordinal = ordinal++;
    record.line = ordinal;
    record.cut = most_bytes > 0 && text->size() > most_bytes;
    record.text = std::move(*text);
    return record;
  };
  source.parse = [name = std::move(name), &map, most_bytes](Record record) {
    if (record.cut) refuse_length(name, record.line, most_bytes);
    record = parse_record(std::move(record.text), name, record.line, record.ordinal);
    record.map = &map;
    return record;
  };
  return source;
}

bool use_record(const RecordSource& source, Record& record, const RejectRecord& reject,
                const std::function<void(const Record&)>& action) {
  try {
    record = source.parse(record);
    action(record);
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    reject(record, placed(error, source.name, record));
    return false;
  }
}

}  // namespace gist
