// The file beneath HDF5: a driver of its own, for three reasons.
//  - Readers take no lock and never write.
//  - HDF5 1.10 doesn't check the sizes in a global heap (where strings of variable length live, the
//    one structure without a checksum) and overruns its buffers when they are damaged. Here a heap
//    is checked before HDF5 sees it.
//  - After a failed write HDF5 can't close its file any more. Here the first failure is kept, later
//    writes are dropped, and HDF5 closes in peace; whoever writes asks for the failure.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace gist::hdf5 {

/// One open file, shared by the driver and its user, for as long as one of them needs it: HDF5
/// never lets go of some damaged files.
struct FileAccess : std::enable_shared_from_this<FileAccess> {
  FileAccess() = default;
  FileAccess(const FileAccess&) = delete;
  FileAccess& operator=(const FileAccess&) = delete;
  ~FileAccess();

  int descriptor = -1;      // closed in the end
  std::uint64_t bytes = 0;  // the file's size
  int error = 0;            // errno of the first read or write that failed
  std::string fault;        // the first damaged heap: where
};

/// A file access property list over `access`, which a shared_ptr owns; H5Pclose it. Negative where
/// HDF5 fails.
hid_t file_access_list(FileAccess& access);

/// Whether a global heap collection (from its signature to its end) is well formed: its objects,
/// numbered from 1 without a gap, fill it exactly.
bool heap_is_sound(std::span<const std::byte> heap);

}  // namespace gist::hdf5
