#include "formats/store/gist_store.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "formats/files/file_check.h"
#include "formats/files/text.h"
#include "formats/store/gist_store_index.h"
#include "formats/store/gist_store_layout.h"
#include "formats/store/hdf5.h"
#include "kernels/error.h"
#include "kernels/finite.h"

namespace gist {
namespace {

/// SHA-256 is as good a hash of itself as any.
struct HashOfSha256 {
  std::size_t operator()(const Sha256& digest) const {
    std::size_t hash = 0;
    std::memcpy(&hash, digest.data(), sizeof hash);
    return hash;
  }
};

struct OpenArray {
  ActivationArray array;
  hdf5::Dataset dataset;
  bool same_type = false;  // stored in the header's dtype
};

OpenArray open_array(const hdf5::File& file, const ActivationArray& array, std::uint64_t tokens,
                     Dtype dtype) {
  OpenArray open;
  open.array = array;
  open.dataset =
      hdf5::open_dataset(file, array.name, H5T_FLOAT, static_cast<int>(array.dims.size()) + 1);
  std::vector<std::uint64_t> expected{tokens};
  expected.insert(expected.end(), array.dims.begin(), array.dims.end());
  if (open.dataset.dims != expected) {
    fail(ErrorKind::data, "{}: {} is [{}], but the attributes and /index/gist_end say [{}]",
         file.name(), array.name, fmt::join(open.dataset.dims, ", "), fmt::join(expected, ", "));
  }
  const hdf5::Handle type = store_float_type(dtype);
  open.same_type = H5Tequal(open.dataset.type.get(), type.get()) > 0;
  return open;
}

void read_f32(const hdf5::File& file, const OpenArray& open, std::uint64_t begin,
              std::uint64_t count, float* target) {
  const hdf5::Handle type = hdf5::f32_type();
  hdf5::read_rows(file, open.dataset, begin, count, type.get(), target);
}

/// Tokens [begin, begin + count) in the store's dtype.
std::vector<std::byte> read_raw(const hdf5::File& file, const OpenArray& open, Dtype dtype,
                                std::uint64_t begin, std::uint64_t count) {
  const std::size_t values = count * open.array.token_values();
  std::vector<std::byte> bytes(values * size_of(dtype));
  if (open.same_type) {
    hdf5::read_rows(file, open.dataset, begin, count, open.dataset.type.get(), bytes.data());
  } else {
    std::vector<float> floats(values);
    read_f32(file, open, begin, count, floats.data());
    convert_from_f32(floats.data(), static_cast<std::int64_t>(values), dtype, bytes.data());
  }
  return bytes;
}

/// Reads values as f32. HDF5's own conversion from 16 bits is slow: it is left to files of other
/// types.
std::vector<float> read_floats(const hdf5::File& file, const OpenArray& open, Dtype dtype,
                               std::uint64_t begin, std::uint64_t count) {
  std::vector<float> floats(count * open.array.token_values());
  if (open.same_type && dtype != Dtype::f32) {
    const std::vector<std::byte> bytes = read_raw(file, open, dtype, begin, count);
    convert_to_f32(bytes.data(), dtype, static_cast<std::int64_t>(floats.size()), floats.data());
  } else {
    read_f32(file, open, begin, count, floats.data());
  }
  return floats;
}

}  // namespace

struct GistStore::Impl {
  Impl(const std::filesystem::path& store_path, const StoreReading& reading)
      : path(store_path), file(hdf5::File::open(store_path)), header(read_store_header(file)) {
    index = read_store_index(file);
    arrays.push_back(open_array(file, key_array(header), index.total_gist_tokens(), header.dtype));
    arrays.push_back(
        open_array(file, value_array(header), index.total_gist_tokens(), header.dtype));
    const ActivationArray hidden = hidden_array(header);
    if (hdf5::has_dataset(file, hidden.name)) {
      arrays.push_back(open_array(file, hidden, index.total_gist_tokens(), header.dtype));
    }
    share_cache(reading.cache_bytes);
  }

  /// Each array gets as large a part as it has of a row.
  void share_cache(std::uint64_t bytes) {
    std::uint64_t row_values = 0;
    for (const OpenArray& open : arrays) row_values += open.array.token_values();
    for (OpenArray& open : arrays) {
      const double share =
          static_cast<double>(open.array.token_values()) / static_cast<double>(row_values);
      hdf5::set_chunk_cache(file, open.dataset,
                            static_cast<std::uint64_t>(static_cast<double>(bytes) * share));
    }
  }

  void check_row(std::uint64_t row) const {
    if (row >= index.rows()) {
      fail(ErrorKind::internal, "{}: row {} of {}", file.name(), row, index.rows());
    }
  }

  const OpenArray* hidden() const { return arrays.size() > 2 ? &arrays[2] : nullptr; }

  std::uint64_t row_of_token(std::uint64_t token) const {
    const auto found = std::upper_bound(index.gist_end.begin(), index.gist_end.end(), token);
    return static_cast<std::uint64_t>(found - index.gist_end.begin());
  }

  [[noreturn]] void refuse_values(const OpenArray& open, std::uint64_t row) const {
    fail(ErrorKind::data, "{}: {}, row {} (id {}): a value is not finite", file.name(),
         open.array.name, row, in_quotes(index.id(row)));
  }

  /// Returns how many tokens of an array are verified at once: whole chunks, where these are small.
  std::uint64_t tokens_at_once(const OpenArray& open) const {
    const std::uint64_t token_bytes = open.array.token_values() * size_of(header.dtype);
    const std::uint64_t least = std::max<std::uint64_t>(1, store_block_bytes / token_bytes);
    // No more than 64 chunks' worth at once, whatever the file's chunks are.
    return std::clamp<std::uint64_t>(open.dataset.chunk_rows, least, 64 * least);
  }

  void verify_tokens(const OpenArray& open, std::uint64_t begin, std::uint64_t count) const {
    std::vector<std::byte> bytes;
    try {
      bytes = read_raw(file, open, header.dtype, begin, count);
    } catch (const Error& error) {
      fail(error.kind(), "{} (rows {} to {})", error.what(), row_of_token(begin),
           row_of_token(begin + count - 1));
    }
    if (const auto found = first_not_finite(bytes, header.dtype)) {
      refuse_values(open, row_of_token(begin + *found / open.array.token_values()));
    }
  }

  /// All values of all arrays. The array that is behind goes on, so that rows are done one after
  /// the other, and are read in the order in which they were written.
  void verify_arrays(const RowsDone& rows_done) const {
    const std::uint64_t tokens = index.total_gist_tokens();
    std::vector<std::uint64_t> verified(arrays.size(), 0);  // tokens of each array
    if (rows_done) rows_done(0, index.rows());
    for (;;) {
      const auto behind = std::min_element(verified.begin(), verified.end());
      if (*behind == tokens) break;
      const OpenArray& open = arrays[static_cast<std::size_t>(behind - verified.begin())];
      const std::uint64_t count = std::min(tokens_at_once(open), tokens - *behind);
      verify_tokens(open, *behind, count);
      *behind += count;
      const std::uint64_t done = *std::min_element(verified.begin(), verified.end());
      if (rows_done && done < tokens) rows_done(row_of_token(done), index.rows());
    }
    if (rows_done) rows_done(index.rows(), index.rows());
  }

  std::filesystem::path path;
  hdf5::File file;
  StoreHeader header;
  StoreIndex index;
  std::vector<OpenArray> arrays;  // key, value and, where the file has it, hidden
  mutable std::unordered_map<Sha256, std::uint64_t, HashOfSha256> row_of_prompt;  // on first use
};

GistStore::GistStore(const std::filesystem::path& path, const StoreReading& reading) {
  if (!reading.trusted) check_new_store(path);
  impl_ = std::make_unique<Impl>(path, reading);
}
GistStore::GistStore(GistStore&&) noexcept = default;
GistStore& GistStore::operator=(GistStore&&) noexcept = default;
GistStore::~GistStore() = default;

const std::filesystem::path& GistStore::path() const {
  return impl_->path;
}
const StoreHeader& GistStore::header() const {
  return impl_->header;
}
std::uint64_t GistStore::rows() const {
  return impl_->index.rows();
}
std::uint64_t GistStore::total_gist_tokens() const {
  return impl_->index.total_gist_tokens();
}
bool GistStore::has_hidden() const {
  return impl_->hidden() != nullptr;
}

StoreRow GistStore::row(std::uint64_t index) const {
  impl_->check_row(index);
  return impl_->index.row(index);
}

std::string_view GistStore::id(std::uint64_t index) const {
  impl_->check_row(index);
  return impl_->index.id(index);
}

std::optional<std::uint64_t> GistStore::find(std::string_view id) const {
  return impl_->index.find(id);
}

std::optional<std::uint64_t> GistStore::find_prompt(const Sha256& prompt_sha256) const {
  auto& rows_of = impl_->row_of_prompt;
  if (rows_of.empty()) {
    rows_of.reserve(rows());
    for (std::uint64_t row = 0; row < rows(); ++row) {
      rows_of.emplace(impl_->index.prompt_sha256[row], row);  // the first stays
    }
  }
  const auto found = rows_of.find(prompt_sha256);
  if (found == rows_of.end()) return std::nullopt;
  return found->second;
}

GistActivations GistStore::activations(std::uint64_t index) const {
  impl_->check_row(index);
  const Impl& store = *impl_;
  const std::uint64_t begin = store.index.gist_begin(index);
  const std::uint64_t count = store.index.gist_end[index] - begin;
  const auto floats = [&](const OpenArray& array) {
    std::vector<float> values = read_floats(store.file, array, store.header.dtype, begin, count);
    if (first_not_finite(values)) store.refuse_values(array, index);
    return values;
  };
  GistActivations result;
  result.tokens = static_cast<std::int32_t>(count);
  result.key = floats(store.arrays[0]);
  result.value = floats(store.arrays[1]);
  if (store.hidden() != nullptr) result.hidden = floats(*store.hidden());
  return result;
}

GistStore::RawActivations GistStore::raw_activations(std::uint64_t index) const {
  impl_->check_row(index);
  const Impl& store = *impl_;
  const std::uint64_t begin = store.index.gist_begin(index);
  const std::uint64_t count = store.index.gist_end[index] - begin;
  const auto bytes = [&](const OpenArray& array) {
    std::vector<std::byte> values = read_raw(store.file, array, store.header.dtype, begin, count);
    if (first_not_finite(values, store.header.dtype)) store.refuse_values(array, index);
    return values;
  };
  RawActivations result;
  result.key = bytes(store.arrays[0]);
  result.value = bytes(store.arrays[1]);
  if (store.hidden() != nullptr) result.hidden = bytes(*store.hidden());
  return result;
}

void GistStore::verify(const RowsDone& rows_done) const {
  // The index was read whole, and checked, when the store was opened; the file may have changed
  // since.
  read_store_index(impl_->file);
  impl_->verify_arrays(rows_done);
}

}  // namespace gist
