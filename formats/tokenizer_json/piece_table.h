// The pieces of a vocabulary, by id and by text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/files/text.h"

namespace gist {

/// The most tokens that a vocabulary may have.
constexpr std::int64_t most_tokens = std::int64_t{1} << 24;

class PieceTable {
 public:
  /// Gives the piece the next id; false where it is there already.
  bool add(std::string piece);
  /// To be called when all pieces are there: looks for those that spell bytes, <0x00> to <0xFF>.
  void find_bytes();

  const std::vector<std::string>& pieces() const { return pieces_; }
  std::optional<std::int32_t> find(std::string_view piece) const;

  /// Pieces, by id, that are never the result of text.
  void exclude(const std::vector<bool>& ids) { excluded_ = ids; }
  bool is_excluded(std::int32_t id) const {
    return static_cast<std::size_t>(id) < excluded_.size() &&
           excluded_[static_cast<std::size_t>(id)];
  }

  /// append(id) of the piece of each byte; false, with nothing appended, where one has none.
  template <typename Append>
  bool spell(std::string_view text, const Append& append) const {
    const auto id_of = [&](char byte) { return bytes_[static_cast<unsigned char>(byte)]; };
    if (!std::all_of(text.begin(), text.end(), [&](char byte) { return id_of(byte) >= 0; })) {
      return false;
    }
    for (const char byte : text) append(id_of(byte));
    return true;
  }

 private:
  std::vector<std::string> pieces_;
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids_;
  std::vector<std::int32_t> bytes_;  // ids of <0x00> ...; -1 where there is none
  std::vector<bool> excluded_;       // empty, or by id
};

}  // namespace gist
