#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "cli/report/evaluation_parts.h"
#include "cli/report/page.h"

namespace gist {
namespace {

constexpr std::size_t bar_style = 5;  // of all bars: their labels tell them apart

template <class Value>
double number_or_none(const std::optional<Value>& value) {
  return value ? static_cast<double>(*value) : std::numeric_limits<double>::quiet_NaN();
}

/// A number of each way of caching.
struct WayMeasure {
  const char* heading;
  Quantity quantity;
  bool drawn;  // as bars
  double (*value)(const CostReport&, const CachingCost&);
};

double flops(std::int64_t value) {
  return static_cast<double>(value);
}

constexpr auto measures = std::to_array<WayMeasure>({
    {"Tokens read", Quantity::count, true,
     [](const CostReport&, const CachingCost& way) { return way.read_tokens; }},
    {"FLOPs to read them, visible pairs", Quantity::flops, true,
     [](const CostReport&, const CachingCost& way) { return flops(way.reading_flops().visible); }},
    {"FLOPs to read them, dense attention", Quantity::flops, true,
     [](const CostReport&, const CachingCost& way) { return flops(way.reading_flops().dense); }},
    {"FLOPs for each token after the first", Quantity::flops, false,
     [](const CostReport&, const CachingCost& way) {
       return flops(total(way.flops.decoding).visible /
                    std::max<std::int64_t>(way.flops.decode_steps, 1));
     }},
    {"Time to read them", Quantity::duration, false,
     [](const CostReport&, const CachingCost& way) { return way.times.prefill_seconds(); }},
    {"Time to the first token", Quantity::duration, true,
     [](const CostReport&, const CachingCost& way) { return way.times.first_token_seconds(); }},
    {"Tokens a second after it", Quantity::number, false,
     [](const CostReport&, const CachingCost& way) {
       return number_or_none(way.times.decode_tokens_per_second());
     }},
    {"Peak memory", Quantity::bytes, true,
     [](const CostReport&, const CachingCost& way) {
       return static_cast<double>(way.times.peak_bytes);
     }},
    {"Bytes stored a prompt", Quantity::bytes, true,
     [](const CostReport&, const CachingCost& way) { return way.storage.prompt_bytes; }},
    {"Prompts a GiB", Quantity::number, false,
     [](const CostReport&, const CachingCost& way) {
       return number_or_none(way.storage.prompts_per_gib);
     }},
    {"Prompt tokens a gist token", Quantity::number, false,
     [](const CostReport&, const CachingCost& way) {
       return number_or_none(way.storage.compression_factor);
     }},
    {"FLOPs to store a prompt, visible pairs", Quantity::flops, false,
     [](const CostReport&, const CachingCost& way) { return flops(way.storing_flops().visible); }},
    {"Time to store a prompt", Quantity::duration, false,
     [](const CostReport&, const CachingCost& way) { return way.storing_seconds; }},
    {"Uses until that has paid, by FLOPs", Quantity::count, false,
     [](const CostReport& report, const CachingCost& way) {
       return number_or_none(report.uses_by_flops(way));
     }},
    {"Uses until that has paid, by time", Quantity::count, false,
     [](const CostReport& report, const CachingCost& way) {
       return number_or_none(report.uses_by_time(way));
     }},
});

std::string name_of_way(const CachingCost& way) {
  return way.caching == Caching::none ? "nothing cached"
                                      : std::string(name_of(way.caching)) + " cached";
}

Html bars(const CostReport& report, const WayMeasure& measure, std::size_t index) {
  BarChart chart;
  chart.text = {fmt::format("caching-{}", index), measure.heading,
                "A bar for each way of caching; shorter is better."};
  chart.axis = {with_unit(measure.heading, measure.quantity), measure.quantity, false, true};
  for (const CachingCost& way : report.ways) {
    const double value = measure.value(report, way);
    if (std::isfinite(value)) chart.bars.push_back({{name_of_way(way), bar_style}, value});
  }
  return chart.bars.empty() ? Html{} : draw(chart);
}

Html table_of(const CostReport& report) {
  PageTable table{
      "caching-table",
      fmt::format(
          "Means of {} records; times of {} of them, with answers of {} tokens, measured one "
          "by one on this machine. A way that never pays has no number of uses.",
          report.records, report.timed_records, report.timed_tokens)};
  table.columns = {column_heading("An answer of " + report.model, false)};
  for (const CachingCost& way : report.ways) {
    table.columns.push_back(column_heading(name_of_way(way), true));
  }
  for (const WayMeasure& measure : measures) {
    Html cells = row_heading(html("{}", std::string(measure.heading)));
    for (const CachingCost& way : report.ways) {
      cells += number_cell(number(measure.value(report, way), measure.quantity));
    }
    table.rows.push_back(html("<tr>{}</tr>", cells));
  }
  return table_html(table);
}

}  // namespace

Html caching_costs(const CostReport& report) {
  std::vector<Html> charts;
  for (std::size_t i = 0; i < measures.size(); ++i) {
    if (measures.at(i).drawn) charts.push_back(bars(report, measures.at(i), i));
  }
  return chart_row(charts) + table_of(report);
}

}  // namespace gist
