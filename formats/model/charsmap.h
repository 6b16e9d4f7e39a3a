// The map by which SentencePiece normalises text (precompiled_charsmap): a double-array trie, then
// the texts that its values point to. SentencePiece follows the trie's offsets as they stand.
#pragma once

#include <string>
#include <string_view>

namespace gist {

/// Says what is wrong with the maps in a SentencePiece file (a serialised ModelProto): an offset
/// that some text could follow out of the trie, or a value out of the texts. "" where they are
/// sound, or the file has none. Protocol buffers that can't be read are left to SentencePiece.
std::string charsmap_fault(std::string_view model);

}  // namespace gist
