// The checksum that each row of a staging file carries: CRC-32, as zlib computes it, over all
// values of the row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gist {

class StagingChecksum {
 public:
  /// Texts and blobs are preceded by their lengths, so that no bytes wander between neighbours.
  StagingChecksum& add(std::uint64_t value);
  StagingChecksum& add(double value);  // its bits
  StagingChecksum& add(std::string_view text);
  StagingChecksum& add(std::span<const std::byte> blob);

  std::uint64_t value() const { return value_; }

 private:
  StagingChecksum& add_bytes(const void* bytes, std::size_t size);

  std::uint64_t value_ = 0;
};

}  // namespace gist
