#include "tests/core/golden.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "formats/safetensors.h"

namespace gist {
namespace {

std::filesystem::path golden_directory(const std::string& set) {
  return std::filesystem::path(GIST_FIXTURES) / "golden" / set;
}

template <typename T>
std::vector<T> read(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsEntry& entry = file.tensors().at(name);
  std::vector<T> values(entry.bytes / sizeof(T));
  std::memcpy(values.data(), entry.data, entry.bytes);
  return values;
}

}  // namespace

Sequence Golden::prompt() const {
  Sequence result = sequence;
  result.ids.resize(result.ids.size() - static_cast<std::size_t>(labels));
  return result;
}

std::int32_t gist_token_of(const std::string& set) {
  std::ifstream file(golden_directory(set) / "golden.json");
  return nlohmann::json::parse(file)["gist_token_id"];
}

Golden load_golden(const std::string& set, Condition condition, int k, int prompt) {
  const SafetensorsFile file(golden_directory(set) / "forward.safetensors");
  const std::string prefix = std::string(name_of(condition)) + ".k" + std::to_string(k) + "." +
                             std::to_string(prompt) + ".";
  Golden golden;
  golden.sequence.ids = read<std::int32_t>(file, prefix + "input_ids");
  const std::int32_t gist_token = gist_token_of(set);
  std::int32_t begin = 0;
  while (golden.sequence.ids.at(static_cast<std::size_t>(begin)) != gist_token) ++begin;
  golden.sequence.gists = {{begin, begin + k}};
  for (const std::int32_t label : read<std::int32_t>(file, prefix + "labels")) {
    if (label != -100) ++golden.labels;
  }
  golden.logits = read<float>(file, prefix + "logits");
  golden.loss = read<float>(file, prefix + "loss").at(0);
  golden.greedy = read<std::int32_t>(file, prefix + "greedy");
  if (golden.greedy == std::vector<std::int32_t>{-1}) golden.greedy.clear();
  if (condition == Condition::gist) {
    golden.key = read<float>(file, prefix + "key_prerope");
    golden.value = read<float>(file, prefix + "value");
  }
  return golden;
}

}  // namespace gist
