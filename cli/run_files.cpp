#include "cli/run_files.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/output_list.h"
#include "cli/report/page.h"
#include "formats/files/durable.h"
#include "formats/files/output_file.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

constexpr std::array inputs_of_options = {
    "input",     "data",   "eval-data",   "exclude",  "known",      "store",
    "tokenizer", "init",   "model",       "template", "verdicts",   "key",
    "only",      "except", "check-model", "config",   "apply-diff", "teacher-logprobs"};

/// These endings name what is made beside an output, or in it.
constexpr std::array beside_store = {".partial", ".partial-journal", ".gist-lock"};
constexpr std::array beside_completions = {".partial", ".settings.json", ".partial.settings.json",
                                           ".gist-lock"};
constexpr std::array files_in_training = {"metrics.jsonl",    "spikes.jsonl", "left_out.jsonl",
                                          "training.json",    "config.json",  "gist.json",
                                          "model.safetensors"};

/// The longest addition to an output's name: ".partial.settings.json.tmp-" and 16 digits.
constexpr std::size_t longest_addition = 43;

/// A file, and what to call it in messages: "--input a.jsonl".
struct NamedFile {
  std::string name;
  fs::path path;
  std::optional<FileId> id;           // of a file that is there
  std::optional<FileId> directory{};  // of an output: where it stands
};

NamedFile input_file(std::string name, const fs::path& path) {
  return {std::move(name), path, file_id(path)};
}

NamedFile output_file(std::string name, const fs::path& path) {
  return {std::move(name), path, file_id(path), file_id(directory_of(path))};
}

bool is_same(const NamedFile& output, const NamedFile& other) {
  if (output.id && other.id) return output.id == other.id;
  return !output.id && !other.id && output.directory && output.directory == other.directory &&
         output.path.filename() == other.path.filename();
}

/// A model's directory is all its files.
void add_input(std::vector<NamedFile>& inputs, const std::string& name, const fs::path& path) {
  inputs.push_back(input_file(name, path));
  std::error_code ignored;  // what can't be listed can't be read either, which is said later
  for (const auto& entry : fs::directory_iterator(path, ignored)) {
    inputs.push_back(input_file(name, entry.path()));
  }
}

/// Standard input, output and error, where they are files: `name` and the descriptor.
void add_stream(std::vector<NamedFile>& files, const char* name, int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) return;
  files.push_back({name, "", FileId{status.st_dev, status.st_ino}});
}

std::vector<std::string> values_of(const Options& options, std::string_view name) {
  if (!options.knows(name) || !options.has(name)) return {};
  const std::vector<std::string> values = options.list(name);
  return values.empty() ? std::vector{options.text(name)} : values;
}

std::vector<NamedFile> inputs_of(const CommandSpec& command, const Options& options) {
  std::vector<NamedFile> inputs;
  for (const std::string option : inputs_of_options) {
    for (std::string value : values_of(options, option)) {
      if (option == "only" || option == "except") {
        if (!value.starts_with('@')) continue;
        value.erase(0, 1);
      }
      if (value == "-") {
        add_stream(inputs, "standard input", STDIN_FILENO);
      } else {
        add_input(inputs, fmt::format("--{} {}", option, value), value);
      }
    }
  }
  if (command.name != "merge" && command.name != "inspect") return inputs;
  for (const std::string& value : options.positional()) {
    inputs.push_back(input_file("the input " + value, value));
  }
  return inputs;
}

/// An output option, and what the command makes of it.
struct Output {
  std::string option;
  std::string value;
  enum class Kind { store, completions, training, list, page, pairs, predictions } kind;

  std::string name() const { return fmt::format("--{} {}", option, value); }
  bool is_result() const {
    return kind == Kind::store || kind == Kind::completions || kind == Kind::training;
  }
};

std::vector<Output> outputs_of(const CommandSpec& command, const Options& options) {
  using Kind = Output::Kind;
  const Kind result = command.name == "train"      ? Kind::training
                      : command.name == "generate" ? Kind::completions
                                                   : Kind::store;
  std::vector<Output> outputs;
  for (const auto& [option, kind] :
       {std::pair("output", result), std::pair("errors", Kind::list),
        std::pair("left-out", Kind::list), std::pair("check-report", Kind::list),
        std::pair("report", Kind::page), std::pair("win-rate", Kind::pairs),
        std::pair("write-logprobs", Kind::predictions)}) {
    for (const std::string& value : values_of(options, option)) {
      const bool standard_output = kind == Kind::completions && value == "-";
      if (!standard_output) outputs.push_back({option, value, kind});
    }
  }
  return outputs;
}

/// The output and all files that are made with it.
std::vector<NamedFile> files_of(const Output& output) {
  using Kind = Output::Kind;
  std::vector<NamedFile> files{output_file(output.name(), output.value)};
  const auto add_beside = [&](const auto& endings) {
    for (const char* ending : endings) {
      files.push_back(output_file(output.name() + ending, output.value + ending));
    }
  };
  if (output.kind == Kind::store) add_beside(beside_store);
  if (output.kind == Kind::completions) add_beside(beside_completions);
  if (output.kind == Kind::pairs) add_beside(std::array{".key"});
  if (output.kind == Kind::training) {
    for (const char* name : files_in_training) {
      const fs::path path = fs::path(output.value) / name;
      files.push_back(output_file("--output's " + path.string(), path));
    }
  }
  return files;
}

void check_dash(const Output& output) {
  if (output.value != "-") return;
  if (output.kind == Output::Kind::store) {
    fail(ErrorKind::usage,
         "--output -: a store can't be written to standard output or a pipe: name a file");
  }
  fail(ErrorKind::usage, "{}: is no standard output here: name a {}{}", output.name(),
       output.kind == Output::Kind::training ? "directory" : "file",
       output.kind == Output::Kind::list ? "; /dev/stderr is standard error" : "");
}

void check_distinct(const std::vector<NamedFile>& outputs, const std::vector<NamedFile>& others) {
  for (const NamedFile& output : outputs) {
    for (const NamedFile& other : others) {
      if (!is_same(output, other)) continue;
      fail(ErrorKind::usage, "{} is {}, too: it would be overwritten; name another file",
           output.name, other.name);
    }
  }
}

[[noreturn]] void fail_to_stand(const Output& output, const std::string& why) {
  fail(ErrorKind::cannot_create, "{}: {}", output.name(), why);
}

/// The directory in which the output is made. Of train's, and of what is made in it, that is the
/// first that is there: train makes the others.
fs::path place_of(const Output& output, const Options& options) {
  fs::path place = directory_of(output.value);
  const bool in_training =
      options.knows("data") && options.knows("output") && options.has("output") &&
      (place / "").lexically_normal() == (fs::path(options.text("output")) / "").lexically_normal();
  if (output.kind != Output::Kind::training && !in_training) return place;
  while (!is_taken(place) && place.has_parent_path() && place != place.parent_path()) {
    place = directory_of(place);
  }
  return place;
}

void check_place(const Output& output, const Options& options) {
  const fs::path place = place_of(output, options);
  struct stat status {};
  if (::stat(place.c_str(), &status) != 0) {
    fail_to_stand(output, fmt::format("can't be created: {}", write_error_text(errno)));
  }
  if (!S_ISDIR(status.st_mode)) {
    fail_to_stand(output, fmt::format("can't be created: {} is no directory", place.string()));
  }
  const std::size_t length = fs::path(output.value).filename().native().size();
  const long longest = ::pathconf(place.c_str(), _PC_NAME_MAX);
  if (longest > 0 && length + longest_addition > static_cast<std::size_t>(longest)) {
    fail_to_stand(output,
                  fmt::format("its name has {} bytes: at most {} leave room for the names "
                              "of the files that are made beside it",
                              length, static_cast<std::size_t>(longest) - longest_addition));
  }
  if (output.value.size() + longest_addition >= PATH_MAX) {
    fail_to_stand(output,
                  fmt::format("the path has {} bytes: it is too long", output.value.size()));
  }
  if (::access(place.c_str(), W_OK | X_OK) != 0) {
    fail_to_stand(output, fmt::format("can't be created: no file can be made in {}: {}",
                                      place.string(), write_error_text(errno)));
  }
}

/// Refuses what stands under the output's name, as far as its kind can tell without looking into
/// files.
void check_what_is_there(const Output& output) {
  using Kind = Output::Kind;
  struct stat status {};
  if (::stat(output.value.c_str(), &status) != 0) return;
  if (output.kind == Kind::training) {
    if (!S_ISDIR(status.st_mode)) fail_to_stand(output, "it is no directory");
    return;
  }
  if (S_ISDIR(status.st_mode)) fail_to_stand(output, "it is a directory: name a file");
  if (S_ISBLK(status.st_mode) || S_ISSOCK(status.st_mode)) {
    fail_to_stand(output, "it is a disk or a socket: name a file");
  }
  const bool needs_places = output.kind == Kind::store || output.kind == Kind::predictions;
  if (needs_places && is_pipe_or_device(output.value)) {
    fail_to_stand(output,
                  "it is a pipe or a device, to which such a file can't be written: name a file");
  }
}

bool is_flag_set(const Options& options, std::string_view name) {
  return options.knows(name) && options.flag(name);
}

/// Throws where the name is taken by what the output may not replace. Of results a run that is to
/// go on decides itself.
void check_name(const Output& output, const Options& options) {
  using Kind = Output::Kind;
  const fs::path path = output.value;
  if (!is_taken(path) || is_empty_file(path) || is_flag_set(options, "force")) return;
  const bool goes_on = is_flag_set(options, "resume") || is_flag_set(options, "finish");
  const char* const remedy = options.knows("force") ? "name another, or --force to replace it"
                                                    : "name another, or move it";
  if (output.kind == Kind::page) check_page(path);
  if (output.kind == Kind::list) {
    for (const OutputListKind& kind : {errors_list, left_out_list, check_report_list}) {
      if (kind.option == output.option && is_output_list(path, kind)) return;
    }
    fail_to_stand(output, fmt::format("it exists, and gist has not made it for --{}: {}",
                                      output.option, remedy));
  }
  const bool result = output.kind == Kind::store || output.kind == Kind::completions;
  // An unfinished run is told of by the command, which knows what it holds.
  if (result && !goes_on && !is_taken(output.value + ".partial")) {
    fail(ErrorKind::cannot_create, "{} exists: {}", output.value, remedy);
  }
  if (output.kind == Kind::pairs || output.kind == Kind::predictions) {
    fail(ErrorKind::cannot_create, "{} exists: {}", output.value, remedy);
  }
}

void check_output(const Output& output, const Options& options) {
  check_what_is_there(output);
  if (is_descriptor(output.value) || is_pipe_or_device(output.value)) return;
  if (!is_empty_file(output.value)) check_place(output, options);
  check_name(output, options);
}

}  // namespace

void check_files(const CommandSpec& command, const Options& options) {
  std::vector<NamedFile> others = inputs_of(command, options);
  std::vector<NamedFile> streams;
  add_stream(streams, "standard output", STDOUT_FILENO);
  check_distinct(streams, others);
  add_stream(streams, "standard error", STDERR_FILENO);
  others.insert(others.end(), streams.begin(), streams.end());
  for (const Output& output : outputs_of(command, options)) {
    check_dash(output);
    if (output.is_result() && is_flag_set(options, "dry-run")) continue;
    if (!is_descriptor(output.value) && !is_pipe_or_device(output.value)) {
      const std::vector<NamedFile> files = files_of(output);
      check_distinct(files, others);
      others.insert(others.end(), files.begin(), files.end());
    }
    check_output(output, options);
    if (output.kind == Output::Kind::pairs) {
      check_name({output.option, output.value + ".key", output.kind}, options);
    }
  }
}

}  // namespace gist
