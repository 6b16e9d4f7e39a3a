#include "cli/evaluation_cost_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cli/table.h"
#include "cli/words.h"

namespace gist {
namespace {

using Json = nlohmann::ordered_json;

double giga(std::int64_t flops) {
  return static_cast<double>(flops) * 1e-9;
}

Json by_op(const FlopsByOp& flops, std::int64_t records) {
  Json json = Json::object();
  for (const auto& [name, each] : flops) {
    json[name] = {{"visible", each.visible / records}, {"dense", each.dense / records}};
  }
  return json;
}

template <typename Value>
Json json_or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json();
}

template <typename Value>
std::string or_dash(const std::optional<Value>& value, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

}  // namespace

Json to_json(const CostReport& report) {
  Json json{{"model", report.model},
            {"records", report.records},
            {"timed_records", report.timed_records},
            {"timed_tokens", report.timed_tokens},
            {"ways", Json::array()}};
  for (const CachingCost& way : report.ways) {
    const Flops reading = way.reading_flops(), storing = way.storing_flops();
    json["ways"].push_back(
        {{"cached", name_of(way.caching)},
         {"tokens_read", way.read_tokens},
         {"reading_flops", {{"visible", reading.visible}, {"dense", reading.dense}}},
         {"reading_flops_by_op", by_op(way.flops.reading, way.records)},
         {"decoding_flops",
          total(way.flops.decoding).visible / std::max<std::int64_t>(way.flops.decode_steps, 1)},
         {"storing_flops", {{"visible", storing.visible}, {"dense", storing.dense}}},
         {"prompt_bytes", way.storage.prompt_bytes},
         {"prompts_per_gib", json_or_null(way.storage.prompts_per_gib)},
         {"compression_factor", json_or_null(way.storage.compression_factor)},
         {"storing_seconds", way.storing_seconds},
         {"prefill_seconds", way.times.prefill_seconds()},
         {"first_token_seconds", way.times.first_token_seconds()},
         {"decode_tokens_per_second", json_or_null(way.times.decode_tokens_per_second())},
         {"peak_bytes", way.times.peak_bytes},
         {"uses_until_paid",
          {{"by_flops", json_or_null(report.uses_by_flops(way))},
           {"by_time", json_or_null(report.uses_by_time(way))}}}});
  }
  return json;
}

std::string cost_table(const CostReport& report) {
  Table table{{{"cost of an answer"}}};
  for (const CachingCost& way : report.ways) {
    table.rows[0].push_back(way.caching == Caching::none
                                ? "nothing cached"
                                : fmt::format("{} cached", name_of(way.caching)));
  }
  const auto add = [&](const char* name, auto value) {
    std::vector<std::string> row{name};
    for (const CachingCost& way : report.ways) row.push_back(value(way));
    table.rows.push_back(std::move(row));
  };
  add("tokens read", [](const auto& way) { return fmt::format("{:.1f}", way.read_tokens); });
  add("GFLOPs, visible pairs",
      [](const auto& way) { return fmt::format("{:.4g}", giga(way.reading_flops().visible)); });
  add("GFLOPs, dense",
      [](const auto& way) { return fmt::format("{:.4g}", giga(way.reading_flops().dense)); });
  add("first token, ms",
      [](const auto& way) { return fmt::format("{:.3g}", 1e3 * way.times.first_token_seconds()); });
  add("then tokens/s",
      [](const auto& way) { return or_dash(way.times.decode_tokens_per_second(), "{:.0f}"); });
  add("peak memory, MiB", [](const auto& way) {
    return fmt::format("{:.1f}", static_cast<double>(way.times.peak_bytes) / (1 << 20));
  });
  add("bytes a prompt",
      [](const auto& way) { return fmt::format("{:.0f}", way.storage.prompt_bytes); });
  add("prompts a GiB",
      [](const auto& way) { return or_dash(way.storage.prompts_per_gib, "{:.0f}"); });
  add("prompt tokens a gist token",
      [](const auto& way) { return or_dash(way.storage.compression_factor, "{:.1f}"); });
  add("pays after uses, FLOPs",
      [&](const auto& way) { return or_dash(report.uses_by_flops(way), "{}"); });
  add("pays after uses, time",
      [&](const auto& way) { return or_dash(report.uses_by_time(way), "{}"); });
  return table.text() +
         fmt::format("{}; means of {};\ntimes of {}, one by one, answers of {}\n", report.model,
                     counted(static_cast<std::uint64_t>(report.records), "record"),
                     report.timed_records,
                     counted(static_cast<std::uint64_t>(report.timed_tokens), "token"));
}

}  // namespace gist
