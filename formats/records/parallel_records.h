// Records prepared on several threads, and used one after the other: tokenising takes most of the
// time of reading.
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "formats/records/record_source.h"
#include "kernels/error.h"

namespace gist {

/// The next records, not parsed yet: some hundred, or fewer long ones.
std::vector<Record> next_records(const RecordSource& source);

/// Calls body(i) for each i below `items`, once, on as many threads as the process may use and the
/// items feed. `body` may not throw.
void for_each_index(std::size_t items, const std::function<void(std::size_t)>& body);

/// Parses each record that is left and runs `prepare(record)` on it, on several threads at once,
/// then `use(record, what prepare gave)` in the order of the input. An Error(data) of parsing or
/// `prepare` goes to `reject(record, error)` in its turn; other exceptions end the reading there.
template <typename Reject, typename Prepare, typename Use>
void for_each_record(const RecordSource& source, const Reject& reject, const Prepare& prepare,
                     const Use& use) {
  struct Prepared {
    std::optional<std::invoke_result_t<Prepare, const Record&>> result;
    std::optional<Error> refused;
    std::exception_ptr failed;
  };
  for (;;) {
    std::vector<Record> records = next_records(source);
    if (records.empty()) return;
    std::vector<Prepared> prepared(records.size());
    for_each_index(records.size(), [&](std::size_t i) {
      Prepared& each = prepared[i];
      try {
        records[i] = source.parse(records[i]);
        each.result.emplace(prepare(std::as_const(records[i])));
      } catch (const Error& error) {
        each.refused.emplace(error);
        if (error.kind() != ErrorKind::data) each.failed = std::current_exception();
      } catch (...) {
        each.failed = std::current_exception();
      }
    });
    for (std::size_t i = 0; i < records.size(); ++i) {
      Prepared& each = prepared[i];
      if (each.failed) std::rethrow_exception(each.failed);
      if (each.refused) {
        reject(records[i], placed(*each.refused, source.name, records[i]));
      } else {
        use(std::as_const(records[i]), std::move(*each.result));
      }
    }
  }
}

}  // namespace gist
