#include "formats/store/gist_store_index.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "formats/files/text.h"
#include "formats/store/gist_store_layout.h"
#include "kernels/error.h"

namespace gist {
namespace {

template <typename T>
hid_t integer_type() {
  if constexpr (sizeof(T) == 8) return H5T_NATIVE_UINT64;
  if constexpr (sizeof(T) == 4) return H5T_NATIVE_UINT32;
  return H5T_NATIVE_UINT8;
}

/// A one-dimensional array of `rows` integers.
template <typename T>
std::vector<T> read_column(const hdf5::File& file, const std::string& name, std::uint64_t rows) {
  const hdf5::Dataset dataset = hdf5::open_dataset(file, name, H5T_INTEGER, 1);
  if (dataset.dims[0] != rows) {
    fail(ErrorKind::data, "{}: {} has {} elements, /index/id_end has {}", file.name(), name,
         dataset.dims[0], rows);
  }
  std::vector<T> values(rows);
  hdf5::read_rows(file, dataset, 0, rows, integer_type<T>(), values.data());
  return values;
}

std::vector<Sha256> read_hashes(const hdf5::File& file, std::uint64_t rows) {
  const std::string name = "/index/prompt_sha256";
  const hdf5::Dataset dataset = hdf5::open_dataset(file, name, H5T_INTEGER, 2);
  if (dataset.dims[0] != rows || dataset.dims[1] != std::tuple_size_v<Sha256>) {
    fail(ErrorKind::data, "{}: {} is [{}, {}], expected [{}, {}]", file.name(), name,
         dataset.dims[0], dataset.dims[1], rows, std::tuple_size_v<Sha256>);
  }
  std::vector<Sha256> hashes(rows);
  hdf5::read_rows(file, dataset, 0, rows, H5T_NATIVE_UINT8, hashes.data());
  return hashes;
}

std::string read_ids(const hdf5::File& file) {
  const hdf5::Dataset dataset = hdf5::open_dataset(file, "/index/id", H5T_INTEGER, 1);
  std::string ids(dataset.dims[0], '\0');
  hdf5::read_rows(file, dataset, 0, dataset.dims[0], H5T_NATIVE_UINT8, ids.data());
  return ids;
}

/// `ends` rises, by at most `most` a row, to `total`.
void check_ends(const hdf5::File& file, const char* name, const std::vector<std::uint64_t>& ends,
                std::uint64_t most, std::uint64_t total) {
  std::uint64_t begin = 0;
  for (std::size_t row = 0; row < ends.size(); ++row) {
    if (ends[row] < begin || ends[row] > total || ends[row] - begin > most) {
      fail(ErrorKind::data, "{}: {}, row {}: {} after {} (of {})", file.name(), name, row,
           ends[row], begin, total);
    }
    begin = ends[row];
  }
  if (begin != total) {
    fail(ErrorKind::data, "{}: {} ends at {}, expected {}", file.name(), name, begin, total);
  }
}

/// by_id names each row once, in the order of their ids: strictly rising ids say all of it.
void check_by_id(const hdf5::File& file, const StoreIndex& index) {
  for (std::size_t i = 0; i < index.by_id.size(); ++i) {
    if (index.by_id[i] >= index.rows()) {
      fail(ErrorKind::data, "{}: /index/by_id[{}] is {}, but there are {} rows", file.name(), i,
           index.by_id[i], index.rows());
    }
    if (i > 0 && index.id(index.by_id[i - 1]) >= index.id(index.by_id[i])) {
      fail(ErrorKind::data, "{}: /index/by_id[{}]: the ids do not rise (rows {} and {})",
           file.name(), i, index.by_id[i - 1], index.by_id[i]);
    }
  }
}

void check_positions(const hdf5::File& file, const StoreIndex& index) {
  for (std::uint64_t row = 0; row < index.rows(); ++row) {
    const std::uint64_t end = index.position[row] + index.gist_end[row] - index.gist_begin(row);
    if (end > store_positions) {
      fail(ErrorKind::data, "{}: /index/position, row {}: {} is no position in a prompt (of {})",
           file.name(), row, index.position[row], store_positions);
    }
  }
}

template <typename T>
void write_column(const hdf5::File& file, const std::string& name, hid_t type,
                  const std::vector<std::uint64_t>& row_dims, std::uint64_t rows, const T* values) {
  std::uint64_t row_bytes = sizeof(T);
  for (const std::uint64_t dim : row_dims) row_bytes *= dim;
  const std::uint64_t chunk_rows =
      std::clamp<std::uint64_t>(rows, 1, std::max<std::uint64_t>(1, store_block_bytes / row_bytes));
  const hdf5::Handle dataset = hdf5::create_dataset(file, name, type, row_dims, chunk_rows);
  hdf5::append_rows(file, dataset, name, row_dims, 0, rows, integer_type<T>(), values);
}

}  // namespace

std::string_view StoreIndex::id(std::uint64_t row) const {
  const std::uint64_t begin = row == 0 ? 0 : id_end[row - 1];
  return std::string_view(ids).substr(begin, id_end[row] - begin);
}

StoreRow StoreIndex::row(std::uint64_t row) const {
  StoreRow result;
  result.id = id(row);
  result.gist_tokens = static_cast<std::uint32_t>(gist_end[row] - gist_begin(row));
  result.position = position[row];
  result.ordinal = ordinal[row];
  result.prompt_tokens = prompt_tokens[row];
  result.prompt_sha256 = prompt_sha256[row];
  return result;
}

std::optional<std::uint64_t> StoreIndex::find(std::string_view wanted) const {
  const auto found = std::lower_bound(
      by_id.begin(), by_id.end(), wanted,
      [this](std::uint64_t row, std::string_view value) { return id(row) < value; });
  if (found == by_id.end() || id(*found) != wanted) return std::nullopt;
  return *found;
}

void StoreIndex::append(const StoreRow& row) {
  gist_end.push_back(total_gist_tokens() + row.gist_tokens);
  ids += row.id;
  id_end.push_back(ids.size());
  position.push_back(row.position);
  ordinal.push_back(row.ordinal);
  prompt_tokens.push_back(row.prompt_tokens);
  prompt_sha256.push_back(row.prompt_sha256);
}

std::vector<std::uint64_t> rows_by_id(const StoreIndex& index, const std::string& name) {
  std::vector<std::uint64_t> rows(index.rows());
  std::iota(rows.begin(), rows.end(), std::uint64_t{0});
  std::sort(rows.begin(), rows.end(), [&index](std::uint64_t a, std::uint64_t b) {
    return index.id(a) != index.id(b) ? index.id(a) < index.id(b) : a < b;
  });
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (index.id(rows[i - 1]) == index.id(rows[i])) {
      fail(ErrorKind::data, "{}: rows {} and {} have the same id {}", name, rows[i - 1], rows[i],
           in_quotes(index.id(rows[i])));
    }
  }
  return rows;
}

StoreIndex read_store_index(const hdf5::File& file) {
  StoreIndex index;
  const std::uint64_t rows = hdf5::open_dataset(file, "/index/id_end", H5T_INTEGER, 1).dims[0];
  index.id_end = read_column<std::uint64_t>(file, "/index/id_end", rows);
  index.ids = read_ids(file);
  check_ends(file, "/index/id_end", index.id_end, index.ids.size(), index.ids.size());
  for (std::uint64_t row = 0; row < rows; ++row) {
    if (!valid_utf8(index.id(row))) {
      fail(ErrorKind::data, "{}: /index/id, row {}: not UTF-8", file.name(), row);
    }
  }
  index.by_id = read_column<std::uint64_t>(file, "/index/by_id", rows);
  check_by_id(file, index);
  index.gist_end = read_column<std::uint64_t>(file, "/index/gist_end", rows);
  const std::uint64_t tokens = hdf5::open_dataset(file, "/gist/key", H5T_FLOAT, 4).dims[0];
  check_ends(file, "/index/gist_end", index.gist_end, std::numeric_limits<std::int32_t>::max(),
             tokens);
  index.position = read_column<std::uint32_t>(file, "/index/position", rows);
  index.ordinal = read_column<std::uint64_t>(file, "/index/ordinal", rows);
  index.prompt_tokens = read_column<std::uint32_t>(file, "/index/prompt_tokens", rows);
  index.prompt_sha256 = read_hashes(file, rows);
  check_positions(file, index);
  return index;
}

void write_store_index(const hdf5::File& file, const StoreIndex& index) {
  const std::uint64_t rows = index.rows();
  write_column(file, "/index/id", H5T_STD_U8LE, {}, index.ids.size(),
               reinterpret_cast<const std::uint8_t*>(index.ids.data()));
  write_column(file, "/index/id_end", H5T_STD_U64LE, {}, rows, index.id_end.data());
  write_column(file, "/index/by_id", H5T_STD_U64LE, {}, rows, index.by_id.data());
  write_column(file, "/index/gist_end", H5T_STD_U64LE, {}, rows, index.gist_end.data());
  write_column(file, "/index/position", H5T_STD_U32LE, {}, rows, index.position.data());
  write_column(file, "/index/ordinal", H5T_STD_U64LE, {}, rows, index.ordinal.data());
  write_column(file, "/index/prompt_tokens", H5T_STD_U32LE, {}, rows, index.prompt_tokens.data());
  write_column(file, "/index/prompt_sha256", H5T_STD_U8LE, {std::tuple_size_v<Sha256>}, rows,
               reinterpret_cast<const std::uint8_t*>(index.prompt_sha256.data()));
}

}  // namespace gist
