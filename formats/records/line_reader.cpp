#include "formats/records/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "formats/files/decompressor.h"
#include "formats/records/foreign_file.h"
#include "formats/records/json_array.h"
#include "kernels/error.h"

namespace gist {

struct LineReader::Impl {
  std::string name;
  int descriptor = -1;
  int wake = -1;
  std::size_t size = 0;        // of a regular file, else 0
  std::size_t bytes = 0;       // read so far
  std::size_t text_bytes = 0;  // that came of them: more, where they are compressed
  std::string buffer;          // bytes that make no whole line yet, from `consumed` on
  std::size_t consumed = 0;
  bool ended = false;
  bool looked = false;  // at what kind of file it is
  std::optional<Decompressor> decompressor;
  std::string compressed;    // read, but not all taken by the decompressor
  std::string_view untaken;  // of that

  ~Impl() {
    if (descriptor > STDERR_FILENO) ::close(descriptor);
  }

  /// The line up to `end`, a carriage return at its end left out; the next begins at `next`.
  std::string take_line(std::size_t end, std::size_t next) {
    looked = true;
    std::string line = buffer.substr(consumed, end - consumed);
    consumed = next;
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }

  /// Until the first line is taken the buffer begins with the file's first bytes.
  void look() {
    if (looked) return;
    refuse_foreign_file(buffer, name);
    looked = buffer.size() >= foreign_file_bytes;
  }

  /// Waits until there is input. False: the reading is to end.
  bool wait() const {
    if (wake < 0) return true;
    std::array<pollfd, 2> wanted{pollfd{descriptor, POLLIN, 0}, pollfd{wake, POLLIN, 0}};
    while (::poll(wanted.data(), wanted.size(), -1) < 0) {
      if (errno != EINTR) fail(ErrorKind::io, "{}: {}", name, std::strerror(errno));
    }
    return (wanted[1].revents & POLLIN) == 0;
  }

  /// Reads, or decompresses a piece of what was read. False at the end of the input, or where
  /// the reading is to end.
  bool fill() {
    buffer.erase(0, consumed);
    consumed = 0;
    if (decompressor && (!untaken.empty() || decompressor->has_more())) {
      const std::size_t before = buffer.size();
      decompressor->step(untaken, buffer);
      text_bytes += buffer.size() - before;
      look();
      return true;
    }
    if (ended || !wait()) return false;
    std::array<char, 1 << 16> chunk;
    ssize_t count = 0;
    do {
      count = ::read(descriptor, chunk.data(), chunk.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) fail(ErrorKind::io, "{}: {}", name, std::strerror(errno));
    take(std::string_view(chunk.data(), static_cast<std::size_t>(count)));
    return !ended;
  }

  /// Takes what was read, which is nothing at the end of the input.
  void take(std::string_view read) {
    ended = read.empty();
    if (decompressor) {
      if (ended) decompressor->finish();
      compressed = read;
      untaken = compressed;
    } else {
      if (bytes == 0 && compression_in(read) != Compression::none) {
        fail(
            ErrorKind::data,
            "{}: is compressed; name the file *.gz or *.zst as it is, or decompress it on its way, "
            "as with: zstd -dcf FILE | gist ...",
            name);
      }
      buffer += read;
      text_bytes += read.size();
      look();
    }
    bytes += read.size();
  }
};

LineReader::LineReader(const std::string& path, int wake) : impl_(std::make_unique<Impl>()) {
  impl_->wake = wake;
  if (path == "-") {
    impl_->name = "standard input";
    impl_->descriptor = STDIN_FILENO;
    return;
  }
  impl_->name = path;
  impl_->descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (impl_->descriptor < 0 || ::fstat(impl_->descriptor, &status) != 0) {
    fail(ErrorKind::no_input, "{}: {}", path, std::strerror(errno));
  }
  if (S_ISDIR(status.st_mode)) fail(ErrorKind::no_input, "{}: is a directory", path);
  if (S_ISREG(status.st_mode)) impl_->size = static_cast<std::size_t>(status.st_size);
  const Compression compression = compression_of(path);
  if (compression != Compression::none) impl_->decompressor.emplace(compression, path);
}

LineReader::LineReader(LineReader&&) noexcept = default;
LineReader::~LineReader() = default;

std::optional<std::string> LineReader::next() {
  bool cut = false;
  return next(0, cut);
}

std::optional<std::string> LineReader::next(std::size_t most_bytes, bool& cut) {
  Impl& in = *impl_;
  cut = false;
  std::string beginning;  // of a line that is too long
  std::size_t searched = in.consumed;
  for (;;) {
    const std::size_t end = in.buffer.find('\n', searched);
    const std::size_t length = std::min(end, in.buffer.size()) - in.consumed;
    if (most_bytes != 0 && length > most_bytes && !cut) {
      cut = true;
      beginning = in.buffer.substr(in.consumed, std::min(length, kept_beginning));
    }
    if (end != std::string::npos) {
      std::string line = in.take_line(end, end + 1);
      return cut ? std::move(beginning) : std::move(line);
    }
    if (cut) skip(in.buffer.size() - in.consumed);
    searched = in.buffer.size() - in.consumed;
    if (in.fill()) continue;
    // A last line without its end is a line, unless the reading was ended within it.
    if (!in.ended || (in.consumed == in.buffer.size() && !cut)) return std::nullopt;
    std::string line = in.take_line(in.buffer.size(), in.buffer.size());
    return cut ? std::move(beginning) : std::move(line);
  }
}

std::optional<char> LineReader::peek() {
  Impl& in = *impl_;
  std::size_t searched = 0;
  for (;;) {
    const std::size_t found = in.buffer.find_first_not_of(" \t\r\n", in.consumed + searched);
    if (found != std::string::npos) return in.buffer[found];
    searched = in.buffer.size() - in.consumed;
    if (!in.fill()) return std::nullopt;
  }
}

std::string_view LineReader::unread() {
  Impl& in = *impl_;
  while (in.consumed == in.buffer.size() && in.fill()) {
  }
  return std::string_view(in.buffer).substr(in.consumed);
}

void LineReader::skip(std::size_t bytes) {
  impl_->looked = true;
  impl_->consumed += bytes;
}

bool LineReader::at_end() const {
  return impl_->ended && impl_->consumed == impl_->buffer.size();
}

const std::string& LineReader::name() const {
  return impl_->name;
}

std::optional<double> LineReader::fraction() const {
  const Impl& in = *impl_;
  if (in.size == 0) return std::nullopt;
  // Some of the text that came of what was taken still waits in the buffer.
  const auto taken = static_cast<double>(in.bytes - in.untaken.size());
  const auto waiting = static_cast<double>(in.buffer.size() - in.consumed);
  const double given = in.text_bytes == 0 ? 0 : 1 - waiting / static_cast<double>(in.text_bytes);
  return taken / static_cast<double>(in.size) * given;
}

}  // namespace gist
