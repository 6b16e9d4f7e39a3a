#include "tests/core/golden.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/model/safetensors.h"

namespace gist {
namespace {

std::filesystem::path golden_directory(const std::string& set) {
  return std::filesystem::path(GIST_FIXTURES) / "golden" / set;
}

bool holds(const TensorFile& file, const std::string& name) {
  return file.tensors.contains(name);
}

template <typename T>
std::vector<T> read(const TensorFile& file, const std::string& name) {
  const StoredTensor& entry = file.tensors.at(name);
  std::vector<T> values(entry.bytes / sizeof(T));
  std::memcpy(values.data(), entry.data, entry.bytes);
  return values;
}

/// make(name) of each tensor whose name begins with `prefix`, by the rest of the name.
template <typename Value, typename Make>
std::map<std::string, Value> read_all(const TensorFile& file, const std::string& prefix,
                                      Make make) {
  std::map<std::string, Value> values;
  for (const auto& [name, entry] : file.tensors) {
    if (name.starts_with(prefix)) values[name.substr(prefix.size())] = make(name);
  }
  return values;
}

std::map<std::string, Probe> read_probes(const TensorFile& file, const std::string& prefix) {
  return read_all<Probe>(file, prefix, [&](const std::string& name) {
    const auto values = read<double>(file, name);
    return Probe{values.at(0), values.at(1)};
  });
}

std::filesystem::path train_file(const std::string& set) {
  return golden_directory(set) / "train.safetensors";
}

}  // namespace

Sequence Golden::prompt() const {
  Sequence result = sequence;
  result.ids.resize(result.ids.size() - static_cast<std::size_t>(labels));
  return result;
}

std::string set_name(std::string set) {
  std::erase(set, '-');
  return set;
}

std::int32_t gist_token_of(const std::string& set) {
  std::ifstream file(golden_directory(set) / "golden.json");
  return nlohmann::json::parse(file)["gist_token_id"];
}

Golden load_golden(const std::string& set, Condition condition, int k, int prompt) {
  const TensorFile file = read_safetensors(golden_directory(set) / "forward.safetensors");
  const std::string prefix = std::string(name_of(condition)) + ".k" + std::to_string(k) + "." +
                             std::to_string(prompt) + ".";
  Golden golden;
  golden.sequence.ids = read<std::int32_t>(file, prefix + "input_ids");
  const std::int32_t gist_token = gist_token_of(set);
  std::int32_t begin = 0;
  while (golden.sequence.ids.at(static_cast<std::size_t>(begin)) != gist_token) ++begin;
  golden.sequence.gists = {{begin, begin + k}};
  const auto labels = read<std::int32_t>(file, prefix + "labels");
  golden.labels =
      static_cast<std::int32_t>(labels.size() - std::ranges::count(labels, std::int32_t{-100}));
  if (golden.labels == std::ssize(labels)) {  // an encoder-decoder's: the answer stands apart
    golden.sequence.ids.insert(golden.sequence.ids.end(), labels.begin(), labels.end());
  }
  golden.logits = read<float>(file, prefix + "logits");
  golden.loss = read<float>(file, prefix + "loss").at(0);
  golden.greedy = read<std::int32_t>(file, prefix + "greedy");
  if (golden.greedy == std::vector<std::int32_t>{-1}) golden.greedy.clear();
  if (condition == Condition::gist) {
    const std::string before_rope = prefix + "key_prerope";
    golden.key = read<float>(file, holds(file, before_rope) ? before_rope : prefix + "key");
    golden.value = read<float>(file, prefix + "value");
    if (holds(file, prefix + "hidden")) golden.hidden = read<float>(file, prefix + "hidden");
  }
  return golden;
}

GradientGolden load_gradient_golden(const std::string& set, Condition condition, int k) {
  const TensorFile file = read_safetensors(train_file(set));
  const std::string prefix = std::string(name_of(condition)) + ".k" + std::to_string(k) + ".batch.";
  GradientGolden golden;
  golden.loss = read<float>(file, prefix + "loss").at(0);
  golden.probes = read_probes(file, prefix + "probe.");
  golden.gradients = read_all<std::vector<float>>(
      file, prefix + "grad.", [&](const std::string& name) { return read<float>(file, name); });
  return golden;
}

AdamwGolden load_adamw_golden(const std::string& set) {
  const TensorFile file = read_safetensors(train_file(set));
  if (!holds(file, "adamw.loss")) return {};
  return {read<float>(file, "adamw.loss"), read<float>(file, "adamw.grad_norm"),
          read_probes(file, "param_probe.")};
}

}  // namespace gist
