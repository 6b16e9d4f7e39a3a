// The regular expressions by which most models cut texts, followed by hand where a text is ASCII:
// several times as fast as Oniguruma does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gist {

enum class KnownRegex : std::uint8_t { none, gpt2, llama3, qwen2 };

/// GPT-2's (openai/gpt-2, encoder.py).
inline constexpr std::string_view gpt2_regex =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// LLaMA 3's and Qwen2's, of their tokenizer.json.
inline constexpr std::string_view llama3_regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view qwen2_regex =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";

KnownRegex known_regex(std::string_view regex);

/// Where the match that begins at `at` ends; 0 where characters beyond ASCII decide about it.
/// `at` is before the text's end.
std::size_t ascii_match_end(KnownRegex regex, std::string_view text, std::size_t at);

}  // namespace gist
