#include "formats/store/staging_checksum.h"

#include <zlib.h>

#include <bit>

namespace gist {

StagingChecksum& StagingChecksum::add(std::uint64_t value) {
  return add_bytes(&value, sizeof value);
}

StagingChecksum& StagingChecksum::add(double value) {
  return add(std::bit_cast<std::uint64_t>(value));
}

StagingChecksum& StagingChecksum::add(std::string_view text) {
  return add(text.size()).add_bytes(text.data(), text.size());
}

StagingChecksum& StagingChecksum::add(std::span<const std::byte> blob) {
  return add(blob.size()).add_bytes(blob.data(), blob.size());
}

StagingChecksum& StagingChecksum::add_bytes(const void* bytes, std::size_t size) {
  if (size > 0) {  // zlib takes a null pointer for a request to start anew
    value_ = ::crc32_z(static_cast<uLong>(value_), static_cast<const Bytef*>(bytes), size);
  }
  return *this;
}

}  // namespace gist
