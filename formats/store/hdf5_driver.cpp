#include "formats/store/hdf5_driver.h"

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#if __has_include(<H5FDdevelop.h>)
#include <H5FDdevelop.h>
#endif

namespace gist::hdf5 {
namespace {

constexpr std::size_t heap_header = 16;    // "GCOL", version, 3 reserved, size u64
constexpr std::size_t object_header = 16;  // index u16, references u16, 4 reserved, size u64
constexpr haddr_t last_address = std::numeric_limits<off_t>::max();

struct DriverFile {
  H5FD_t base;  // first: HDF5 sees this part only
  std::shared_ptr<FileAccess> access;
  haddr_t end_of_allocation;
};

struct DriverInfo {
  FileAccess* access;
};

FileAccess& access_of(H5FD_t* file) {
  return *reinterpret_cast<DriverFile*>(file)->access;
}

template <typename T>
T little_endian(std::span<const std::byte> bytes, std::size_t at) {
  T value = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) {
    value = static_cast<T>(value << 8 | std::to_integer<T>(bytes[at + i]));
  }
  return value;
}

/// HDF5 reads a collection whole, or its first 4096 bytes to learn its size. Only the whole one is
/// used.
bool is_whole_heap(std::span<const std::byte> bytes) {
  static constexpr char signature[] = {'G', 'C', 'O', 'L', 1, 0, 0, 0};
  return bytes.size() > heap_header &&
         std::memcmp(bytes.data(), signature, sizeof signature) == 0 &&
         little_endian<std::uint64_t>(bytes, 8) <= bytes.size();
}

H5FD_t* open(const char*, unsigned, hid_t access_list, haddr_t) {
  const auto* info = static_cast<const DriverInfo*>(H5Pget_driver_info(access_list));
  if (info == nullptr) return nullptr;
  auto file = std::make_unique<DriverFile>();
  file->access = info->access->shared_from_this();
  return &file.release()->base;
}

herr_t close(H5FD_t* file) {
  const std::unique_ptr<DriverFile> owned(reinterpret_cast<DriverFile*>(file));
  return 0;
}

herr_t query(const H5FD_t*, unsigned long* flags) {
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
           H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t get_eoa(const H5FD_t* file, H5FD_mem_t) {
  return reinterpret_cast<const DriverFile*>(file)->end_of_allocation;
}

herr_t set_eoa(H5FD_t* file, H5FD_mem_t, haddr_t address) {
  reinterpret_cast<DriverFile*>(file)->end_of_allocation = address;
  return 0;
}

haddr_t get_eof(const H5FD_t* file, H5FD_mem_t) {
  return reinterpret_cast<const DriverFile*>(file)->access->bytes;
}

bool in_range(haddr_t address, std::size_t size) {
  return address <= last_address && size <= last_address - address;
}

/// Past the file's end there are zeros, as in HDF5's own drivers.
herr_t read(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, std::size_t size, void* buffer) {
  FileAccess& access = access_of(file);
  if (!in_range(address, size)) return -1;
  const std::span<std::byte> target(static_cast<std::byte*>(buffer), size);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::pread(access.descriptor, target.data() + done, size - done,
                                static_cast<off_t>(address + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      if (access.error == 0) access.error = errno;
      return -1;
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  if (done < size) std::memset(target.data() + done, 0, size - done);
  if (is_whole_heap(target) &&
      !heap_is_sound(target.first(little_endian<std::uint64_t>(target, 8)))) {
    access.fault = "the strings at byte " + std::to_string(address) + " are damaged";
    return -1;
  }
  return 0;
}

herr_t write(H5FD_t* file, H5FD_mem_t, hid_t, haddr_t address, std::size_t size,
             const void* buffer) {
  FileAccess& access = access_of(file);
  if (!in_range(address, size)) return -1;
  const auto* source = static_cast<const std::byte*>(buffer);
  for (std::size_t done = 0; done < size && access.error == 0;) {
    const ssize_t put =
        ::pwrite(access.descriptor, source + done, size - done, static_cast<off_t>(address + done));
    if (put > 0) {
      done += static_cast<std::size_t>(put);
    } else if (put == 0 || errno != EINTR) {
      access.error = put == 0 ? ENOSPC : errno;
    }
  }
  access.bytes = std::max<std::uint64_t>(access.bytes, address + size);
  return 0;
}

herr_t truncate(H5FD_t* file, hid_t, hbool_t) {
  FileAccess& access = access_of(file);
  const haddr_t end = reinterpret_cast<DriverFile*>(file)->end_of_allocation;
  if (end == access.bytes || access.error != 0) return 0;
  if (::ftruncate(access.descriptor, static_cast<off_t>(end)) != 0) access.error = errno;
  access.bytes = end;
  return 0;
}

H5FD_class_t driver_class() {
  H5FD_class_t driver{};
#if H5_VERSION_GE(1, 13, 0)
  driver.version = H5FD_CLASS_VERSION;
  driver.value = static_cast<H5FD_class_value_t>(500);  // the range for a program's own drivers
#endif
  driver.name = "gist";
  driver.maxaddr = last_address;
  driver.fc_degree = H5F_CLOSE_STRONG;
  driver.fapl_size = sizeof(DriverInfo);
  driver.open = open;
  driver.close = close;
  driver.query = query;
  driver.get_eoa = get_eoa;
  driver.set_eoa = set_eoa;
  driver.get_eof = get_eof;
  driver.read = read;
  driver.write = write;
  driver.truncate = truncate;
  const H5FD_mem_t memory_types[] = H5FD_FLMAP_DICHOTOMY;
  std::memcpy(driver.fl_map, memory_types, sizeof driver.fl_map);
  return driver;
}

}  // namespace

FileAccess::~FileAccess() {
  if (descriptor >= 0) ::close(descriptor);
}

bool heap_is_sound(std::span<const std::byte> heap) {
  if (heap.size() < heap_header) return false;
  std::vector<bool> seen(heap.size() / object_header + 1);
  std::size_t objects = 0;
  std::size_t highest = 0;
  std::size_t at = heap_header;
  while (heap.size() - at >= object_header) {
    const std::size_t index = little_endian<std::uint16_t>(heap, at);
    const std::uint64_t size = little_endian<std::uint64_t>(heap, at + 8);
    const std::size_t left = heap.size() - at;
    if (index == 0) return size == left && highest == objects;  // the free space, last
    if (size > left - object_header || index >= seen.size() || seen[index]) return false;
    const std::size_t padded = object_header + (size + 7) / 8 * 8;
    if (padded > left) return false;
    seen[index] = true;
    highest = std::max(highest, index);
    ++objects;
    at += padded;
  }
  return highest == objects;
}

hid_t file_access_list(FileAccess& access) {
  const H5FD_class_t driver = driver_class();
  const hid_t driver_id = H5FDregister(&driver);
  const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
  const DriverInfo info{&access};
  if (driver_id < 0 || list < 0 || H5Pset_driver(list, driver_id, &info) < 0) return -1;
  H5FDunregister(driver_id);  // the list holds it from here on
  return list;
}

}  // namespace gist::hdf5
