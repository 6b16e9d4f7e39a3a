#include "cli/parallel_records.h"

namespace gist {

std::vector<Record> next_records(RecordReader& reader) {
  constexpr std::size_t most_records = 512;
  constexpr std::size_t most_bytes = std::size_t{1} << 20;
  std::vector<Record> records;
  std::size_t bytes = 0;
  while (records.size() < most_records && bytes < most_bytes) {
    std::optional<Record> record = reader.next();
    if (!record) break;
    bytes += record->text.size();
    records.push_back(std::move(*record));
  }
  return records;
}

}  // namespace gist
