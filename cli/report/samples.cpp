#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "cli/report/evaluation_parts.h"
#include "cli/report/page.h"
#include "cli/report/sample_parts.h"

namespace gist {
namespace {

constexpr std::size_t most_samples = 80;
constexpr std::size_t most_sampled_groups = 40;

const RecordResult& result_of(const EvaluationView& view, std::size_t system, std::size_t record) {
  return view.evaluation.systems[system].records[record];
}

double rouge(const EvaluationView& view, std::size_t system, std::size_t record) {
  return result_of(view, system, record).scores.rouge.rougeL.f;
}

/// Returns how far the worst answer's ROUGE-L lies below the reference system's; where there is one
/// system alone, below the best there is.
double fall(const EvaluationView& view, std::size_t record) {
  const double best =
      view.systems() > 1 ? rouge(view, view.evaluation.reference_system, record) : 1;
  double worst = 2;
  for (std::size_t i = 0; i < view.systems(); ++i) {
    if (view.systems() == 1 || !view.is_reference(i))
      worst = std::min(worst, rouge(view, i, record));
  }
  return best - worst;
}

/// The records that are shown, and what to say of how they were chosen.
struct Chosen {
  std::vector<std::size_t> records;
  std::string how;
};

std::vector<std::vector<std::size_t>> by_group(const EvaluationView& view) {
  std::vector<std::vector<std::size_t>> groups(
      std::max<std::size_t>(view.evaluation.groups.size(), 1));
  for (std::size_t i = 0; i < view.evaluation.records.size(); ++i) {
    groups[view.evaluation.records[i].group].push_back(i);
  }
  return groups;
}

/// The first of each group, and those that fall most.
Chosen choose(const EvaluationView& view) {
  Chosen chosen;
  const std::size_t all = view.evaluation.records.size();
  if (all <= most_samples) {
    chosen.records.resize(all);
    std::iota(chosen.records.begin(), chosen.records.end(), std::size_t{0});
    chosen.how = "All records.";
    return chosen;
  }
  std::vector<std::vector<std::size_t>> groups = by_group(view);
  const std::size_t shown = std::min(groups.size(), most_sampled_groups);
  const std::size_t each = most_samples / shown;
  const std::size_t first = each / 2, worst = each - first;
  std::set<std::size_t> records;
  for (std::size_t i = 0; i < shown; ++i) {
    std::vector<std::size_t>& group = groups[i];
    const std::size_t begin = std::min(first, group.size());
    records.insert(group.begin(), group.begin() + static_cast<std::ptrdiff_t>(begin));
    group.erase(group.begin(), group.begin() + static_cast<std::ptrdiff_t>(begin));
    std::stable_sort(group.begin(), group.end(),
                     [&](std::size_t a, std::size_t b) { return fall(view, a) > fall(view, b); });
    const std::size_t end = std::min(worst, group.size());
    records.insert(group.begin(), group.begin() + static_cast<std::ptrdiff_t>(end));
  }
  chosen.records.assign(records.begin(), records.end());
  chosen.how = fmt::format(
      "{} of {} records: of {} the first {}, and the {} others whose ROUGE-L {}.",
      chosen.records.size(), all,
      shown < groups.size()
          ? fmt::format("each of the first {} groups (of {})", shown, groups.size())
      : shown > 1 ? std::string("each group")
                  : std::string("them"),
      first, worst,
      view.systems() > 1 ? "falls most against that of " + view.reference_name() : "is lowest");
  return chosen;
}

Html answer(const EvaluationView& view, std::size_t system, std::size_t record) {
  const RecordResult& result = result_of(view, system, record);
  return sample_answer(
      {marker(system) + html("{}", view.name(system)), score_in_words(result.scores),
       sample_text(result.completion, view.evaluation.records[record].reference_answer),
       html(" data-system=\"{}\"", system)});
}

Html sample(const EvaluationView& view, std::size_t index) {
  const EvaluationRecord& record = view.evaluation.records[index];
  const bool grouped = !view.evaluation.groups.empty();
  bool all_exact = true;
  Html answers = sample_reference(record.reference_answer);
  for (std::size_t i = 0; i < view.systems(); ++i) {
    answers += answer(view, i, index);
    all_exact = all_exact && result_of(view, i, index).scores.exact;
  }
  return html(
             "<article class=\"sample\" data-item data-order=\"{}\" data-group=\"{}\" "
             "data-exact=\"{}\" data-fall=\"{:.6f}\" data-length=\"{}\">\n",
             index, record.group, Html{all_exact ? "yes" : "no"}, fall(view, index),
             result_of(view, view.evaluation.reference_system, index).prompt_tokens) +
         html("<h3>Record {}{}</h3>\n{}<dl class=\"answers\">\n{}</dl>\n</article>\n",
              record.ordinal + 1,
              grouped
                  ? html(" <span class=\"group\">{}</span>", view.evaluation.groups[record.group])
                  : Html{},
              sample_prompt(record.instruction, record.input), answers);
}

Html controls(const EvaluationView& view, const Chosen& chosen) {
  std::vector<Control> all;
  std::set<std::size_t> groups;
  for (const std::size_t record : chosen.records) {
    groups.insert(view.evaluation.records[record].group);
  }
  if (groups.size() > 1) {
    Control filter{Control::Kind::filter, "group", view.evaluation.group_by, {{"", "all"}}};
    for (const std::size_t group : groups) {
      filter.choices.push_back({std::to_string(group), view.evaluation.groups[group]});
    }
    all.push_back(std::move(filter));
  }
  all.push_back({Control::Kind::filter,
                 "exact",
                 "Answers",
                 {{"", "all"}, {"no", "not all exact"}, {"yes", "all exact"}}});
  all.push_back(
      {Control::Kind::order,
       "order",
       "Order",
       {{"order", "as in the data"},
        {"-fall", view.systems() > 1 ? "largest fall of ROUGE-L first" : "lowest ROUGE-L first"},
        {"-length", "longest prompt first"},
        {"length", "shortest prompt first"}}});
  all.push_back({Control::Kind::words, "words", "With the words", {}});
  return controls_html("samples-list", all);
}

}  // namespace

Html samples(const EvaluationView& view) {
  const Chosen chosen = choose(view);
  Html list;
  for (const std::size_t record : chosen.records) list += sample(view, record);
  return html(
      "<p class=\"note\">{} {}</p>\n{}<div class=\"samples\" id=\"samples-list\">\n{}</div>\n",
      chosen.how, sample_marks(), controls(view, chosen), list);
}

}  // namespace gist
