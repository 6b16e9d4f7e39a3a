#include "formats/model/model_kind.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "formats/files/file_io.h"
#include "formats/files/text.h"
#include "formats/gguf/gguf_file.h"
#include "formats/model/adapter_directory.h"
#include "formats/model/checkpoint.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

constexpr const char* wanted =
    "gist reads Hugging Face directories: config.json, weights (*.safetensors or "
    "pytorch_model*.bin), and a vocabulary "
    "(tokenizer.model, spiece.model or tokenizer.json); and GGUF files";

/// "organisation/name", as models are named on hubs.
bool looks_like_hub_id(const std::string& text) {
  constexpr std::string_view allowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./";
  const auto slashes = std::count(text.begin(), text.end(), '/');
  return slashes == 1 && text.front() != '/' && text.back() != '/' && text.front() != '.' &&
         text.find_first_not_of(allowed) == std::string::npos;
}

std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The first name that ends so; "" where there is none.
std::string ending_with(const std::vector<std::string>& names, std::string_view ending) {
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](const std::string& name) { return name.ends_with(ending); });
  return found == names.end() ? "" : *found;
}

constexpr std::string_view gguf_ending = ".gguf";

/// The names of GGUF files in a directory that has no weights of another kind.
std::vector<std::string> gguf_files_in(const fs::path& directory) {
  std::vector<std::string> names;
  if (has_weights(directory)) return names;
  for (std::string& name : names_in(directory)) {
    if (name.ends_with(gguf_ending)) names.push_back(std::move(name));
  }
  return names;
}

void refuse_several(const fs::path& directory, const std::vector<std::string>& gguf_files) {
  if (gguf_files.size() < 2) return;
  fail(ErrorKind::data, "{}: holds {} GGUF files ({}): give one of them", directory.string(),
       gguf_files.size(), first_few(gguf_files));
}

bool has(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

[[noreturn]] void fail_missing(const fs::path& path) {
  if (looks_like_hub_id(path.string())) {
    fail(
        ErrorKind::no_input,
        "{}: there is no such directory. It looks like a model's name on the Hugging Face Hub, from "
        "which gist downloads nothing: fetch it by \"hf download {} --local-dir DIR\", and give DIR",
        path.string(), path.string());
  }
  fail(ErrorKind::no_input, "{}: there is no such directory; {}", path.string(), wanted);
}

[[noreturn]] void fail_as_file(const fs::path& path) {
  std::string head(64, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<std::size_t>(file.gcount()));
  refuse_git_lfs_pointer(head, path);
  const bool is_part = path.extension() == ".safetensors" || path.extension() == ".bin" ||
                       path.filename() == "config.json";
  fail(ErrorKind::data, "{}: is a file, not a model's directory: {}; {}", path.string(),
       is_part ? "give the directory that it stands in" : "give a directory", wanted);
}

[[noreturn]] void fail_without_config(const fs::path& directory) {
  const std::vector<std::string> names = names_in(directory);
  const std::string where = directory.string();
  if (has(names, "snapshots") && has(names, "refs")) {
    fail(
        ErrorKind::no_input,
        "{}: is an entry of the hub's cache: give the directory of a revision in it, {}/snapshots/*",
        where, where);
  }
  if (has(names, "params.json") || !ending_with(names, ".pth").empty()) {
    fail(
        ErrorKind::data,
        "{}: holds a model in its publisher's own format (params.json, *.pth), which gist can't use: "
        "take the same model in Hugging Face's format; {}",
        where, wanted);
  }
  if (has(names, "model_index.json")) {
    fail(ErrorKind::data, "{}: is a pipeline of several models (model_index.json): {}", where,
         wanted);
  }
  fail(ErrorKind::no_input, "{}: has no config.json; {}", where, wanted);
}

void refuse_adapter(const fs::path& directory) {
  if (!has_adapter(directory) || has_weights(directory)) return;
  const bool ours = may_exist(directory / "gist.json");
  fail(ErrorKind::data, "{}: is an adapter (adapter_config.json), not a whole model: {}",
       directory.string(),
       ours ? "give the model that it was trained for (--model), and this beside it (--adapter)"
            : "merge it into its base model (in Python, PEFT's merge_and_unload, then "
              "save_pretrained), and give the merged model's directory");
}

}  // namespace

std::optional<fs::path> gguf_file_of(const fs::path& path) {
  std::error_code error;  // then opening says why
  const fs::file_status status = fs::status(path, error);
  if (fs::is_regular_file(status)) return is_gguf_file(path) ? std::optional(path) : std::nullopt;
  if (!fs::is_directory(status)) return std::nullopt;
  const std::vector<std::string> files = gguf_files_in(path);
  return files.size() == 1 ? std::optional(path / files.front()) : std::nullopt;
}

void require_model_directory(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) fail_missing(path);
  if (error) fail(ErrorKind::no_input, "{}: {}", path.string(), error.message());
  if (gguf_file_of(path)) return;
  if (!fs::is_directory(status)) fail_as_file(path);
  refuse_several(path, gguf_files_in(path));
  refuse_adapter(path);
  if (!may_exist(path / "config.json")) fail_without_config(path);
}

void refuse_quantised(const nlohmann::json& config, const std::string& where) {
  const nlohmann::json quantisation = config.value("quantization_config", nlohmann::json());
  if (quantisation.is_null()) return;
  const nlohmann::json method = quantisation.is_object()
                                    ? quantisation.value("quant_method", nlohmann::json())
                                    : nlohmann::json();
  fail(
      ErrorKind::data,
      "{}: \"quantization_config\": the weights are quantised{}, which gist can't use yet: take the "
      "model that was quantised, with weights in F32, BF16 or F16",
      where, method.is_string() ? " (" + method.get<std::string>() + ")" : "");
}

void fail_without_weights(const fs::path& directory) {
  const std::vector<std::string> names = names_in(directory);
  refuse_several(directory, gguf_files_in(directory));
  constexpr std::array<std::string_view, 3> endings = {".pth", ".h5", ".msgpack"};
  std::string other;
  for (const std::string_view ending : endings) {
    if (other.empty()) other = ending_with(names, ending);
  }
  if (!other.empty()) {
    fail(ErrorKind::no_input,
         "{}: neither {} nor {} is there, but {}, which gist can't use: load the model with "
         "transformers and save it by save_pretrained, which writes safetensors",
         directory.string(), weights_file_name, weights_index_name, other);
  }
  for (const std::string_view ending : {".safetensors", ".bin"}) {
    if (const std::string shard = ending_with(names, ending); !shard.empty()) {
      const char* whole = ending == ".bin" ? "pytorch_model.bin" : weights_file_name;
      fail(
          ErrorKind::no_input,
          "{}: neither {} nor {}.index.json is there, though {} is: copy the index, too, or name a "
          "single file {}",
          directory.string(), whole, whole, shard, whole);
    }
  }
  fail(ErrorKind::no_input, "{}: neither {} nor {} is there; {}", directory.string(),
       weights_file_name, weights_index_name, wanted);
}

}  // namespace gist
