#include "cli/training_comparison.h"

#include <filesystem>
#include <set>
#include <string>
#include <utility>

#include "cli/report/page.h"
#include "cli/report/runs_page.h"
#include "formats/files/file_io.h"
#include "gist/train_log.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// The last part of a path that has one.
std::string short_name(const std::string& path) {
  std::filesystem::path directory = std::filesystem::path(path).lexically_normal();
  if (!directory.has_filename()) directory = directory.parent_path();
  return directory.filename().string();
}

/// The directories' own names, or their paths where two are alike.
std::vector<std::string> names_of(const std::vector<std::string>& directories) {
  std::vector<std::string> names;
  names.reserve(directories.size());
  for (const std::string& each : directories) names.push_back(short_name(each));
  const std::set<std::string> different(names.begin(), names.end());
  return different.size() == names.size() ? names : directories;
}

}  // namespace

std::vector<OptionSpec> training_comparison_options() {
  return {{"training", OptionKind::list, "DIR", "",
           "in place of --data: what gist train wrote into these directories, side by side in the "
           "page of --report"}};
}

void compare_training(const Options& options) {
  if (!options.has("report")) {
    fail(ErrorKind::usage, "--training draws runs into a page: it needs --report FILE");
  }
  if (options.has("data") || !options.list("model").empty()) {
    fail(ErrorKind::usage, "--training stands alone: without --data and --model");
  }
  const std::vector<std::string> directories = options.list("training");
  const std::vector<std::string> names = names_of(directories);
  Provenance provenance = provenance_of("evaluate", options);
  std::vector<NamedMetrics> runs;
  for (std::size_t i = 0; i < directories.size(); ++i) {
    const std::filesystem::path path = std::filesystem::path(directories[i]) / metrics_name;
    NamedMetrics run{names[i], parse_training_metrics(read_file(path))};
    if (run.metrics.steps.empty()) {
      fail(ErrorKind::data, "{}: there is no step of a training run", path.string());
    }
    provenance.files.push_back(
        {directories[i], fmt::format("{} steps", run.metrics.steps.back().step)});
    runs.push_back(std::move(run));
  }
  write_page(options.text("report"), runs_page(runs, provenance));
}

}  // namespace gist
