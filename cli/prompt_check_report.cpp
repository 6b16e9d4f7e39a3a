#include "cli/prompt_check_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/words.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t named_ids = 5;

/// This is the bound that gist evaluate --fidelity suggests for the models of the word tasks
/// (README, Compress): up to it 9 of 10 answers are the same as to the whole prompt. Other models
/// have other bounds.
constexpr double yardstick = 0.13;

using Status = StagedRecord::Status;

std::string line_of(const StagedRecord& record) {
  const Fidelity& found = *record.checked;
  const double kl = found.per_label();
  return text_of_json(nlohmann::ordered_json{
      {"id", record.id},
      {"ordinal", record.ordinal},
      {"kl", std::isfinite(kl) ? nlohmann::ordered_json(kl) : nlohmann::ordered_json()},
      {"tokens", found.labels},
      {"agreement", double{1} * found.agreements / found.labels},
      {"status", record.status == Status::rejected ? "rejected" : "stored"}});
}

}  // namespace

PromptCheckReport::PromptCheckReport(const std::optional<OutputListFile>& file,
                                     std::optional<double> max_kl)
    : max_kl_(max_kl) {
  if (file) list_.emplace(*file, check_report_list);
}

void PromptCheckReport::add(const StagedRecord& record) {
  if (record.status == Status::stored || record.checked) ++prompts_;
  if (!record.checked) return;
  const Fidelity& found = *record.checked;
  ++checked_;
  if (record.status == Status::rejected) ++rejected_;
  all_.divergence += found.divergence;
  all_.labels += found.labels;
  all_.agreements += found.agreements;
  const double kl = found.per_label();
  if (!(kl <= max_kl_.value_or(yardstick))) ++above_;
  const auto better = std::find_if(worst_.begin(), worst_.end(),
                                   [kl](const Found& other) { return other.kl < kl; });
  worst_.insert(better, {record.id, kl});
  if (worst_.size() > named_ids) worst_.pop_back();
  if (list_) list_->lines().line(line_of(record));
}

void PromptCheckReport::flush() {
  if (list_) list_->lines().flush();
}

std::string PromptCheckReport::bound_in_words() const {
  if (max_kl_) return fmt::format("--max-kl {:.4g}", *max_kl_);
  return fmt::format(
      "{:.4g}, the bound for README's word tasks (gist evaluate --fidelity suggests one for a model)",
      yardstick);
}

std::string PromptCheckReport::summary() const {
  if (checked_ == 0) return "";
  std::string worst;
  for (const Found& each : worst_) {
    worst += fmt::format("{}{} ({:.4g})", worst.empty() ? "" : ", ", in_quotes(each.id), each.kl);
  }
  return fmt::format(
      "checked {} of {} prompts{}: KL divergence {:.4g} nats a token, the same first choice at "
      "{:.1f} % of {} tokens; {} of {} above {}; the worst {}: {}",
      checked_, prompts_, rejected_ == 0 ? "" : fmt::format(" ({} rejected)", rejected_),
      all_.per_label(), 100.0 * all_.agreements / all_.labels, all_.labels, above_,
      counted(checked_, "prompt"), bound_in_words(), worst_.size() == 1 ? "prompt" : "prompts",
      worst);
}

}  // namespace gist
