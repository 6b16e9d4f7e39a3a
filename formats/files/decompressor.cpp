#include "formats/files/decompressor.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view gzip_suffix = ".gz";
constexpr std::string_view zstd_suffix = ".zst";
constexpr std::string_view gzip_magic = "\x1F\x8B";
constexpr std::string_view zstd_magic = "\x28\xB5\x2F\xFD";
constexpr std::string_view skippable_magic = "\x2A\x4D\x18";  // RFC 8878, 3.1.2: behind 50 to 5F

/// StepResult is what a step has done.
struct StepResult {
  std::size_t taken = 0;  // bytes of input
  std::size_t given = 0;  // bytes of output
  bool whole = false;     // a file, or one of several in it, ended exactly here
  const char* error = nullptr;
};

class Gzip {
 public:
  static constexpr const char* name = "gzip";

  Gzip() {
    constexpr int gzip_header = 16;
    if (::inflateInit2(&stream_, MAX_WBITS + gzip_header) != Z_OK) {
      fail(ErrorKind::unavailable, "zlib can't start: no memory");
    }
  }
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;
  ~Gzip() { ::inflateEnd(&stream_); }

  StepResult step(std::string_view input, char* out, std::size_t size) {
    if (ended_ && !input.empty()) {
      // Some writers fill up their last block with zero bytes; gzip and zcat take no notice.
      const std::size_t zeros = std::min(input.find_first_not_of('\0'), input.size());
      if (zeros > 0) return {zeros, 0, true, nullptr};
      ::inflateReset(&stream_);
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out);
    stream_.avail_out = static_cast<uInt>(size);
    const int result = ::inflate(&stream_, Z_NO_FLUSH);
    ended_ = result == Z_STREAM_END;
    // Z_BUF_ERROR: there was nothing to do.
    const bool good = result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
    const char* error = stream_.msg != nullptr ? stream_.msg : ::zError(result);
    return {input.size() - stream_.avail_in, size - stream_.avail_out, ended_,
            good ? nullptr : error};
  }

 private:
  z_stream stream_{};
  bool ended_ = false;
};

class Zstd {
 public:
  static constexpr const char* name = "zstd";

  Zstd() : stream_(::ZSTD_createDStream()) {
    if (stream_ == nullptr) fail(ErrorKind::unavailable, "libzstd can't start: no memory");
  }
  Zstd(const Zstd&) = delete;
  Zstd& operator=(const Zstd&) = delete;
  ~Zstd() { ::ZSTD_freeDStream(stream_); }

  StepResult step(std::string_view input, char* out, std::size_t size) {
    ZSTD_inBuffer source{input.data(), input.size(), 0};
    ZSTD_outBuffer target{out, size, 0};
    const std::size_t result = ::ZSTD_decompressStream(stream_, &target, &source);
    return {source.pos, target.pos, result == 0,
            ::ZSTD_isError(result) != 0 ? ::ZSTD_getErrorName(result) : nullptr};
  }

 private:
  ZSTD_DStream* stream_;
};

/// Tells by its first bytes what kind a file is that isn't what its name says; returns nothing
/// where that can't be told.
std::optional<const char*> other_kind(std::string_view bytes) {
  switch (compression_in(bytes)) {
    case Compression::gzip:
      return "gzip wrote it; name it *.gz";
    case Compression::zstd:
      return "zstd wrote it; name it *.zst";
    case Compression::none:
      break;
  }
  const std::string_view start = bytes.substr(0, 4);
  const bool text = std::all_of(start.begin(), start.end(), [](char c) {
    return (c >= ' ' && c <= '~') || c == '\t' || c == '\r' || c == '\n';
  });
  if (text) return "it is text; name it without .gz or .zst";
  return std::nullopt;
}

}  // namespace

Compression compression_of(std::string_view path) {
  if (path.ends_with(gzip_suffix)) return Compression::gzip;
  if (path.ends_with(zstd_suffix)) return Compression::zstd;
  return Compression::none;
}

Compression compression_in(std::string_view bytes) {
  if (bytes.starts_with(gzip_magic)) return Compression::gzip;
  const bool skippable = bytes.size() >= 4 && (bytes[0] & 0xF0) == 0x50 &&
                         bytes.substr(1).starts_with(skippable_magic);
  if (bytes.starts_with(zstd_magic) || skippable) return Compression::zstd;
  return Compression::none;
}

std::string_view without_compression(std::string_view path) {
  switch (compression_of(path)) {
    case Compression::gzip:
      path.remove_suffix(gzip_suffix.size());
      break;
    case Compression::zstd:
      path.remove_suffix(zstd_suffix.size());
      break;
    case Compression::none:
      break;
  }
  return path;
}

struct Decompressor::Impl {
  std::string file;
  std::variant<Gzip, Zstd> codec;
  bool begun = false;
  bool whole = false;
  bool has_more = false;

  const char* format() const {
    return std::visit([](const auto& any) { return any.name; }, codec);
  }
};

Decompressor::Decompressor(Compression compression, std::string name)
    : impl_(std::make_unique<Impl>()) {
  impl_->file = std::move(name);
  if (compression == Compression::zstd) impl_->codec.emplace<Zstd>();
}

Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor::~Decompressor() = default;

void Decompressor::step(std::string_view& input, std::string& out) {
  Impl& impl = *impl_;
  if (input.empty() && !impl.has_more) return;
  const std::size_t before = out.size();
  out.resize(before + step_bytes);
  const std::string_view piece = input.substr(0, step_bytes);
  const StepResult result = std::visit(
      [&](auto& codec) { return codec.step(piece, out.data() + before, step_bytes); }, impl.codec);
  out.resize(before + result.given);
  if (result.error != nullptr) {
    fail(ErrorKind::data, "{}: damaged, or no {} file: {}", impl.file, impl.format(),
         impl.begun ? result.error : other_kind(input).value_or(result.error));
  }
  impl.begun = true;
  input.remove_prefix(result.taken);
  impl.whole = result.whole;
  impl.has_more = !result.whole && result.given == step_bytes;
}

bool Decompressor::has_more() const {
  return impl_->has_more;
}

void Decompressor::finish() const {
  if (impl_->whole) return;
  fail(ErrorKind::data, "{}: ends too early for a {} file: is it truncated?", impl_->file,
       impl_->format());
}

}  // namespace gist
