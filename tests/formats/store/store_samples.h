// Small stores for the tests: every value in them follows from the row's number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/files/sha256.h"
#include "formats/store/gist_store.h"

namespace gist::testing {

inline StoreHeader sample_header(Dtype dtype = Dtype::f32) {
  StoreHeader header;
  header.creator = "gist test";
  header.family = "llama";
  header.architecture = "LlamaForCausalLM";
  header.n_layers = 2;
  header.n_kv_heads = 3;
  header.key_dim = 4;
  header.value_dim = 5;
  header.d_model = 6;
  header.dtype = dtype;
  header.gist_token = "<GIST>";
  header.gist_token_id = 900;
  header.gist_tokens = 1;
  header.prompt_template = R"(["bos", {"text": "Instruction: {instruction}"}, "gist"])";
  header.condition = "gist";
  header.model_sha256 = std::string(64, 'a');
  header.tokenizer_sha256 = std::string(64, 'b');
  return header;
}

/// Row `number`: id "prompt-NUMBER", `tokens` gist tokens.
inline StoreRow sample_row(std::uint64_t number, std::uint32_t tokens) {
  StoreRow row;
  row.id = "prompt-" + std::to_string(number);
  row.gist_tokens = tokens;
  row.position = static_cast<std::uint32_t>(10 + number);
  row.ordinal = number;
  row.prompt_tokens = static_cast<std::uint32_t>(10 + number);
  row.prompt_sha256 = sha256(row.id);
  return row;
}

/// Values that f16 and bf16 hold exactly.
inline GistActivations sample_activations(const StoreHeader& header, const StoreRow& row) {
  const auto values = [&row](std::int64_t token_values, float start) {
    std::vector<float> result(static_cast<std::size_t>(token_values) * row.gist_tokens);
    for (std::size_t i = 0; i < result.size(); ++i) {
      result[i] = start + static_cast<float>((row.ordinal * 7 + i) % 61) / 32.0f;
    }
    return result;
  };
  GistActivations activations;
  activations.tokens = static_cast<std::int32_t>(row.gist_tokens);
  activations.key = values(header.n_layers * header.n_kv_heads * header.key_dim, 0.0f);
  activations.value = values(header.n_layers * header.n_kv_heads * header.value_dim, -1.0f);
  activations.hidden = values(header.d_model, 2.0f);
  return activations;
}

inline GistStore::RawActivations sample_raw(const StoreHeader& header, const StoreRow& row) {
  return to_raw(sample_activations(header, row), header.dtype);
}

/// A store of these rows.
inline void write_store(const std::filesystem::path& path, const StoreHeader& header,
                        const std::vector<StoreRow>& rows) {
  GistStoreWriter writer(path, header);
  for (const StoreRow& row : rows) writer.append(row, sample_raw(header, row));
  writer.publish(Existing::replace);
}

inline std::vector<std::string> ids_of(const GistStore& store) {
  std::vector<std::string> ids;
  for (std::uint64_t row = 0; row < store.rows(); ++row) ids.emplace_back(store.id(row));
  return ids;
}

}  // namespace gist::testing
