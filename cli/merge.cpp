// gist merge: one store from several, or from a part of one.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/line_writer.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/store_options.h"
#include "cli/words.h"
#include "formats/files/json_text.h"
#include "formats/files/output_lock.h"
#include "formats/files/text.h"
#include "formats/records/line_reader.h"
#include "formats/store/gist_store.h"
#include "formats/store/merge.h"
#include "gist/stopwatch.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;
using Ids = std::set<std::string, std::less<>>;

/// The ids that an option names: each value is an id, or @FILE with one a line.
Ids ids_of(const Options& options, std::string_view option) {
  Ids ids;
  for (const std::string& value : options.list(option)) {
    if (!value.starts_with('@')) {
      ids.insert(value);
      continue;
    }
    LineReader lines(value.substr(1));
    while (std::optional<std::string> line = lines.next()) {
      if (!line->empty()) ids.insert(std::move(*line));
    }
  }
  return ids;
}

/// A misspelt id would otherwise keep, or leave out, nothing without a word.
void check_known(const Ids& ids, std::string_view option, const std::vector<fs::path>& inputs,
                 const StoreReading& reading) {
  Ids unknown = ids;
  for (const fs::path& input : inputs) {
    if (unknown.empty()) return;
    const GistStore store(input, reading);
    std::erase_if(unknown, [&store](const std::string& id) { return store.find(id).has_value(); });
  }
  if (unknown.empty()) return;
  fail(ErrorKind::data, "--{}: the id {} stands in no input{}", option, in_quotes(*unknown.begin()),
       unknown.size() == 1 ? "" : fmt::format(", nor {} more", unknown.size() - 1));
}

/// "490 rows merged, 10 duplicates, 3 left out"; what there is none of is not named, but for the
/// first.
std::string in_words(const MergeResult& result) {
  std::string text = counted(result.rows, "row") + " merged";
  if (result.duplicates > 0) text += ", " + counted(result.duplicates, "duplicate");
  if (result.left_out > 0) text += fmt::format(", {} left out", result.left_out);
  return text;
}

int run_merge(const Options& options) {
  const fs::path output = options.text("output");
  const std::vector<fs::path> inputs(options.positional().begin(), options.positional().end());
  if (inputs.empty()) fail(ErrorKind::usage, "gist merge needs at least one input store");
  const OutputLock lock = OutputLock::of_file(output);

  const bool choose = options.has("only");
  const Ids only = ids_of(options, "only");
  const Ids except = ids_of(options, "except");
  const std::string what =
      fmt::format("merging {} into {}", counted(inputs.size(), "store"), output.string());
  spdlog::debug("{}", what);
  const Stopwatch watch;
  std::optional<RowsProgress> progress(what);
  MergeOptions merging;
  merging.reading = store_reading(options);
  check_known(only, "only", inputs, merging.reading);
  check_known(except, "except", inputs, merging.reading);
  const Signals signals;  // they end the run at once
  merging.keep = [&](const std::string& id) {
    return (!choose || only.contains(id)) && !except.contains(id);
  };
  merging.existing = options.flag("force") ? Existing::replace : Existing::refuse;
  merging.rows_done = [&progress](std::uint64_t done, std::uint64_t all) {
    progress->update(done, all);
  };
  const MergeResult result = merge_stores(inputs, output, merging);
  progress.reset();

  const nlohmann::ordered_json line{{"output", output.string()},
                                    {"rows", result.rows},
                                    {"duplicates", result.duplicates},
                                    {"left_out", result.left_out}};
  LineWriter out = standard_output();
  out.line(text_of_json(line));
  out.flush();
  spdlog::debug("{} in {}; {}", in_words(result), duration_in_words(watch.seconds()),
                output.string());
  return exit_ok;
}

}  // namespace

Command merge_command() {
  return {
      {"merge",
       "--output STORE [OPTION ...] IN ...",
       "make one gist store from others, or from some of their rows",
       "IN",
       {{"output", OptionKind::text, "STORE", "",
         "the new store: shards of one input come back in input order, other stores in argument "
         "order, identical rows once"},
        {"only", OptionKind::list, "ID", "",
         "keep this row; @FILE: those whose ids stand in FILE, one a line (@-: standard input); "
         "repeatable"},
        {"except", OptionKind::list, "ID", "",
         "leave this row out, even if --only names it; @FILE as for --only; repeatable"},
        {"force", OptionKind::flag, "", "", "replace STORE if it exists"},
        trust_store_option()},
       "",
       "  gist merge --output all.h5 gists.h5 new.h5\n"},
      run_merge};
}

}  // namespace gist
