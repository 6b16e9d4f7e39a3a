#include "cli/line_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t flush_at = std::size_t{1} << 16;

}  // namespace

LineWriter::LineWriter(int descriptor, std::string name)
    : descriptor_(descriptor), name_(std::move(name)), terminal_(::isatty(descriptor) == 1) {}

void LineWriter::text(std::string_view text) {
  if (terminal_) {
    buffer_ += printable(text, "\n\t");
  } else {
    buffer_ += text;
  }
  if (buffer_.size() >= flush_at) flush();
}

void LineWriter::line(std::string_view line) {
  text(line);
  text("\n");
}

void LineWriter::flush() {
  std::string_view left = buffer_;
  while (!left.empty() && !closed_) {
    const ssize_t written = ::write(descriptor_, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EPIPE) {
      closed_ = true;
    } else if (errno != EINTR) {
      fail(ErrorKind::io, "writing {}: {}", name_, std::strerror(errno));
    }
  }
  buffer_.clear();
}

LineWriter standard_output() {
  return {STDOUT_FILENO, "standard output"};
}

}  // namespace gist
