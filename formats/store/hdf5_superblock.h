// The first bytes of an HDF5 file (HDF5 File Format Specification, II.A "Format Signature and
// Superblock"), checked before HDF5 reads them.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace gist::hdf5 {

inline constexpr std::size_t longest_superblock = 100;

/// Whether the file begins with HDF5's signature.
bool has_signature(std::span<const std::byte> start);

/// Says what the superblock has that a gist store never has: a user block before the data,
/// addresses of another width than 8 bytes, a driver's own information. "" where there is none of
/// it. `start` is the file's first longest_superblock bytes, or all of it.
std::string superblock_fault(std::span<const std::byte> start);

}  // namespace gist::hdf5
