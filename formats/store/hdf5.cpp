#include "formats/store/hdf5.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <system_error>
#include <utility>

#include "formats/files/durable.h"
#include "formats/store/hdf5_superblock.h"
#include "kernels/error.h"

namespace gist::hdf5 {
namespace {

/// Failure is what HDF5's error stack says, from the innermost failure out.
struct Failure {
  bool not_hdf5 = false;
  bool truncated = false;
  bool checksum = false;
  bool filter_missing = false;
  bool value_range = false;
  std::string innermost;
};

herr_t note_failure(unsigned, const H5E_error2_t* error, void* data) {
  Failure& failure = *static_cast<Failure*>(data);
  const std::string_view text = error->desc == nullptr ? "" : error->desc;
  if (failure.innermost.empty()) failure.innermost = text;
  failure.not_hdf5 |= error->min_num == H5E_NOTHDF5;
  failure.truncated |= error->min_num == H5E_TRUNCATED;
  failure.checksum |= text.find("checksum") != std::string_view::npos;
  failure.filter_missing |= error->min_num == H5E_NOFILTER;
  failure.value_range |= text.find("can't handle conversion exception") != std::string_view::npos;
  return 0;
}

Failure last_failure() {
  Failure failure;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, note_failure, &failure);
  return failure;
}

/// "one line, whatever HDF5 wrote"
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text.empty() ? "HDF5 gives no reason" : text;
}

/// HDF5 itself would look for its signature further on, and follow what the superblock says.
void check_superblock(const std::string& name, const FileAccess& access) {
  std::array<std::byte, longest_superblock> start;
  const ssize_t got = ::pread(access.descriptor, start.data(), start.size(), 0);
  if (got < 0) {
    fail(ErrorKind::io, "{}: can't be opened: {}", name, std::generic_category().message(errno));
  }
  const std::span<const std::byte> found(start.data(), static_cast<std::size_t>(got));
  if (!has_signature(found)) {
    fail(ErrorKind::data, "{}: can't be opened: no HDF5 file", name);
  }
  if (const std::string fault = superblock_fault(found); !fault.empty()) {
    fail(ErrorKind::data, "{}: can't be opened: {}; gist stores are plain HDF5 files", name, fault);
  }
}

Handle float_type(std::size_t bytes, std::size_t sign, std::size_t exponent_at,
                  std::size_t exponent_bits, std::size_t bias) {
  const QuietErrors quiet;
  Handle type(H5Tcopy(H5T_IEEE_F32LE));
  if (H5Tset_fields(type.get(), sign, exponent_at, exponent_bits, 0, exponent_at) < 0 ||
      H5Tset_size(type.get(), bytes) < 0 || H5Tset_ebias(type.get(), bias) < 0) {
    fail(ErrorKind::internal, "HDF5 can't make a float type of {} bytes", bytes);
  }
  return type;
}

}  // namespace

QuietErrors::QuietErrors() {
  // Otherwise HDF5 would complain at exit on stderr of the damaged files of which it can't let go.
  // Nothing is left to it there: all files are closed by their handles.
  H5dont_atexit();
  H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

QuietErrors::~QuietErrors() {
  H5Eset_auto2(H5E_DEFAULT, print_, data_);
}

Handle::Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}

Handle& Handle::operator=(Handle&& other) noexcept {
  std::swap(id_, other.id_);
  return *this;
}

Handle::~Handle() {
  close();
}

void Handle::close() {
  if (id_ < 0) return;
  const QuietErrors quiet;
  H5Idec_ref(std::exchange(id_, H5I_INVALID_HID));
}

File::File(const std::filesystem::path& path)
    : name_(path.string()), access_(std::make_shared<FileAccess>()) {}

File File::open(const std::filesystem::path& path) {
  File file(path);
  FileAccess& access = *file.access_;
  access.descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status {};
  if (access.descriptor < 0 || ::fstat(access.descriptor, &status) != 0) {
    fail(ErrorKind::no_input, "{}: can't be opened: {}", file.name_,
         std::generic_category().message(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    fail(ErrorKind::no_input, "{}: is no regular file", file.name_);
  }
  access.bytes = static_cast<std::uint64_t>(status.st_size);
  if (access.bytes == 0) fail(ErrorKind::data, "{}: is empty: no HDF5 file", file.name_);

  check_superblock(file.name_, access);

  const QuietErrors quiet;
  H5PLset_loading_state(0);  // no code is loaded because a file asks for it
  const Handle list(file_access_list(access));
  if (!list) file.fail_reading("can't be opened");
  file.file_ = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, list.get()));
  if (!file.file_) file.fail_reading("can't be opened");
  return file;
}

File File::create(const std::filesystem::path& path) {
  File file(path);
  FileAccess& access = *file.access_;
  access.descriptor =
      ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (access.descriptor < 0) {
    const ErrorKind kind =
        errno == ENOSPC || errno == EDQUOT ? ErrorKind::io : ErrorKind::cannot_create;
    fail(kind, "{}: can't be created: {}", file.name_, write_error_text(errno));
  }
  const QuietErrors quiet;
  const Handle list(file_access_list(access));
  const Handle creation(H5Pcreate(H5P_FILE_CREATE));
  // Time stamps would make two equal stores differ; the pinned format does so across HDF5's
  // versions. All attributes stay in the root group's header, which has a checksum.
  constexpr unsigned attributes_in_header = 256;
  if (!list || !creation || H5Pset_obj_track_times(creation.get(), false) < 0 ||
      H5Pset_attr_phase_change(creation.get(), attributes_in_header, 0) < 0 ||
      H5Pset_libver_bounds(list.get(), H5F_LIBVER_V110, H5F_LIBVER_V110) < 0) {
    fail(ErrorKind::internal, "{}: HDF5 refuses its file properties", file.name_);
  }
  file.file_ = Handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), list.get()));
  file.check_written(file.file_ ? 0 : -1, "can't be created");
  return file;
}

void File::fail_reading(std::string_view what) const {
  const Failure failure = last_failure();
  if (access_->error != 0) {
    fail(ErrorKind::io, "{}: {}: {}", name_, what, std::generic_category().message(access_->error));
  }
  const std::string_view remedy = "; restore the file or write it anew";
  if (failure.not_hdf5) fail(ErrorKind::data, "{}: {}: no HDF5 file", name_, what);
  if (failure.truncated) {
    fail(ErrorKind::data, "{}: {}: truncated, it ends at {} bytes, before its end as written{}",
         name_, what, access_->bytes, remedy);
  }
  if (!access_->fault.empty()) {
    fail(ErrorKind::data, "{}: {}: {}{}", name_, what, access_->fault, remedy);
  }
  if (failure.checksum) {
    fail(ErrorKind::data, "{}: {}: damaged, a checksum is wrong{}", name_, what, remedy);
  }
  if (failure.filter_missing) {
    fail(ErrorKind::data, "{}: {}: written with an HDF5 filter that is not installed here ({})",
         name_, what, one_line(failure.innermost));
  }
  if (failure.value_range) {
    fail(ErrorKind::data, "{}: {}: a number is out of its range", name_, what);
  }
  fail(ErrorKind::data, "{}: {}: damaged ({}){}", name_, what, one_line(failure.innermost), remedy);
}

void File::check_written(herr_t status, std::string_view what) const {
  if (access_->error != 0) {
    fail(ErrorKind::io, "{}: can't be written: {}", name_, write_error_text(access_->error));
  }
  if (status < 0) {
    fail(ErrorKind::internal, "{}: {}: {}", name_, what, one_line(last_failure().innermost));
  }
}

void File::close() {
  const QuietErrors quiet;
  const herr_t status = H5Fflush(file_.get(), H5F_SCOPE_GLOBAL);
  check_written(status, "can't be flushed");
  file_.close();
  check_written(0, "can't be closed");
}

Handle f32_type() {
  const QuietErrors quiet;
  return Handle(H5Tcopy(H5T_IEEE_F32LE));
}
Handle bf16_type() {
  return float_type(2, 15, 7, 8, 127);
}
Handle f16_type() {
  return float_type(2, 15, 10, 5, 15);
}

}  // namespace gist::hdf5
