#include "formats/json_array.h"

#include <algorithm>

#include "formats/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view white_space = " \t\n\r";          // RFC 8259, section 2
constexpr std::string_view after_scalar = " \t\n\r,]}[{\"";  // numbers, true, false, null

class Splitter {
 public:
  Splitter(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  std::vector<ArrayElement> split() {
    std::vector<ArrayElement> elements;
    skip_white_space();
    if (at_end() || text_[at_] != '[') fail_here("a JSON array should start here with [");
    first_line_ = line_;
    ++at_;
    skip_white_space();
    if (next() == ']') {
      ++at_;
    } else {
      do {
        skip_white_space();
        elements.push_back(element());
        skip_white_space();
      } while (goes_on());
    }
    skip_white_space();
    if (!at_end()) fail_here("nothing should follow the array, found " + found());
    return elements;
  }

 private:
  ArrayElement element() {
    ArrayElement element{at_, at_, line_};
    const char c = next();
    if (c == '{' || c == '[') {
      skip_container();
    } else if (c == '"') {
      skip_string();
    } else {
      at_ = std::min(text_.find_first_of(after_scalar, at_), text_.size());
      if (at_ == element.begin) fail_here("an element should stand here, found " + found());
    }
    element.end = at_;
    return element;
  }

  /// Takes the comma or bracket behind an element; whether another element follows.
  bool goes_on() {
    const char c = next();
    if (c != ',' && c != ']') fail_here("expected , or ] after an element, found " + found());
    ++at_;
    return c == ',';
  }

  void skip_container() {
    std::string closers;  // of what is open, innermost last
    do {
      const char c = next();
      if (c == '"') {
        skip_string();
        continue;
      }
      if (c == '{') closers += '}';
      if (c == '[') closers += ']';
      if (c == '}' || c == ']') {
        if (c != closers.back()) {
          fail_here(fmt::format("expected {} before {}", closers.back(), c));
        }
        closers.pop_back();
      }
      pass();
    } while (!closers.empty());
  }

  void skip_string() {
    ++at_;
    for (;;) {
      at_ = std::min(text_.find_first_of("\"\\\n", at_), text_.size());
      const char c = next();
      if (c == '\n') fail_here("a string is not closed on its line");
      at_ += c == '\\' ? 2 : 1;
      if (c == '"') return;
    }
  }

  void skip_white_space() {
    while (!at_end() && white_space.find(text_[at_]) != std::string_view::npos) pass();
  }

  void pass() {
    if (text_[at_] == '\n') {
      ++line_;
      line_start_ = at_ + 1;
    }
    ++at_;
  }

  bool at_end() const { return at_ >= text_.size(); }
  char next() const {
    if (at_end()) {
      fail_here(fmt::format(
          "the input ends within the array that starts on line {}: is it truncated?", first_line_));
    }
    return text_[at_];
  }
  std::string found() const { return in_quotes(text_.substr(at_, 1)); }
  [[noreturn]] void fail_here(const std::string& message) const {
    fail(ErrorKind::data, "{}:{}:{}: {}", where_, line_,
         std::min(at_, text_.size()) - line_start_ + 1, message);
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 1;
  std::size_t line_start_ = 0;
  std::uint64_t first_line_ = 1;
};

}  // namespace

std::vector<ArrayElement> elements_of_array(std::string_view text, const std::string& where) {
  return Splitter(text, where).split();
}

std::string on_one_line(std::string json) {
  if (json.find('\n') == std::string::npos) return json;
  std::replace(json.begin(), json.end(), '\n', ' ');
  std::replace(json.begin(), json.end(), '\r', ' ');
  return json;
}

}  // namespace gist
