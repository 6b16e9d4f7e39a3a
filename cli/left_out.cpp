#include "cli/left_out.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "kernels/error.h"

namespace gist {
namespace {

/// Why a record is left out: the option's name, and what a warning says of such records.
struct Reason {
  const char* option;
  const char* found;
};
constexpr Reason too_long{"max-tokens", "are longer than --max-tokens and"};
constexpr Reason excluded{"exclude", "stand in files of --exclude and are"};

const Reason& reason_of(const LeftOut& record) {
  return record.stands_in ? excluded : too_long;
}

/// "ordinals 3, 17 and 40", or some of them and how many more there are.
std::string ordinals_of(const std::vector<const LeftOut*>& records) {
  constexpr std::size_t most_shown = 8;
  std::string text = records.size() == 1 ? "ordinal" : "ordinals";
  const std::size_t shown = std::min(records.size(), most_shown);
  for (std::size_t i = 0; i < shown; ++i) {
    const bool last = i > 0 && i + 1 == records.size();
    text += fmt::format("{} {}", last ? " and" : i > 0 ? "," : "", records[i]->place.ordinal);
  }
  if (shown == records.size()) return text;
  return text + fmt::format(" and {} more; --left-out FILE lists them", records.size() - shown);
}

}  // namespace

void warn_of_left_out(const std::vector<LeftOut>& left_out, std::uint64_t used,
                      const std::string& data, const std::string& list) {
  for (const Reason* reason : {&too_long, &excluded}) {
    std::vector<const LeftOut*> records;
    for (const LeftOut& record : left_out) {
      if (&reason_of(record) == reason) records.push_back(&record);
    }
    if (records.empty()) continue;
    spdlog::warn("{}: {} of {} records {} left out: {}", data, records.size(),
                 left_out.size() + used, reason->found,
                 list.empty() ? ordinals_of(records) : "they are listed in " + list);
  }
}

std::vector<OptionSpec> left_out_options() {
  return {{"max-tokens", OptionKind::integer, "N", "0",
           "leave longer records out, all tokens counted that the model would read; 0: none"},
          {"left-out", OptionKind::text, "FILE", "", "where records that are left out are listed"}};
}

LeftOutRequest left_out_request(const Options& options) {
  return {options.integer("max-tokens", 0, 1 << 30), output_list_file(options, left_out_list)};
}

LeftOutList::LeftOutList(const LeftOutRequest& request) : max_tokens_(request.max_tokens) {
  if (request.list) list_.emplace(*request.list, left_out_list);
}

void LeftOutList::add(LeftOut record) {
  if (list_) {
    list_->lines().line(to_json_line(record));
    list_->lines().flush();
  }
  records_.push_back(std::move(record));
}

void LeftOutList::warn(std::uint64_t used, const std::string& data) const {
  warn_of_left_out(records_, used, data, list_ ? list_->path() : "");
}

}  // namespace gist
