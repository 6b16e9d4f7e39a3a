#include "formats/files/zip_directory.h"

#include <minizip/unzip.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* copy_again = "it is truncated or damaged; copy or download it again";

/// What minizip takes for an open file: the mapping, and where it is read next.
struct ZipStream {
  std::span<const std::byte> bytes;
  std::uint64_t at = 0;
};

ZipStream& zip_stream(void* stream) {
  return *static_cast<ZipStream*>(stream);
}

/// minizip reads through these. The name that it is given is the stream.
zlib_filefunc64_def reading_memory() {
  zlib_filefunc64_def functions{};
  functions.zopen64_file = [](void*, const void* stream, int) { return const_cast<void*>(stream); };
  functions.zread_file = [](void*, void* stream, void* target, uLong size) -> uLong {
    ZipStream& from = zip_stream(stream);
    const std::uint64_t count = std::min<std::uint64_t>(size, from.bytes.size() - from.at);
    if (count > 0) std::memcpy(target, from.bytes.data() + from.at, count);
    from.at += count;
    return count;
  };
  functions.ztell64_file = [](void*, void* stream) -> ZPOS64_T { return zip_stream(stream).at; };
  functions.zseek64_file = [](void*, void* stream, ZPOS64_T offset, int origin) -> long {
    ZipStream& in = zip_stream(stream);
    const std::uint64_t from = origin == ZLIB_FILEFUNC_SEEK_SET   ? 0
                               : origin == ZLIB_FILEFUNC_SEEK_CUR ? in.at
                                                                  : in.bytes.size();
    if (offset > in.bytes.size() - from) return -1;
    in.at = from + offset;
    return 0;
  };
  functions.zclose_file = [](void*, void*) { return 0; };
  functions.zerror_file = [](void*, void*) { return 0; };
  return functions;
}

struct CloseZip {
  void operator()(void* zip) const { unzClose(zip); }
};

void require_stored(const unz_file_info64& info, const std::string& place) {
  constexpr uLong encrypted = 1;
  if ((info.flag & encrypted) != 0) fail(ErrorKind::data, "{}: is encrypted", place);
  if (info.compression_method != 0 || info.compressed_size != info.uncompressed_size) {
    fail(ErrorKind::data,
         "{}: is compressed (method {}), but tensors are read in place: make an archive that only "
         "stores, as torch.save does",
         place, info.compression_method);
  }
}

/// The bytes of the entry that minizip stands at.
std::span<const std::byte> entry_bytes(unzFile zip, const unz_file_info64& info,
                                       std::span<const std::byte> file, const std::string& place) {
  if (unzOpenCurrentFile(zip) != UNZ_OK) fail(ErrorKind::data, "{}: {}", place, copy_again);
  const std::uint64_t begin = unzGetCurrentFileZStreamPos64(zip);
  // Its checksum is that of what was read through minizip: nothing was.
  unzCloseCurrentFile(zip);
  if (begin > file.size() || info.uncompressed_size > file.size() - begin) {
    fail(ErrorKind::data, "{}: ends behind the file's end: {}", place, copy_again);
  }
  return file.subspan(begin, info.uncompressed_size);
}

}  // namespace

ZipDirectory read_zip_directory(const MappedFile& file) {
  const std::string where = file.path().string();
  ZipStream stream{file.bytes()};
  zlib_filefunc64_def functions = reading_memory();
  const std::unique_ptr<void, CloseZip> zip(unzOpen2_64(&stream, &functions));
  if (!zip) fail(ErrorKind::data, "{}: no ZIP archive, or {}", where, copy_again);
  ZipDirectory entries;
  int found = unzGoToFirstFile(zip.get());
  for (; found == UNZ_OK; found = unzGoToNextFile(zip.get())) {
    unz_file_info64 info{};
    if (unzGetCurrentFileInfo64(zip.get(), &info, nullptr, 0, nullptr, 0, nullptr, 0) != UNZ_OK) {
      break;
    }
    std::string name(info.size_filename, '\0');
    if (unzGetCurrentFileInfo64(zip.get(), &info, name.data(), name.size(), nullptr, 0, nullptr,
                                0) != UNZ_OK) {
      break;
    }
    const std::string place = where + ": entry " + in_quotes(name);
    require_stored(info, place);
    const std::span<const std::byte> bytes = entry_bytes(zip.get(), info, file.bytes(), place);
    if (!entries.emplace(std::move(name), bytes).second) {
      fail(ErrorKind::data, "{}: is there twice", place);
    }
  }
  if (found != UNZ_END_OF_LIST_OF_FILE) fail(ErrorKind::data, "{}: {}", where, copy_again);
  return entries;
}

}  // namespace gist
