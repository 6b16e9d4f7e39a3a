#include "formats/model/torch_file.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "formats/files/file_io.h"
#include "formats/files/text.h"
#include "formats/files/zip_directory.h"
#include "formats/model/torch_pickle.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t max_pickle_bytes = std::size_t{8} << 20;  // a tensor takes about 150
constexpr std::string_view zip_signature = "PK";
// Protocol 2, and the first of the old format's numbers, whose pickle says that it has 10 bytes.
constexpr std::string_view old_signature = "\x80\x02\x8a\x0a";
constexpr std::string_view pickle_name = "data.pkl";

void require_zip(const MappedFile& file) {
  const std::string where = file.path().string();
  refuse_git_lfs_pointer(file.text(), where);
  if (file.text().starts_with(zip_signature)) return;
  if (file.text().starts_with(old_signature)) {
    fail(ErrorKind::data,
         "{}: is a file of torch before 1.6, which gist can't use: convert it in Python by "
         "torch.save(torch.load(FILE, weights_only=True), FILE)",
         where);
  }
  fail(ErrorKind::data,
       "{}: is no file of torch.save: expected a ZIP archive; copy or download it "
       "again",
       where);
}

/// The name of the folder that all entries stand in, with its slash.
std::string folder_of(const ZipDirectory& entries, const std::string& where) {
  std::string folder;
  for (const auto& [name, bytes] : entries) {
    const std::size_t slash = name.find('/');
    if (slash == std::string::npos || name.substr(slash + 1) != pickle_name) continue;
    if (!folder.empty()) fail(ErrorKind::data, "{}: has more than one {}", where, pickle_name);
    folder = name.substr(0, slash + 1);
  }
  if (folder.empty()) {
    fail(ErrorKind::data, "{}: is a ZIP archive, but none of torch.save: it has no {}", where,
         pickle_name);
  }
  return folder;
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void require_little_endian(const ZipDirectory& entries, const std::string& folder,
                           const std::string& where) {
  const auto order = entries.find(folder + "byteorder");
  if (order == entries.end() || text_of(order->second) == "little") return;
  fail(ErrorKind::data, "{}: its byte order is {}; gist reads \"little\"", where,
       in_quotes(text_of(order->second)));
}

/// Dimensions that have a stride that matters, from the widest to the narrowest.
std::vector<std::size_t> by_stride(const PickledTensor& tensor) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    if (tensor.shape[i] != 1) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return tensor.strides[a] > tensor.strides[b];
  });
  return order;
}

/// Copies a tensor's values in row-major order. `source` holds them from the tensor's offset on.
std::vector<std::byte> in_row_major(const PickledTensor& tensor, const std::byte* source,
                                    std::size_t each, std::size_t bytes) {
  std::vector<std::byte> copy(bytes);
  std::vector<std::int64_t> at(tensor.shape.size(), 0);
  std::uint64_t from = 0;  // the stride of a dimension of size 1 may be any number
  for (std::size_t to = 0; to < bytes; to += each) {
    std::memcpy(copy.data() + to, source + from * each, each);
    for (std::size_t i = at.size(); i-- > 0;) {
      const auto stride = static_cast<std::uint64_t>(tensor.strides[i]);
      from += stride;
      if (++at[i] < tensor.shape[i]) break;
      from -= stride * static_cast<std::uint64_t>(tensor.shape[i]);
      at[i] = 0;
    }
  }
  return copy;
}

class TorchTensors {
 public:
  TorchTensors(const ZipDirectory& entries, const std::string& folder, const MappedFile& file)
      : entries_(entries), folder_(folder), file_(file) {}

  StoredTensor place(const std::string& name, const PickledTensor& pickled) {
    const std::string place = place_of_tensor(file_.path(), name);
    const std::size_t each = element_bytes(pickled.dtype).value();
    const std::span<const std::byte> storage = storage_of(pickled, each, place);
    StoredTensor tensor{std::string(pickled.dtype), pickled.shape, storage.data(),
                        tensor_bytes(pickled.shape, each, place)};
    if (tensor.bytes == 0) return tensor;
    const std::size_t elements = storage.size() / each;
    const auto offset = static_cast<std::size_t>(pickled.offset);
    if (offset > elements || tensor.bytes / each > elements - offset) {
      fail(ErrorKind::data, "{}: reaches behind the end of its storage, which has {} values", place,
           elements);
    }
    tensor.data = storage.data() + offset * each;
    const std::vector<std::size_t> order = by_stride(pickled);
    require_whole(pickled, order, place);
    if (std::is_sorted(order.begin(), order.end())) return tensor;
    copied_ += tensor.bytes;
    if (copied_ > file_.size()) {
      fail(ErrorKind::data,
           "{}: the transposed tensors are larger than the file: save them after "
           ".contiguous()",
           place);
    }
    copies_.push_back(in_row_major(pickled, tensor.data, each, tensor.bytes));
    tensor.data = copies_.back().data();
    return tensor;
  }

  std::vector<std::vector<std::byte>> take_copies() { return std::move(copies_); }

 private:
  std::span<const std::byte> storage_of(const PickledTensor& pickled, std::size_t each,
                                        const std::string& place) const {
    const auto entry = entries_.find(folder_ + "data/" + std::string(pickled.storage));
    if (entry == entries_.end()) {
      fail(ErrorKind::data, "{}: its storage, {}, isn't in the file", place,
           in_quotes(pickled.storage));
    }
    const std::span<const std::byte> bytes = entry->second;
    if (bytes.size() % each != 0 ||
        bytes.size() / each != static_cast<std::size_t>(pickled.storage_elements)) {
      fail(ErrorKind::data, "{}: its storage should have {} values of {} bytes, but has {} bytes",
           place, pickled.storage_elements, each, bytes.size());
    }
    return bytes;
  }

  /// Throws unless the values fill a piece of the storage without gap or overlap, in the order of
  /// some dimensions. There are some values, and not more than the storage has.
  static void require_whole(const PickledTensor& pickled, const std::vector<std::size_t>& order,
                            const std::string& place) {
    std::int64_t stride = 1;
    for (std::size_t i = order.size(); i-- > 0;) {
      if (pickled.strides[order[i]] != stride) {
        fail(ErrorKind::data,
             "{}: is a part of a larger tensor (shape [{}], strides [{}]): save it after .clone()",
             place, fmt::join(pickled.shape, ", "), fmt::join(pickled.strides, ", "));
      }
      stride *= pickled.shape[order[i]];
    }
  }

  const ZipDirectory& entries_;
  const std::string& folder_;
  const MappedFile& file_;
  std::size_t copied_ = 0;
  std::vector<std::vector<std::byte>> copies_;
};

}  // namespace

TensorFile read_torch_file(const std::filesystem::path& path) {
  const std::string where = path.string();
  MappedFile file(path);
  require_zip(file);
  const ZipDirectory entries = read_zip_directory(file);
  const std::string folder = folder_of(entries, where);
  require_little_endian(entries, folder, where);
  const std::string_view pickle = text_of(entries.at(folder + std::string(pickle_name)));
  if (pickle.size() > max_pickle_bytes) {
    fail(ErrorKind::data, "{}: its {} has {} bytes; a state dict's has {} at most", where,
         pickle_name, pickle.size(), max_pickle_bytes);
  }
  TorchTensors torch(entries, folder, file);
  std::map<std::string, StoredTensor> tensors;
  for (const auto& [name, pickled] :
       read_state_dict(pickle, fmt::format("{}, {}", where, pickle_name))) {
    tensors.emplace(name, torch.place(name, pickled));
  }
  return {std::move(file), std::move(tensors), torch.take_copies()};
}

}  // namespace gist
