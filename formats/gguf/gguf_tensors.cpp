#include "formats/gguf/gguf_tensors.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// What llama.cpp's conversion does to a tensor.
enum class Change : std::uint8_t {
  none,
  query_rows,  // the rows of each head, halves [2, d/2], stand as pairs [d/2, 2]
  key_rows,    // likewise; there are fewer heads
  one_more,    // 1 is added to each value
  transposed,
};

struct Renamed {
  std::string_view gguf, checkpoint;  // without ".weight" or ".bias"
  Change change = Change::none;
};

// In llama.cpp: names in gguf-py/gguf/constants.py (TENSOR_NAMES) and tensor_mapping.py; changes in
// modify_tensors() of the classes in convert_hf_to_gguf.py (later conversion/*.py): LlamaModel
// (permute, of weights and biases), Gemma2Model and Gemma3Model (norm.weight + 1), GPT2Model
// (transpose). Of Mistral, which is a LlamaModel there, too, LLaMA's hold.
constexpr std::array llama_blocks = std::to_array<Renamed>({
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj", Change::query_rows},
    {"attn_k", "self_attn.k_proj", Change::key_rows},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
});
/// Qwen2's and Qwen3's.
constexpr std::array qwen_blocks = std::to_array<Renamed>({
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
});
constexpr std::array olmo2_blocks = std::to_array<Renamed>({
    {"attn_q", "self_attn.q_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"post_attention_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"post_ffw_norm", "post_feedforward_layernorm"},
});
constexpr std::array gemma_blocks = std::to_array<Renamed>({
    {"attn_norm", "input_layernorm", Change::one_more},
    {"attn_q", "self_attn.q_proj"},
    {"attn_q_norm", "self_attn.q_norm", Change::one_more},
    {"attn_k", "self_attn.k_proj"},
    {"attn_k_norm", "self_attn.k_norm", Change::one_more},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"post_attention_norm", "post_attention_layernorm", Change::one_more},
    {"ffn_norm", "pre_feedforward_layernorm", Change::one_more},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"post_ffw_norm", "post_feedforward_layernorm", Change::one_more},
});
constexpr std::array phi3_blocks = std::to_array<Renamed>({
    {"attn_norm", "input_layernorm"},
    {"attn_qkv", "self_attn.qkv_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_up", "mlp.gate_up_proj"},
    {"ffn_down", "mlp.down_proj"},
});
constexpr std::array gpt2_blocks = std::to_array<Renamed>({
    {"attn_norm", "ln_1"},
    {"attn_qkv", "attn.c_attn", Change::transposed},
    {"attn_output", "attn.c_proj", Change::transposed},
    {"ffn_norm", "ln_2"},
    {"ffn_up", "mlp.c_fc", Change::transposed},
    {"ffn_down", "mlp.c_proj", Change::transposed},
});

constexpr std::array shared = std::to_array<Renamed>({
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
});
constexpr std::array gemma_shared = std::to_array<Renamed>({
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm", Change::one_more},
    {"output", "lm_head"},
});
constexpr std::array gpt2_shared = std::to_array<Renamed>({
    {"token_embd", "transformer.wte"},
    {"position_embd", "transformer.wpe"},
    {"output_norm", "transformer.ln_f"},
    {"output", "lm_head"},
});

struct Names {
  std::string_view architecture;
  std::span<const Renamed> shared, blocks;
  std::string_view layer = "model.layers.";
};
constexpr std::array architectures = std::to_array<Names>({
    {"llama", shared, llama_blocks},
    {"qwen2", shared, qwen_blocks},
    {"qwen3", shared, qwen_blocks},
    {"olmo2", shared, olmo2_blocks},
    {"gemma2", gemma_shared, gemma_blocks},
    {"gemma3", gemma_shared, gemma_blocks},
    {"phi3", shared, phi3_blocks},
    {"gpt2", gpt2_shared, gpt2_blocks, "transformer.h."},
});

/// What gguf_config.h reads.
constexpr std::array rotary_tensors = std::to_array<std::string_view>(
    {"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"});

const Names& names_of(std::string_view architecture) {
  return *std::find_if(architectures.begin(), architectures.end(),
                       [&](const Names& names) { return names.architecture == architecture; });
}

/// A tensor's name in the checkpoint, and what was done to it.
struct Place {
  std::string name;
  Change change = Change::none;
};

std::optional<Place> renamed(std::string_view name, std::span<const Renamed> table,
                             const std::string& prefix) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view part = name.substr(0, dot), kind = name.substr(dot);
  if (kind != ".weight" && kind != ".bias") return std::nullopt;
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Renamed& each) { return each.gguf == part; });
  if (found == table.end()) return std::nullopt;
  const bool changed =
      kind == ".weight" || found->change == Change::query_rows || found->change == Change::key_rows;
  return Place{prefix + std::string(found->checkpoint) + std::string(kind),
               changed ? found->change : Change::none};
}

/// blk.N.PART.weight, or PART.weight
Place place_of(const std::string& name, const Names& names) {
  constexpr std::string_view block = "blk.";
  std::optional<Place> place;
  if (name.starts_with(block)) {
    const std::string_view rest = std::string_view(name).substr(block.size());
    const std::size_t dot = rest.find('.');
    const std::string_view layer = rest.substr(0, dot);
    const bool number = !layer.empty() && layer.find_first_not_of("0123456789") == layer.npos;
    if (number && dot != std::string_view::npos) {
      place = renamed(rest.substr(dot + 1), names.blocks,
                      std::string(names.layer) + std::string(layer) + ".");
    }
  } else {
    place = renamed(name, names.shared, "");
  }
  return place.value_or(Place{name, Change::none});
}

/// Rows [heads, d/2, 2] as [heads, 2, d/2].
std::vector<float> pairs_as_halves(const std::vector<float>& values, std::size_t rows,
                                   std::size_t heads) {
  const std::size_t width = values.size() / rows, half = rows / heads / 2;
  std::vector<float> result(values.size());
  for (std::size_t head = 0; head < heads; ++head) {
    for (std::size_t i = 0; i < 2 * half; ++i) {
      const std::size_t from = head * 2 * half + i % half * 2 + i / half;
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(from * width), width,
                  result.begin() + static_cast<std::ptrdiff_t>((head * 2 * half + i) * width));
    }
  }
  return result;
}

std::vector<float> exchanged(const std::vector<float>& values, std::size_t rows) {
  if (values.empty()) return values;
  const std::size_t columns = values.size() / rows;
  std::vector<float> result(values.size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t column = 0; column < columns; ++column) {
      result[column * rows + row] = values[row * columns + column];
    }
  }
  return result;
}

std::size_t heads_of(const GgufFile& file, const std::string& architecture, Change change) {
  const std::string all = architecture + ".attention.head_count";
  const std::int64_t heads = file.integer(all).value_or(0);
  if (change == Change::query_rows)
    return static_cast<std::size_t>(std::max<std::int64_t>(heads, 0));
  const std::int64_t own = file.integer(all + "_kv").value_or(heads);
  return static_cast<std::size_t>(std::max<std::int64_t>(own, 0));
}

/// The tensor as the checkpoint has it, before `change` was done to it.
StoredTensor stored_tensor(const GgufTensor& tensor, Change change, std::size_t heads,
                           const std::string& place) {
  StoredTensor result{tensor.type->name, tensor.shape, tensor.data, tensor.bytes, {}};
  const auto rows = static_cast<std::size_t>(tensor.shape.empty() ? 1 : tensor.shape.front());
  if (change == Change::query_rows || change == Change::key_rows) {
    if (heads == 0 || rows == 0 || rows % (2 * heads) != 0) {
      fail(ErrorKind::data, "{}: its {} rows can't be {} heads' of an even dimension", place, rows,
           heads);
    }
    result.as_f32 = [tensor, rows, heads] {
      return pairs_as_halves(gguf_values(tensor), rows, heads);
    };
  } else if (change == Change::one_more) {
    result.as_f32 = [tensor] {
      std::vector<float> values = gguf_values(tensor);
      for (float& value : values) value -= 1;
      return values;
    };
  } else if (change == Change::transposed && tensor.shape.size() == 2) {
    std::swap(result.shape[0], result.shape[1]);
    result.as_f32 = [tensor, rows] { return exchanged(gguf_values(tensor), rows); };
  } else if (tensor.type->dequantise != nullptr) {
    result.as_f32 = [tensor] { return gguf_values(tensor); };
  }
  return result;
}

}  // namespace

std::string gguf_architecture(const GgufFile& file) {
  const std::string where = file.file.path().string();
  const std::string type = file.text("general.type").value_or("model");
  if (type != "model") {
    fail(ErrorKind::data, "{}: holds no model, but: {} (general.type)", where, in_quotes(type));
  }
  const std::optional<std::string> name = file.text("general.architecture");
  if (!name) fail(ErrorKind::data, "{}: lacks \"general.architecture\"", where);
  const auto known = [&](const Names& names) { return names.architecture == *name; };
  if (std::none_of(architectures.begin(), architectures.end(), known)) {
    std::vector<std::string_view> all;
    all.reserve(architectures.size());
    for (const Names& names : architectures) all.push_back(names.architecture);
    fail(ErrorKind::data,
         "{}: is of the architecture {}, which gist doesn't know in GGUF files; it knows {}. Where "
         "gist has a plugin for it, give the Hugging Face directory that the file was made from",
         where, in_quotes(*name), fmt::join(all, ", "));
  }
  return *name;
}

TensorFile gguf_tensors(GgufFile file) {
  const std::string architecture = gguf_architecture(file);
  const Names& names = names_of(architecture);
  std::map<std::string, StoredTensor> tensors;
  for (const auto& [name, tensor] : file.tensors) {
    if (std::find(rotary_tensors.begin(), rotary_tensors.end(), name) != rotary_tensors.end()) {
      continue;
    }
    const std::string where = place_of_tensor(file.file.path(), name);
    const Place place = place_of(name, names);
    const bool own =
        tensors
            .emplace(place.name, stored_tensor(tensor, place.change,
                                               heads_of(file, architecture, place.change), where))
            .second;
    if (!own) fail(ErrorKind::data, "{}: stands for {}, as another one does", where, place.name);
  }
  return {std::move(file.file), std::move(tensors)};
}

}  // namespace gist
