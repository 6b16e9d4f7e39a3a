// Arrays: opened with all their claims checked, read and written by rows of their first dimension.
#include <algorithm>
#include <limits>
#include <set>

#include "formats/store/hdf5.h"
#include "kernels/error.h"

namespace gist::hdf5 {
namespace {

constexpr std::uint64_t deflate_limit = 1032;  // zlib's greatest ratio
constexpr std::uint64_t default_cache_bytes = std::uint64_t{1} << 20;
/// An array that is written from front to back has this many chunks in memory, more than are in use
/// at a time.
constexpr std::uint64_t chunks_at_once = 64;

std::uint64_t product_or_fail(const File& file, const std::string& name,
                              const std::vector<std::uint64_t>& factors, std::uint64_t start) {
  std::uint64_t product = start;
  for (const std::uint64_t factor : factors) {
    if (__builtin_mul_overflow(product, factor, &product)) {
      fail(ErrorKind::data, "{}: {} has an impossible shape", file.name(), name);
    }
  }
  return product;
}

std::vector<std::uint64_t> dims_of(const File& file, const std::string& name, hid_t space) {
  const int rank = H5Sget_simple_extent_ndims(space);
  if (rank < 0) file.fail_reading(name);
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  if (H5Sget_simple_extent_dims(space, dims.data(), nullptr) < 0) file.fail_reading(name);
  return {dims.begin(), dims.end()};
}

/// Returns by how many bytes the data may be larger than they are stored. Filters are those that
/// gist and users of h5py write: checksums, shuffled bytes, gzip, each once.
std::uint64_t expansion_limit(const File& file, const std::string& name, hid_t creation) {
  const int filters = H5Pget_nfilters(creation);
  if (filters < 0) file.fail_reading(name);
  std::uint64_t expansion = 1;
  std::set<H5Z_filter_t> met;
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0;
    std::size_t values = 0;
    unsigned config = 0;
    const H5Z_filter_t filter = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &values,
                                               nullptr, 0, nullptr, &config);
    if (filter < 0) file.fail_reading(name);
    const bool known = filter == H5Z_FILTER_FLETCHER32 || filter == H5Z_FILTER_SHUFFLE ||
                       filter == H5Z_FILTER_DEFLATE;
    if (!known || !met.insert(filter).second) {
      fail(ErrorKind::data,
           "{}: {} went through {} HDF5 filter {}; gist reads gzip, shuffle and fletcher32, each "
           "once",
           file.name(), name, known ? "twice the" : "the", filter);
    }
    if (filter == H5Z_FILTER_DEFLATE) expansion = deflate_limit;
  }
  return expansion;
}

/// A number out of range would otherwise be clipped to one that looks right.
H5T_conv_ret_t refuse_out_of_range(H5T_conv_except_t exception, hid_t, hid_t, void*, void*, void*) {
  const bool out_of_range =
      exception == H5T_CONV_EXCEPT_RANGE_HI || exception == H5T_CONV_EXCEPT_RANGE_LOW;
  return out_of_range ? H5T_CONV_ABORT : H5T_CONV_UNHANDLED;
}

/// Rows [begin, begin + count) of an array as a selection of its file space.
Handle rows_selected(hid_t dataset, const std::vector<std::uint64_t>& dims, std::uint64_t begin,
                     std::uint64_t count) {
  Handle space(H5Dget_space(dataset));
  std::vector<hsize_t> start(dims.size(), 0);
  std::vector<hsize_t> size(dims.begin(), dims.end());
  start[0] = begin;
  size[0] = count;
  if (!space || H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, size.data(),
                                    nullptr) < 0) {
    return Handle();
  }
  return space;
}

void check_link(const File& file, const std::string& name) {
  H5L_info_t info;
  if (H5Lget_info(file.id(), name.c_str(), &info, H5P_DEFAULT) < 0) file.fail_reading(name);
  if (info.type != H5L_TYPE_HARD) {
    fail(ErrorKind::data, "{}: {} is a link to somewhere else; a store holds all its data itself",
         file.name(), name);
  }
}

std::string group_of(const std::string& name) {
  return name.substr(0, name.rfind('/'));
}

/// The data must be in this file, all of them, and in chunks that fit in it.
void check_storage(const File& file, Dataset& dataset) {
  const Handle creation(H5Dget_create_plist(dataset.id.get()));
  if (!creation) file.fail_reading(dataset.name);
  const H5D_layout_t layout = H5Pget_layout(creation.get());
  if (layout < 0) file.fail_reading(dataset.name);
  if ((layout != H5D_CHUNKED && layout != H5D_CONTIGUOUS && layout != H5D_COMPACT) ||
      H5Pget_external_count(creation.get()) != 0) {
    fail(ErrorKind::data, "{}: {} keeps its data in other files; a store holds all its data itself",
         file.name(), dataset.name);
  }
  const std::uint64_t element = H5Tget_size(dataset.type.get());
  if (element < 1 || element > sizeof(std::uint64_t)) {
    fail(ErrorKind::data, "{}: {} has numbers of {} bytes", file.name(), dataset.name, element);
  }
  const std::uint64_t claimed = product_or_fail(file, dataset.name, dataset.dims, element);
  const std::uint64_t limit = expansion_limit(file, dataset.name, creation.get());
  const std::uint64_t stored =
      std::min<std::uint64_t>(H5Dget_storage_size(dataset.id.get()), file.bytes());
  if (stored == 0 && H5Eget_num(H5E_DEFAULT) > 0) file.fail_reading(dataset.name);
  if (claimed / limit > stored) {
    fail(ErrorKind::data, "{}: {} claims {} bytes, but the file holds {} of them", file.name(),
         dataset.name, claimed, stored);
  }
  dataset.chunk_rows = std::max<std::uint64_t>(dataset.dims[0], 1);
  if (layout != H5D_CHUNKED) return;
  std::vector<hsize_t> chunk(dataset.dims.size());
  if (H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()) < 0) {
    file.fail_reading(dataset.name);
  }
  dataset.chunk_rows = chunk[0];
  dataset.chunk_bytes = product_or_fail(file, dataset.name, {chunk.begin(), chunk.end()}, element);
  if (claimed > 0 && dataset.chunk_bytes / limit > file.bytes()) {
    fail(ErrorKind::data, "{}: {} has chunks of {} bytes, more than the file", file.name(),
         dataset.name, dataset.chunk_bytes);
  }
}

/// A cache of `bytes`, of at least one chunk: rows that follow each other would otherwise read
/// theirs again and again. `chunks` is how many the array has.
Handle cache_list(std::uint64_t chunk_bytes, std::uint64_t bytes, std::uint64_t chunks) {
  const std::uint64_t size = std::max(chunk_bytes, bytes);
  // Two chunks that meet in a slot drive each other out; but each slot is cleared when the array is
  // opened, so a small array gets no more of them than it has chunks.
  constexpr std::uint64_t slots_a_chunk = 10;
  const std::uint64_t most = std::clamp<std::uint64_t>(chunks, 1, std::uint64_t{1} << 20);
  const std::uint64_t slots =
      std::min(slots_a_chunk * size / std::max<std::uint64_t>(1, chunk_bytes), most);
  // 0: whichever was used longest ago goes first. With 1 HDF5 keeps all partly read chunks,
  // whatever `size` is.
  constexpr double prefer_read_chunks = 0;
  Handle list(H5Pcreate(H5P_DATASET_ACCESS));
  H5Pset_chunk_cache(list.get(), slots | 1, size, prefer_read_chunks);
  return list;
}

}  // namespace

bool has_dataset(const File& file, const std::string& name) {
  const QuietErrors quiet;
  const htri_t group = H5Lexists(file.id(), group_of(name).c_str(), H5P_DEFAULT);
  const htri_t found = group > 0 ? H5Lexists(file.id(), name.c_str(), H5P_DEFAULT) : group;
  if (found < 0) file.fail_reading(name);
  return found > 0;
}

Dataset open_dataset(const File& file, const std::string& name, H5T_class_t type_class, int rank) {
  if (!has_dataset(file, name)) fail(ErrorKind::data, "{}: {} is missing", file.name(), name);
  const QuietErrors quiet;
  check_link(file, group_of(name));
  check_link(file, name);
  Dataset dataset;
  dataset.name = name;
  dataset.id = Handle(H5Oopen(file.id(), name.c_str(), H5P_DEFAULT));
  if (!dataset.id) file.fail_reading(name);
  if (H5Iget_type(dataset.id.get()) != H5I_DATASET) {
    fail(ErrorKind::data, "{}: {} is no array", file.name(), name);
  }
  dataset.type = Handle(H5Dget_type(dataset.id.get()));
  const Handle space(H5Dget_space(dataset.id.get()));
  if (!dataset.type || !space) file.fail_reading(name);
  dataset.dims = dims_of(file, name, space.get());
  if (H5Tget_class(dataset.type.get()) != type_class ||
      dataset.dims.size() != static_cast<std::size_t>(rank)) {
    fail(ErrorKind::data, "{}: {} is no array of {} with {} dimensions", file.name(), name,
         type_class == H5T_INTEGER ? "integers" : "floats", rank);
  }
  check_storage(file, dataset);
  set_chunk_cache(file, dataset, default_cache_bytes);
  return dataset;
}

void set_chunk_cache(const File& file, Dataset& dataset, std::uint64_t bytes) {
  const QuietErrors quiet;
  const std::uint64_t chunks = dataset.dims[0] / std::max<std::uint64_t>(1, dataset.chunk_rows) + 1;
  dataset.id = Handle();  // HDF5 takes the size of a cache only where it opens an array
  dataset.id = Handle(H5Dopen2(file.id(), dataset.name.c_str(),
                               cache_list(dataset.chunk_bytes, bytes, chunks).get()));
  if (!dataset.id) file.fail_reading(dataset.name);
}

void read_rows(const File& file, const Dataset& dataset, std::uint64_t begin, std::uint64_t count,
               hid_t memory_type, void* target) {
  if (count == 0) return;
  const QuietErrors quiet;
  const Handle file_space = rows_selected(dataset.id.get(), dataset.dims, begin, count);
  std::vector<hsize_t> memory_dims(dataset.dims.begin(), dataset.dims.end());
  memory_dims[0] = count;
  const Handle memory_space(
      H5Screate_simple(static_cast<int>(memory_dims.size()), memory_dims.data(), nullptr));
  const Handle transfer(H5Pcreate(H5P_DATASET_XFER));
  if (!file_space || !memory_space || !transfer) file.fail_reading(dataset.name);
  if (H5Tget_class(memory_type) == H5T_INTEGER) {
    H5Pset_type_conv_cb(transfer.get(), refuse_out_of_range, nullptr);
  }
  if (H5Dread(dataset.id.get(), memory_type, memory_space.get(), file_space.get(), transfer.get(),
              target) < 0) {
    file.fail_reading(dataset.name);
  }
}

Handle create_dataset(const File& file, const std::string& name, hid_t type,
                      const std::vector<std::uint64_t>& row_dims, std::uint64_t chunk_rows) {
  const QuietErrors quiet;
  std::vector<hsize_t> dims{0};
  std::vector<hsize_t> most{H5S_UNLIMITED};
  std::vector<hsize_t> chunk{chunk_rows};
  std::uint64_t chunk_bytes = chunk_rows * H5Tget_size(type);
  for (const std::uint64_t dim : row_dims) {
    for (auto* list : {&dims, &most, &chunk}) list->push_back(dim);
    chunk_bytes *= dim;
  }
  const int rank = static_cast<int>(dims.size());
  const Handle space(H5Screate_simple(rank, dims.data(), most.data()));
  const Handle creation(H5Pcreate(H5P_DATASET_CREATE));
  // Filled on allocation, so that the rest of the last chunk holds zeros and no memory of the
  // process.
  if (!space || !creation || H5Pset_chunk(creation.get(), rank, chunk.data()) < 0 ||
      H5Pset_fletcher32(creation.get()) < 0 || H5Pset_obj_track_times(creation.get(), false) < 0 ||
      H5Pset_fill_time(creation.get(), H5D_FILL_TIME_ALLOC) < 0) {
    file.check_written(-1, name);
  }
  Handle dataset(H5Dcreate2(file.id(), name.c_str(), type, space.get(), H5P_DEFAULT, creation.get(),
                            cache_list(chunk_bytes, default_cache_bytes, chunks_at_once).get()));
  file.check_written(dataset ? 0 : -1, name);
  return dataset;
}

void append_rows(const File& file, const Handle& dataset, const std::string& name,
                 const std::vector<std::uint64_t>& row_dims, std::uint64_t begin,
                 std::uint64_t count, hid_t memory_type, const void* source) {
  if (count == 0) return;
  const QuietErrors quiet;
  std::vector<std::uint64_t> dims{begin + count};
  dims.insert(dims.end(), row_dims.begin(), row_dims.end());
  const std::vector<hsize_t> extent(dims.begin(), dims.end());
  file.check_written(H5Dset_extent(dataset.get(), extent.data()), name);
  const Handle file_space = rows_selected(dataset.get(), dims, begin, count);
  std::vector<hsize_t> memory_dims(extent);
  memory_dims[0] = count;
  const Handle memory_space(
      H5Screate_simple(static_cast<int>(memory_dims.size()), memory_dims.data(), nullptr));
  if (!file_space || !memory_space) file.check_written(-1, name);
  file.check_written(H5Dwrite(dataset.get(), memory_type, memory_space.get(), file_space.get(),
                              H5P_DEFAULT, source),
                     name);
}

void create_group(const File& file, const char* name) {
  const QuietErrors quiet;
  const Handle creation(H5Pcreate(H5P_GROUP_CREATE));
  H5Pset_obj_track_times(creation.get(), false);
  const Handle group(H5Gcreate2(file.id(), name, H5P_DEFAULT, creation.get(), H5P_DEFAULT));
  file.check_written(group ? 0 : -1, name);
}

}  // namespace gist::hdf5
