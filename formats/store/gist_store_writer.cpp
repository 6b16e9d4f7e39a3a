#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "formats/files/file_io.h"
#include "formats/files/text.h"
#include "formats/store/gist_store.h"
#include "formats/store/gist_store_index.h"
#include "formats/store/gist_store_layout.h"
#include "formats/store/hdf5.h"
#include "kernels/error.h"
#include "kernels/finite.h"

namespace gist {
namespace {

/// Collects an array's tokens to blocks of whole chunks. The array is made with its first write, so
/// that a store smaller than a chunk gets a chunk of its own size.
class ChunkedArray {
 public:
  ChunkedArray(ActivationArray array, Dtype dtype)
      : array_(std::move(array)),
        type_(store_float_type(dtype)),
        token_bytes_(array_.token_values() * size_of(dtype)),
        chunk_tokens_(std::max<std::uint64_t>(1, activation_chunk_bytes / token_bytes_)),
        block_bytes_(
            chunk_tokens_ * token_bytes_ *
            std::max<std::uint64_t>(1, store_block_bytes / (chunk_tokens_ * token_bytes_))) {}

  const std::string& name() const { return array_.name; }
  std::uint64_t token_bytes() const { return token_bytes_; }

  void append(const hdf5::File& file, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t part = std::min(block_bytes_ - buffer_.size(), bytes.size());
      buffer_.insert(buffer_.end(), bytes.begin(),
                     bytes.begin() + static_cast<std::ptrdiff_t>(part));
      bytes = bytes.subspan(part);
      if (buffer_.size() == block_bytes_) flush(file);
    }
  }

  /// Writes what is left; an array without a token, too, is in the file.
  void finish(const hdf5::File& file) {
    flush(file);
    dataset_.close();
  }

 private:
  void flush(const hdf5::File& file) {
    const std::uint64_t count = buffer_.size() / token_bytes_;
    if (!dataset_) {
      dataset_ = hdf5::create_dataset(file, array_.name, type_.get(), array_.dims,
                                      std::clamp<std::uint64_t>(count, 1, chunk_tokens_));
    }
    hdf5::append_rows(file, dataset_, array_.name, array_.dims, written_, count, type_.get(),
                      buffer_.data());
    written_ += count;
    buffer_.clear();
  }

  ActivationArray array_;
  hdf5::Handle type_;
  std::uint64_t token_bytes_;
  std::uint64_t chunk_tokens_;
  std::size_t block_bytes_;  // whole chunks, which are written at once
  std::uint64_t written_ = 0;
  hdf5::Handle dataset_;
  std::vector<std::byte> buffer_;
};

std::vector<std::byte> raw_values(std::string_view name, const std::vector<float>& values,
                                  Dtype dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  convert_from_f32(values.data(), static_cast<std::int64_t>(values.size()), dtype, bytes.data());
  if (const auto found = first_not_finite(bytes, dtype)) {
    const float value = values[*found];
    if (std::isfinite(value)) {
      fail(ErrorKind::data, "{} has the value {}, which overflows {}; store it as f32 or bf16",
           name, value, name_of(dtype));
    }
    fail(ErrorKind::data, "{} has the value {}, which is not finite", name, value);
  }
  return bytes;
}

}  // namespace

struct GistStoreWriter::Impl {
  Impl(const std::filesystem::path& store, const StoreHeader& store_header)
      : path(store),
        temporary(store),
        header(checked(store, store_header)),
        key(key_array(header), header.dtype),
        value(value_array(header), header.dtype),
        hidden(hidden_array(header), header.dtype),
        file(hdf5::File::create(temporary.path())) {
    hdf5::create_group(file, "/index");
    hdf5::create_group(file, "/gist");
    write_store_header(file, header);
  }

  static const StoreHeader& checked(const std::filesystem::path& store, const StoreHeader& header) {
    check_store_shape(header, store.string());
    return header;
  }

  void check_size(const StoreRow& row, const ChunkedArray& array, std::size_t bytes) const {
    if (bytes != row.gist_tokens * array.token_bytes()) {
      fail(ErrorKind::internal, "{}: row {} has {} gist tokens but {} bytes of {}", path.string(),
           in_quotes(row.id), row.gist_tokens, bytes, array.name());
    }
  }

  std::filesystem::path path;
  TemporaryFile temporary;
  StoreHeader header;
  ChunkedArray key, value, hidden;
  std::optional<bool> has_hidden;  // unknown until a row with tokens comes
  StoreIndex index;
  hdf5::File file;
};

GistStoreWriter::GistStoreWriter(const std::filesystem::path& path, const StoreHeader& header)
    : impl_(std::make_unique<Impl>(path, header)) {}
GistStoreWriter::GistStoreWriter(GistStoreWriter&&) noexcept = default;
GistStoreWriter::~GistStoreWriter() = default;

void GistStoreWriter::append(const StoreRow& row, const GistStore::RawActivations& activations) {
  Impl& store = *impl_;
  store.check_size(row, store.key, activations.key.size());
  store.check_size(row, store.value, activations.value.size());
  const bool has_hidden = !activations.hidden.empty();
  if (has_hidden) store.check_size(row, store.hidden, activations.hidden.size());
  if (row.gist_tokens > 0) {
    if (store.has_hidden.value_or(has_hidden) != has_hidden) {
      fail(ErrorKind::internal, "{}: row {} has {} hidden states, unlike the rows before it",
           store.path.string(), in_quotes(row.id), has_hidden ? "its" : "no");
    }
    store.has_hidden = has_hidden;
  }
  store.key.append(store.file, activations.key);
  store.value.append(store.file, activations.value);
  store.hidden.append(store.file, activations.hidden);
  store.index.append(row);
}

void GistStoreWriter::publish(Existing existing) {
  Impl& store = *impl_;
  store.key.finish(store.file);
  store.value.finish(store.file);
  if (store.has_hidden.value_or(true)) store.hidden.finish(store.file);
  store.index.by_id = rows_by_id(store.index, store.path.string());
  write_store_index(store.file, store.index);
  store.file.close();
  if (existing == Existing::refuse && has_equal_bytes(store.path, store.temporary.path())) return;
  store.temporary.publish(existing);
}

GistStore::RawActivations to_raw(const GistActivations& activations, Dtype dtype) {
  return {raw_values("key", activations.key, dtype), raw_values("value", activations.value, dtype),
          raw_values("hidden", activations.hidden, dtype)};
}

GistActivations from_raw(const GistStore::RawActivations& raw, std::int32_t tokens, Dtype dtype) {
  const auto floats = [dtype](const std::vector<std::byte>& bytes) {
    std::vector<float> values(bytes.size() / size_of(dtype));
    convert_to_f32(bytes.data(), dtype, static_cast<std::int64_t>(values.size()), values.data());
    return values;
  };
  return {tokens, floats(raw.key), floats(raw.value), floats(raw.hidden)};
}

}  // namespace gist
