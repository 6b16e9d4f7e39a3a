// A JSON array of records, taken apart while it is read, without being parsed: each element keeps
// its text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gist {

/// Bytes that are kept of an element, or a line, that is longer than its reader takes.
constexpr std::size_t kept_beginning = 1000;

struct ArrayElement {
  std::string text;        // without white space around it
  std::uint64_t line = 0;  // where it begins, counted from 1
  bool cut = false;        // longer than the splitter takes: `text` is only its beginning
};

/// Memory doesn't grow with the array, only with its longest element.
class ArraySplitter {
 public:
  /// `where` is the input's name, for messages. Of elements longer than `most_bytes` (0: any) only
  /// the beginning is kept.
  ArraySplitter(std::string where, std::size_t most_bytes);

  /// Takes bytes off the front of `text`, the next part of the one array that takes the whole
  /// input: up to the end of an element, which is given, or all of them. Throws Error(data),
  /// "WHERE:LINE:COLUMN: what is wrong", where commas, brackets or quotes don't make an array, or
  /// something follows it. What an element is made of is checked no further: parse_json does that.
  std::optional<ArrayElement> next(std::string_view& text);
  /// Must be called at the end of the input. Throws Error(data) where the array lacks its end.
  void finish() const;

 private:
  enum class State : std::uint8_t {
    before_array,
    first_element,  // or the end of an empty array
    element,
    scalar,
    string,
    container,
    string_within,
    after_element,
    after_array
  };
  bool step(std::string_view text);
  void begin_element(std::string_view text);
  bool skip_string(std::string_view text);
  bool pass_container(std::string_view text);
  bool skip_white_space(std::string_view text);
  void pass(std::string_view text);
  void keep(std::string_view bytes);
  [[noreturn]] void fail_here(const std::string& message) const;

  std::string where_;
  std::size_t most_bytes_;
  State state_ = State::before_array;
  ArrayElement element_;
  std::string closers_;           // of what is open in the element, innermost last
  bool escaped_ = false;          // a backslash stands before the next byte
  std::size_t at_ = 0;            // in the text at hand
  std::uint64_t before_ = 0;      // bytes taken before that
  std::uint64_t line_ = 1;        // of the byte at hand
  std::uint64_t line_start_ = 0;  // counted as before_ is
  std::uint64_t first_line_ = 1;  // of the array
};

/// The same JSON without line ends: those stand between its tokens only, where a space does as
/// well. Text that has none is returned as it is.
std::string on_one_line(std::string json);

}  // namespace gist
