#include "formats/model/named_templates.h"

#include <algorithm>
#include <array>
#include <string>

#include <nlohmann/json.hpp>

namespace gist {
namespace {

// The prompt stands where a system's message would, and the input is the user's message. Each gives
// the tokens that the chat template of the model's own tokenizer_config.json gives for these two
// messages with the generation prompt behind them and the gist tokens at the end of the first. White
// space is kept or taken off where that template does so.
constexpr std::array<NamedTemplate, 6> all_templates{{
    {"alpaca", "instruction, input and output in plain words: decoders without a chat layout", R"([
  "bos",
  {"text": "Instruction: {instruction}"},
  "gist",
  {"text": "Input: {input}\nOutput:", "else": "Output:"}
])"},
    {"chatml", "SmolLM2, Qwen2 and others with <|im_start|>", R"([
  {"token": "<|im_start|>"},
  {"text": "system\n{instruction}", "else": "system\n", "strip": "none"},
  "gist",
  {"token": "<|im_end|>"},
  {"text": "\n", "strip": "none"},
  {"token": "<|im_start|>"},
  {"text": "user\n{input}", "else": "user\n", "strip": "none"},
  {"token": "<|im_end|>"},
  {"text": "\n", "strip": "none"},
  {"token": "<|im_start|>"},
  {"text": "assistant\n", "strip": "none"}
])"},
    {"llama3", "Llama 3, with <|start_header_id|>", R"([
  {"token": "<|begin_of_text|>"},
  {"token": "<|start_header_id|>"},
  {"text": "system"},
  {"token": "<|end_header_id|>"},
  {"text": "\n\n{instruction}", "else": "\n\n", "strip": "fields"},
  "gist",
  {"token": "<|eot_id|>"},
  {"token": "<|start_header_id|>"},
  {"text": "user"},
  {"token": "<|end_header_id|>"},
  {"text": "\n\n{input}", "else": "\n\n", "strip": "fields"},
  {"token": "<|eot_id|>"},
  {"token": "<|start_header_id|>"},
  {"text": "assistant"},
  {"token": "<|end_header_id|>"},
  {"text": "\n\n", "strip": "none"}
])"},
    {"gemma", "Gemma, with <start_of_turn>: the prompt stands before the user's message", R"([
  "bos",
  {"token": "<start_of_turn>"},
  {"text": "user\n{instruction}", "else": "user\n", "strip": "none"},
  "gist",
  {"text": "\n\n{input}", "else": "\n\n", "strip": "fields"},
  {"token": "<end_of_turn>"},
  {"text": "\n", "strip": "none"},
  {"token": "<start_of_turn>"},
  {"text": "model\n", "strip": "none"}
])"},
    {"mistral", "Mistral with [INST] tokens: the prompt stands before the user's message", R"([
  "bos",
  {"token": "[INST]"},
  {"text": "{instruction}", "strip": "none"},
  "gist",
  {"text": "\n\n{input}", "else": "\n\n", "strip": "none"},
  {"token": "[/INST]"}
])"},
    {"t5", "T5 and its kin: encoder-decoders", R"([
  {"text": "Instruction: {instruction}"},
  {"piece": "▁"},
  "gist",
  {"text": "Input: {input}"},
  "eos"
])"},
}};

/// Tokens by which a chat layout is told; the first layout of which a tokenizer has both counts.
struct ChatTokens {
  std::string_view name, first, second;
};
constexpr std::array<ChatTokens, 4> chat_tokens{{
    {"chatml", "<|im_start|>", "<|im_end|>"},
    {"llama3", "<|start_header_id|>", "<|eot_id|>"},
    {"gemma", "<start_of_turn>", "<end_of_turn>"},
    {"mistral", "[INST]", "[/INST]"},
}};

}  // namespace

std::span<const NamedTemplate> named_templates() {
  return all_templates;
}

std::optional<PromptTemplate> template_named(std::string_view name, bool with_bos) {
  const auto found =
      std::find_if(all_templates.begin(), all_templates.end(),
                   [name](const NamedTemplate& entry) { return entry.name == name; });
  if (found == all_templates.end()) return std::nullopt;
  nlohmann::json pieces = nlohmann::json::parse(found->json);
  if (name == "alpaca" && !with_bos) pieces.erase(0);
  return PromptTemplate::parse(pieces, "the template " + std::string(name));
}

PromptTemplate decoder_template() {
  return *template_named("alpaca", true);
}

PromptTemplate encoder_template() {
  return *template_named("t5", false);
}

std::optional<std::string_view> chat_template_of(const Tokenizer& tokenizer) {
  for (const ChatTokens& entry : chat_tokens) {
    if (tokenizer.id_of_piece(entry.first) && tokenizer.id_of_piece(entry.second)) {
      return entry.name;
    }
  }
  return std::nullopt;
}

}  // namespace gist
