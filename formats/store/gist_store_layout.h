// The layout says what stands where in a gist store; its reader and its writer share it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/store/gist_store.h"
#include "formats/store/hdf5.h"

namespace gist {

inline constexpr std::string_view store_format = "gist-store";
inline constexpr std::string_view store_version = "1.0";
inline constexpr std::int64_t store_major = 1;
inline constexpr std::string_view store_layout = "uniform-1";
/// The size of a chunk of activations: a row is read, and its checksum computed, with the whole of
/// its chunk. A gist token that takes more has a chunk of its own.
inline constexpr std::size_t activation_chunk_bytes = std::size_t{32} << 10;
/// The size of a chunk of the index, which is read whole, and of what is written or verified of an
/// array at once.
inline constexpr std::size_t store_block_bytes = std::size_t{1} << 20;

/// No gist reaches beyond this position, so that what follows it can be counted in 32 bits.
inline constexpr std::uint64_t store_positions = std::uint64_t{1} << 30;

/// An array of /gist: one row a gist token.
struct ActivationArray {
  std::string name;                    // "/gist/key"
  std::vector<std::uint64_t> dims;     // of one token
  std::uint64_t token_values() const;  // their product
};

ActivationArray key_array(const StoreHeader& header);     // [n_layers, n_kv_heads, key_dim]
ActivationArray value_array(const StoreHeader& header);   // [n_layers, n_kv_heads, value_dim]
ActivationArray hidden_array(const StoreHeader& header);  // [d_model]

/// The file's float type of a dtype.
hdf5::Handle store_float_type(Dtype dtype);

/// Throws Error(data) naming the attribute, as GistStore does.
StoreHeader read_store_header(const hdf5::File& file);
void write_store_header(const hdf5::File& file, const StoreHeader& header);

/// Throws Error(data), prefixed by `name`, unless all sizes are positive and a token's activations
/// stay below 4 GiB (HDF5's limit for a chunk).
void check_store_shape(const StoreHeader& header, std::string_view name);

}  // namespace gist
