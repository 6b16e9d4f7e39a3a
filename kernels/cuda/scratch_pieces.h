// Arrays of one call within its scratch memory.
//
//   ScratchPieces pieces;
//   const auto tiles = pieces.add<Tile>(count);
//   std::byte* memory = scratch.reserve(pieces.bytes());
//   Tile* first = tiles.in(memory);
#pragma once

#include <cstddef>
#include <cstdint>

namespace gist::cuda {

template <typename T>
struct ScratchPiece {
  std::int64_t offset = -1;  // in bytes; negative: there is no such piece

  T* in(std::byte* memory) const {
    return offset < 0 ? nullptr : reinterpret_cast<T*>(memory + offset);
  }
};

class ScratchPieces {
 public:
  template <typename T>
  ScratchPiece<T> add(std::int64_t count) {
    const ScratchPiece<T> piece{bytes_};
    bytes_ += (count * static_cast<std::int64_t>(sizeof(T)) + 255) / 256 * 256;
    return piece;
  }
  std::size_t bytes() const { return static_cast<std::size_t>(bytes_); }

 private:
  std::int64_t bytes_ = 0;
};

}  // namespace gist::cuda
