// The map by which SentencePiece normalises text (precompiled_charsmap): a double-array trie, then
// the texts that its values point to. SentencePiece follows the trie's offsets as they stand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gist {

/// Says what is wrong with the maps in a SentencePiece file (a serialised ModelProto): an offset
/// that some text could follow out of the trie, or a value out of the texts. "" where they are
/// sound, or the file has none. Protocol buffers that can't be read are left to SentencePiece.
std::string charsmap_fault(std::string_view model);

/// A map by itself, as tokenizer.json has it.
class Charsmap {
 public:
  /// Nothing, and in `fault` what is wrong, where charsmap_fault would find something.
  static std::optional<Charsmap> open(std::string_view bytes, std::string& fault);

  /// What the shortest of the texts that the map knows and that this one begins with becomes;
  /// nothing where there is none.
  std::optional<std::string_view> shortest(std::string_view text) const;

 private:
  std::vector<std::uint32_t> trie_;
  std::string texts_;
};

}  // namespace gist
