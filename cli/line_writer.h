// Results: lines on standard output or in a file.
#pragma once

#include <string>
#include <string_view>

namespace gist {

/// Writes to a descriptor that it doesn't own. A reader that has gone away (EPIPE) is no error:
/// from then on `closed` is true and lines are dropped. Throws Error(io) for other failures. Bytes
/// are written as they are, but on a terminal: there control characters other than line ends and
/// tabs are escaped (formats/files/text.h, printable), because texts of models and files could
/// steer it.
class LineWriter {
 public:
  LineWriter(int descriptor, std::string name);

  /// Adds text (whole characters), or a line and its end. Nothing is written before `flush`, or
  /// before much has gathered.
  void text(std::string_view text);
  void line(std::string_view line);
  void flush();
  bool closed() const { return closed_; }

 private:
  int descriptor_;
  std::string name_;  // for messages
  bool terminal_;
  std::string buffer_;
  bool closed_ = false;
};

/// A writer to standard output.
LineWriter standard_output();

}  // namespace gist
