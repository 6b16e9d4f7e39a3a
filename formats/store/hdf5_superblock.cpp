#include "formats/store/hdf5_superblock.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace gist::hdf5 {
namespace {

constexpr std::array<unsigned char, 8> signature = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
constexpr std::uint64_t undefined_address = ~std::uint64_t{0};

/// Layout says where the fields stand in a version of the superblock.
struct Layout {
  std::size_t offset_width = 0;
  std::size_t length_width = 0;
  std::size_t base_address = 0;
  std::size_t driver_address = 0;  // 0: it has none
};

Layout layout_of(unsigned version) {
  switch (version) {
    case 0:
      return {13, 14, 24, 48};
    case 1:
      return {13, 14, 28, 52};
    default:
      return {9, 10, 12, 0};
  }
}

std::uint64_t address_at(std::span<const std::byte> start, std::size_t at) {
  std::uint64_t address = 0;
  std::memcpy(&address, start.data() + at, sizeof address);
  return address;
}

}  // namespace

bool has_signature(std::span<const std::byte> start) {
  return start.size() >= signature.size() &&
         std::memcmp(start.data(), signature.data(), signature.size()) == 0;
}

std::string superblock_fault(std::span<const std::byte> start) {
  constexpr std::size_t shortest = 60;     // up to the last field looked at
  if (start.size() < shortest) return "";  // HDF5 says that it is cut off
  const auto version = std::to_integer<unsigned>(start[8]);
  if (version > 3) return "an unknown version of HDF5's superblock";
  const Layout layout = layout_of(version);
  if (std::to_integer<unsigned>(start[layout.offset_width]) != 8 ||
      std::to_integer<unsigned>(start[layout.length_width]) != 8) {
    return "its addresses don't have 8 bytes";
  }
  if (address_at(start, layout.base_address) != 0) return "its data don't begin where it does";
  if (layout.driver_address != 0 && address_at(start, layout.driver_address) != undefined_address) {
    return "it needs a driver of HDF5's own";
  }
  return "";
}

}  // namespace gist::hdf5
