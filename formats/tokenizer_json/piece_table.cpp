#include "formats/tokenizer_json/piece_table.h"

#include <fmt/format.h>

#include <utility>

namespace gist {

bool PieceTable::add(std::string piece) {
  const auto id = static_cast<std::int32_t>(pieces_.size());
  if (!ids_.emplace(piece, id).second) return false;
  pieces_.push_back(std::move(piece));
  return true;
}

void PieceTable::find_bytes() {
  for (int byte = 0; byte < 256; ++byte) {
    bytes_.push_back(find(fmt::format("<0x{:02X}>", byte)).value_or(-1));
  }
}

std::optional<std::int32_t> PieceTable::find(std::string_view piece) const {
  const auto found = ids_.find(piece);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace gist
