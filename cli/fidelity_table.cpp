#include "cli/fidelity_table.h"

#include <fmt/format.h>

#include <cmath>

#include "cli/table.h"

namespace gist {
namespace {

std::string percent(double share) {
  return fmt::format("{:.1f}", 100 * share);
}

/// Rounds up to three digits: a bound that is printed must let through what is at it.
std::string rounded_up(double kl) {
  if (kl == 0) return "0";
  const double unit = std::pow(10, std::floor(std::log10(kl)) - 2);
  return fmt::format("{:.3g}", std::ceil(kl / unit) * unit);
}

}  // namespace

std::string fidelity_table(const FidelityTenths& found, const std::string& system,
                           const std::string& reference) {
  if (found.tenths.empty()) return "";
  Table table{
      {{"KL divergence up to", "records", "same token, %", "same answer, %", "exact match, %"}}};
  std::size_t records = 0;
  for (const FidelityTenth& each : found.tenths) {
    records += each.records;
    table.rows.push_back({fmt::format("{:.3g}", each.max_kl), std::to_string(each.records),
                          percent(each.agreement), percent(each.same), percent(each.exact)});
  }
  std::string text =
      fmt::format("{} against {}, the nearest answers first\n", system, reference) + table.text();
  if (!found.suggested) {
    return text + "no --max-kl is suggested: answers that are alike can't be told by it\n";
  }
  return text + fmt::format(
                    "suggested: --max-kl {} lets {:.1f} % through, {:.1f} % of them with "
                    "the same answer\n",
                    rounded_up(*found.suggested),
                    100.0 * static_cast<double>(found.kept) / static_cast<double>(records),
                    100 * found.kept_same);
}

}  // namespace gist
