#include "cli/report/training_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <set>
#include <string>

#include "cli/report/numbers.h"
#include "cli/report/sample_parts.h"
#include "core/quality/rouge.h"

namespace gist {
namespace {

constexpr std::size_t most_followed_samples = 16;
constexpr std::size_t most_answers = 11;  // of a sample; with its reference, whole rows of boxes

/// Returns the numbers of the answers that are shown.
std::set<std::size_t> chosen(const std::vector<SampleAnswer>& answers, const HeldOutLoss* best) {
  std::set<std::size_t> numbers;
  const auto of_best = std::find_if(answers.begin(), answers.end(), [&](const SampleAnswer& each) {
    return best != nullptr && each.step == best->step;
  });
  if (of_best != answers.end()) {
    numbers.insert(static_cast<std::size_t>(of_best - answers.begin()));
  }
  const std::size_t spaced = std::min(answers.size(), most_answers - numbers.size());
  for (std::size_t i = 0; i < spaced; ++i) {
    numbers.insert(spaced == 1 ? 0 : i * (answers.size() - 1) / (spaced - 1));
  }
  return numbers;
}

Html answer_html(const SampleAnswer& answer, const std::string& reference, bool best,
                 RougeScorer& rouge) {
  std::string note = score_in_words(score_answer(answer.completion, reference, rouge));
  if (!answer.ended) note += fmt::format(", cut after {} tokens", answer.tokens);
  const Html name =
      html("After step {}{}", shown(static_cast<double>(answer.step), Quantity::count),
           Html{best ? ", lowest loss" : ""});
  return sample_answer({name, note, sample_text(answer.completion, reference)});
}

Html sample_html(const TrainingSample& sample, const HeldOutLoss* best, RougeScorer& rouge) {
  Html answers = sample_reference(sample.reference_answer);
  for (const std::size_t i : chosen(sample.answers, best)) {
    const SampleAnswer& each = sample.answers[i];
    answers += answer_html(each, sample.reference_answer,
                           best != nullptr && each.step == best->step, rouge);
  }
  return html(
      "<article class=\"sample\">\n<h3>Record {}</h3>\n{}<dl class=\"answers\">\n{}</dl>\n"
      "</article>\n",
      sample.ordinal + 1, sample_prompt(sample.instruction, sample.input), answers);
}

}  // namespace

Html training_samples(const TrainingMetrics& metrics) {
  const HeldOutLoss* best = lowest(metrics.held_out);
  const std::size_t count = std::min(metrics.samples.size(), most_followed_samples);
  RougeScorer rouge(false);
  Html list;
  std::size_t most = 0;
  for (std::size_t i = 0; i < count; ++i) {
    list += sample_html(metrics.samples[i], best, rouge);
    most = std::max(most, metrics.samples[i].answers.size());
  }
  const std::string some =
      most > most_answers ? fmt::format(" Of {} evaluations, {} at most.", most, most_answers) : "";
  return html(
      "<p class=\"note\">Held-out records, each answered by the model as it stood after a step: "
      "always its most probable token.{} {}</p>\n<div class=\"samples\">\n{}</div>\n",
      some, sample_marks(), list);
}

}  // namespace gist
