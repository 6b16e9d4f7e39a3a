#include "gist/train_checkpoint.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "formats/files/atomic_directory.h"
#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/sha256.h"
#include "formats/files/text.h"
#include "formats/model/adapter_directory.h"
#include "formats/model/checksums.h"
#include "formats/model/fingerprint.h"
#include "gist/run_settings.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;
using Kind = Parameters::Kind;

constexpr const char* state_name = "training.json";
constexpr const char* state_format = "gist-training";
constexpr const char* state_version = "1.1";  // 1.0 had no checksum
constexpr const char* state_major = "1.";
constexpr const char* checksum_key = "sha256";
constexpr const char* optimiser_name = "optimizer.safetensors";
constexpr const char* first_prefix = "first_moment.";
constexpr const char* second_prefix = "second_moment.";
constexpr std::string_view checkpoint_prefix = "checkpoint-";
constexpr std::string_view best_prefix = "best-";

/// The weights as the checkpoint has them, each read from the device when it is written.
std::vector<NamedTensor> weights_of(const Parameters& parameters) {
  std::vector<NamedTensor> tensors;
  for (const Parameter& parameter : parameters.list()) {
    const Tensor tensor = parameters.of(Kind::value, parameter);
    const bool transposed = parameter.stored_transposed;
    tensors.push_back({parameter.name,
                       {nullptr, Dtype::f32, stored_shape(parameter.shape, transposed)},
                       [&parameters, tensor, transposed](std::span<std::byte> values) {
                         if (!transposed) {
                           parameters.backend().download(tensor, values.data());
                           return;
                         }
                         std::vector<std::byte> own(values.size());
                         parameters.backend().download(tensor, own.data());
                         transpose(own.data(), tensor.shape, sizeof(float), values.data());
                       }});
  }
  return tensors;
}

/// A moment's tensors, in the shapes that the model has them in.
void add_moments(const Parameters& parameters, Kind kind, const std::string& prefix,
                 std::vector<NamedTensor>& tensors) {
  for (const Parameter& parameter : parameters.list()) {
    const Tensor tensor = parameters.of(kind, parameter);
    tensors.push_back({prefix + parameter.name,
                       {nullptr, Dtype::f32, parameter.shape},
                       [&parameters, tensor](std::span<std::byte> values) {
                         parameters.backend().download(tensor, values.data());
                       }});
  }
}

void load_moments(Parameters& parameters, Kind kind, const std::string& prefix,
                  const TensorFile& file) {
  for (const Parameter& parameter : parameters.list()) {
    const Tensor tensor = parameters.of(kind, parameter);
    const auto found = file.tensors.find(prefix + parameter.name);
    if (found == file.tensors.end() || found->second.dtype != "F32" ||
        found->second.bytes != tensor.bytes()) {
      fail(ErrorKind::data, "{}: expected a tensor {} of shape {}, which this model has",
           file.file.path().string(), in_quotes(prefix + parameter.name),
           to_string(parameter.shape));
    }
    parameters.backend().upload(tensor, found->second.data);
  }
}

struct NumberedDirectory {
  std::int64_t number = 0;
  fs::path path;
};

/// Directories PREFIXnumber in `parent`, in the order of their numbers.
std::vector<NumberedDirectory> numbered(const fs::path& parent, std::string_view prefix) {
  std::vector<NumberedDirectory> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    NumberedDirectory each;
    const char* end = name.data() + name.size();
    const auto [stop, failed] = std::from_chars(name.data() + prefix.size(), end, each.number);
    if (failed != std::errc() || stop != end || each.number < 0) continue;
    each.path = entry.path();
    found.push_back(std::move(each));
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  return found;
}

/// Removes a directory; one that can't be removed is no reason to stop a run.
void remove_or_warn(const fs::path& directory, const RunEvents& events) {
  std::error_code error;
  fs::remove_all(directory, error);
  if (!error) return;
  events.tell(LogLevel::warning,
              fmt::format("{} can't be removed: {}", directory.string(), error.message()));
}

template <typename T>
T member(const nlohmann::json& content, const char* name, const std::string& where) {
  try {
    return content.at(name).get<T>();
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::data, "{}: \"{}\" is missing or of another type", where, name);
  }
}

/// The checksum of all other members, in the order of their names.
std::string checksum_of(nlohmann::json content) {
  content.erase(checksum_key);
  return to_hex(sha256(text_of_json(content)));
}

void check_checksum(const nlohmann::json& content, const std::string& where) {
  if (content.value(checksum_key, nlohmann::json()) == checksum_of(content)) return;
  fail(ErrorKind::data, "{}: is not what was written: its \"{}\" is another; it is damaged", where,
       checksum_key);
}

}  // namespace

void check_same_run(const RunState& checkpoint, const RunState& run, const std::string& where) {
  const std::string difference = settings_difference(checkpoint.settings, run.settings);
  if (!difference.empty()) {
    fail(ErrorKind::usage,
         "{} was made {}: resume with the same settings, or start anew in another directory "
         "(--output)",
         where, difference);
  }
  if (checkpoint.base_sha256 != run.base_sha256) {
    fail(ErrorKind::data, "{} began with another model: resume with that one", where);
  }
  if (checkpoint.data_sha256 != run.data_sha256) {
    fail(ErrorKind::data,
         "{} was made from other records: resume with the same data, fields, limit of tokens and "
         "excluded records (--data, --fields, --max-tokens, --exclude)",
         where);
  }
}

std::optional<RunState> read_run_state(const fs::path& directory) {
  const fs::path path = directory / state_name;
  if (!may_exist(path)) return std::nullopt;
  const std::string where = path.string();
  const nlohmann::json content = read_json_object(path);
  const auto format = member<std::string>(content, "format", where);
  if (format != state_format) {
    fail(ErrorKind::data, "{}: \"format\" should be \"{}\", found {}", where, state_format,
         in_quotes(format));
  }
  const auto version = member<std::string>(content, "version", where);
  if (!version.starts_with(state_major)) {
    fail(ErrorKind::data,
         "{}: version {} is not one that this gist reads ({}x): resume with the gist that wrote it",
         where, in_quotes(version), state_major);
  }
  if (version != "1.0" || content.contains(checksum_key)) check_checksum(content, where);
  RunState state;
  state.step = member<std::int64_t>(content, "step", where);
  state.settings = member<nlohmann::json>(content, "settings", where);
  state.data_sha256 = member<std::string>(content, "data_sha256", where);
  state.base_sha256 = member<std::string>(content, "base_sha256", where);
  if (content.contains("best")) {
    const auto best = member<nlohmann::json>(content, "best", where);
    state.best = {member<std::int64_t>(best, "step", where), member<double>(best, "loss", where)};
  }
  return state;
}

std::optional<RunState> read_finished_run(const fs::path& output) {
  try {
    return read_run_state(output);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    throw Error(
        error.kind(),
        fmt::format("{}; remove {}, and a resumed run (--resume) makes again what follows the last "
                    "checkpoint",
                    error.what(), (output / state_name).string()));
  }
}

void write_run_state(const fs::path& directory, const RunState& state) {
  nlohmann::ordered_json content{{"format", state_format},
                                 {"version", state_version},
                                 {"step", state.step},
                                 {"settings", state.settings},
                                 {"data_sha256", state.data_sha256},
                                 {"base_sha256", state.base_sha256}};
  if (state.best) content["best"] = {{"step", state.best->step}, {"loss", state.best->loss}};
  content[checksum_key] = checksum_of(content);
  write_file_atomically(directory / state_name, text_of_json(content, 2) + "\n");
}

std::vector<std::string> write_model(const fs::path& directory, const Parameters& parameters,
                                     const BaseModel& base, const TrainTask& task,
                                     const fs::path& same_weights) {
  GistSettings settings{task.gisting.condition, task.gisting.gist_tokens,
                        task.gisting.prompt_template, base.ignored_tensors, task.least_gist_tokens};
  if (base.gist_ids.distinct()) settings.distinct_ids = base.gist_ids;
  if (base.adapter) {
    AdapterContent content;
    content.spec = *base.adapter;
    content.base_path = base.directory.string();
    content.base_sha256 = model_sha256(*base.checkpoint);
    content.encoder_decoder = base.config.value("is_encoder_decoder", false);
    content.tensors = weights_of(parameters);
    content.settings = std::move(settings);
    content.tokenizer = base.tokenizer_path;
    return write_adapter_directory(directory, content);
  }
  ModelContent content;
  content.config = base.config;
  content.config["torch_dtype"] = "float32";
  content.tensors = weights_of(parameters);
  content.settings = std::move(settings);
  content.tokenizer = base.tokenizer_path;
  content.gist_tokens = task.gist_ids();
  content.source = base.directory;
  content.same_weights = same_weights;
  return write_model_directory(directory, content);
}

void save_checkpoint(const Parameters& parameters, const BaseModel& base, const TrainTask& task,
                     const RunState& state, const fs::path& same_weights) {
  AtomicDirectory directory(task.output / fmt::format("{}{}", checkpoint_prefix, state.step),
                            Existing::replace);
  std::ignore =
      write_model(directory.path(), parameters, base, task, same_weights);  // publishing tells
  std::vector<NamedTensor> moments;
  add_moments(parameters, Kind::first_moment, first_prefix, moments);
  add_moments(parameters, Kind::second_moment, second_prefix, moments);
  write_safetensors_file(directory.path() / optimiser_name, moments);
  write_run_state(directory.path(), state);
  write_checksums(directory.path());
  directory.commit();
}

void remove_old_checkpoints(const TrainTask& task, const RunEvents& events) {
  const std::vector<NumberedDirectory> found = numbered(task.output, checkpoint_prefix);
  for (std::int64_t i = 0; i < std::ssize(found) - task.keep; ++i) {
    remove_or_warn(found[static_cast<std::size_t>(i)].path, events);
  }
}

std::optional<fs::path> last_checkpoint(const fs::path& output) {
  const std::vector<NumberedDirectory> found = numbered(output, checkpoint_prefix);
  if (found.empty()) return std::nullopt;
  return found.back().path;
}

RunState read_last_checkpoint(const fs::path& output, const RunEvents& events) {
  const std::vector<NumberedDirectory> found = numbered(output, checkpoint_prefix);
  const fs::path& last = found.back().path;
  try {
    if (has_checksums(last)) {
      verify_checksums(last);
    } else {
      events.tell(
          LogLevel::warning,
          fmt::format("{} has no {}: an older gist wrote it, and damage to it would not be seen",
                      last.string(), checksums_name));
    }
    if (std::optional<RunState> state = read_run_state(last)) return *state;
    fail(ErrorKind::data, "{} is no checkpoint of a run: it has no {}", last.string(), state_name);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    const std::string rest =
        found.size() == 1
            ? "there is no older checkpoint: start anew in another directory (--output)"
            : fmt::format("remove {}, and a resumed run (--resume) goes on from {}", last.string(),
                          found[found.size() - 2].path.string());
    throw Error(error.kind(), fmt::format("{}; {}", error.what(), rest));
  }
}

void load_checkpoint(Parameters& parameters, const fs::path& checkpoint) {
  if (has_adapter(checkpoint)) {
    const AdapterFiles weights(checkpoint);
    load(parameters, weights.source());
  } else {
    const Checkpoint weights(checkpoint);
    load(parameters, weights.source());
  }
  const TensorFile moments = read_safetensors(checkpoint / optimiser_name);
  load_moments(parameters, Kind::first_moment, first_prefix, moments);
  load_moments(parameters, Kind::second_moment, second_prefix, moments);
}

fs::path save_best(const Parameters& parameters, const BaseModel& base, const TrainTask& task,
                   std::int64_t step, const RunEvents& events) {
  fs::path path = task.output / fmt::format("{}{}", best_prefix, step);
  AtomicDirectory directory(path, Existing::replace);
  std::ignore = write_model(directory.path(), parameters, base, task, "");  // publishing tells
  directory.commit();
  for (const NumberedDirectory& best : numbered(task.output, best_prefix)) {
    if (best.number != step) remove_or_warn(best.path, events);
  }
  return path;
}

}  // namespace gist
