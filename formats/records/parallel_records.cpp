#include "formats/records/parallel_records.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>

#include "kernels/cpu/process_limits.h"

namespace gist {

std::vector<Record> next_records(const RecordSource& source) {
  constexpr std::size_t most_records = 512;
  constexpr std::size_t most_bytes = std::size_t{1} << 20;
  std::vector<Record> records;
  std::size_t bytes = 0;
  while (records.size() < most_records && bytes < most_bytes) {
    std::optional<Record> record = source.next();
    if (!record) break;
    bytes += record->text.size();
    records.push_back(std::move(*record));
  }
  return records;
}

void for_each_index(std::size_t items, const std::function<void(std::size_t)>& body) {
  // Starting a thread takes as long as the work on fewer items.
  constexpr std::size_t items_of_a_thread = 32;
  const auto usable = static_cast<std::size_t>(cpu::usable_threads());
  const std::size_t threads = std::min(usable, items / items_of_a_thread + 1);
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < items; i = next++) body(i);
  };
  std::vector<std::jthread> others;
  try {
    while (others.size() + 1 < threads) others.emplace_back(work);
  } catch (const std::system_error&) {
    // Where a thread can't be started, the others do its work.
  }
  work();
}

}  // namespace gist
