// Writes pages of made-up evaluations and runs into a directory: for the tests in a browser, and to
// look at.
#include <exception>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

#include "cli/report/evaluation_page.h"
#include "cli/report/page.h"
#include "cli/report/runs_page.h"
#include "cli/report/training_page.h"
#include "gist/evaluation_summary.h"
#include "made_up.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

void write_evaluation(const fs::path& path, const Evaluation& evaluation,
                      const std::optional<CostReport>& cost = std::nullopt) {
  const EvaluationSummary summary = summarise(evaluation, {0.95, 200, 0});
  write_page(path, evaluation_page(evaluation, summary, cost, made_up_provenance()));
}

void write_training(const fs::path& path, std::size_t steps, std::size_t evaluations) {
  const TrainingMetrics metrics = parse_training_metrics(made_up_metrics(steps, evaluations));
  const auto done = static_cast<std::int64_t>(steps);
  write_page(path, training_page(metrics, {"models/gist-k1", done, done, "finished", 1},
                                 made_up_provenance()));
}

void write_pages(const fs::path& directory) {
  write_evaluation(directory / "evaluation.html", made_up_evaluation({400, 3, true, true}),
                   made_up_cost());
  Evaluation small = made_up_evaluation({12, 0, false, false});
  for (RecordResult& result : small.systems[2].records) result.loss = {};  // a gap in a column
  write_evaluation(directory / "small.html", small);
  write_evaluation(directory / "large.html", made_up_evaluation({5000, 300, false, true}));
  write_evaluation(directory / "hostile.html", hostile_evaluation());
  write_training(directory / "training.html", 20000, 20);
  write_training(directory / "short-training.html", 12, 0);
  write_training(directory / "no-training.html", 0, 0);
  write_page(directory / "runs.html",
             runs_page({{"k1", parse_training_metrics(made_up_metrics(2000, 10))},
                        {"k4", parse_training_metrics(made_up_metrics(1500, 10))},
                        {"<b>a rather long name of a run</b>",
                         parse_training_metrics(made_up_metrics(12, 0))}},
                       made_up_provenance()));
}

}  // namespace
}  // namespace gist

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: write_pages DIRECTORY\n";
    return 64;
  }
  try {
    std::filesystem::create_directories(argv[1]);
    gist::write_pages(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
