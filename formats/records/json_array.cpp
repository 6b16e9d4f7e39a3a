#include "formats/records/json_array.h"

#include <algorithm>
#include <utility>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view white_space = " \t\n\r";          // RFC 8259, section 2
constexpr std::string_view after_scalar = " \t\n\r,]}[{\"";  // numbers, true, false, null

constexpr std::size_t most_closers = std::size_t{1} << 20;  // far deeper than any JSON that is read

std::string found(std::string_view text, std::size_t at) {
  return in_quotes(text.substr(at, 1));
}

}  // namespace

ArraySplitter::ArraySplitter(std::string where, std::size_t most_bytes)
    : where_(std::move(where)), most_bytes_(most_bytes) {}

std::optional<ArrayElement> ArraySplitter::next(std::string_view& text) {
  at_ = 0;
  bool whole = false;
  while (!whole && at_ < text.size()) whole = step(text);
  before_ += at_;
  text.remove_prefix(at_);
  if (!whole) return std::nullopt;
  return std::exchange(element_, {});
}

void ArraySplitter::finish() const {
  if (state_ == State::after_array) return;
  fail(ErrorKind::data,
       "{}:{}:{}: the input ends within the array that starts on line {}: is it truncated?", where_,
       line_, before_ - line_start_ + 1, first_line_);
}

/// Takes at least a byte of the text, or changes the state. True: an element is whole.
bool ArraySplitter::step(std::string_view text) {
  switch (state_) {
    case State::before_array:
      if (!skip_white_space(text)) return false;
      if (text[at_] != '[') fail_here("a JSON array should start here with [");
      first_line_ = line_;
      ++at_;
      state_ = State::first_element;
      return false;
    case State::first_element:
      if (!skip_white_space(text)) return false;
      if (text[at_] == ']') {
        ++at_;
        state_ = State::after_array;
        return false;
      }
      begin_element(text);
      return false;
    case State::element:
      if (skip_white_space(text)) begin_element(text);
      return false;
    case State::scalar: {
      const std::size_t end = std::min(text.find_first_of(after_scalar, at_), text.size());
      keep(text.substr(at_, end - at_));
      at_ = end;
      if (at_ == text.size()) return false;
      state_ = State::after_element;
      return true;
    }
    case State::string:
      if (!skip_string(text)) return false;
      state_ = State::after_element;
      return true;
    case State::string_within:
      if (skip_string(text)) state_ = State::container;
      return false;
    case State::container:
      return pass_container(text);
    case State::after_element:
      if (!skip_white_space(text)) return false;
      if (text[at_] != ',' && text[at_] != ']') {
        fail_here("expected , or ] after an element, found " + found(text, at_));
      }
      state_ = text[at_++] == ',' ? State::element : State::after_array;
      return false;
    case State::after_array:
      if (skip_white_space(text)) {
        fail_here("nothing should follow the array, found " + found(text, at_));
      }
      return false;
  }
  return false;
}

void ArraySplitter::begin_element(std::string_view text) {
  element_.line = line_;
  const char c = text[at_];
  if (c == '{' || c == '[') {
    state_ = State::container;
  } else if (c == '"') {
    keep(text.substr(at_++, 1));
    state_ = State::string;
  } else if (after_scalar.find(c) != std::string_view::npos) {
    fail_here("an element should stand here, found " + found(text, at_));
  } else {
    state_ = State::scalar;
  }
}

/// Takes bytes of a string behind its first quote. True: the quote that ends it was one of them.
bool ArraySplitter::skip_string(std::string_view text) {
  if (escaped_) {
    escaped_ = false;
    keep(text.substr(at_++, 1));
    return false;
  }
  const std::size_t end = std::min(text.find_first_of("\"\\\n", at_), text.size());
  keep(text.substr(at_, end - at_));
  at_ = end;
  if (at_ == text.size()) return false;
  const char c = text[at_];
  if (c == '\n') fail_here("a string is not closed on its line");
  keep(text.substr(at_++, 1));
  escaped_ = c == '\\';
  return c == '"';
}

/// Takes bytes of an object or array up to the next string in it. True: its last bracket was one of
/// them.
bool ArraySplitter::pass_container(std::string_view text) {
  const std::size_t begin = at_;
  const auto keep_passed = [&] { keep(text.substr(begin, at_ - begin)); };
  while (at_ < text.size()) {
    const char c = text[at_];
    if (c == '"') {
      ++at_;
      keep_passed();
      state_ = State::string_within;
      return false;
    }
    if (c == '{') closers_ += '}';
    if (c == '[') closers_ += ']';
    if (closers_.size() > most_closers) fail_here("nested too deeply");
    const bool closes = c == '}' || c == ']';
    if (closes && c != closers_.back()) {
      fail_here(fmt::format("expected {} before {}", closers_.back(), c));
    }
    if (closes) closers_.pop_back();
    pass(text);
    if (closes && closers_.empty()) {
      keep_passed();
      state_ = State::after_element;
      return true;
    }
  }
  keep_passed();
  return false;
}

/// False: nothing else is left of the text.
bool ArraySplitter::skip_white_space(std::string_view text) {
  while (at_ < text.size() && white_space.find(text[at_]) != std::string_view::npos) pass(text);
  return at_ < text.size();
}

void ArraySplitter::pass(std::string_view text) {
  if (text[at_] == '\n') {
    ++line_;
    line_start_ = before_ + at_ + 1;
  }
  ++at_;
}

void ArraySplitter::keep(std::string_view bytes) {
  if (element_.cut) return;
  element_.text += bytes;
  if (most_bytes_ == 0 || element_.text.size() <= most_bytes_) return;
  element_.cut = true;
  element_.text.resize(std::min(element_.text.size(), kept_beginning));
  element_.text.shrink_to_fit();
}

void ArraySplitter::fail_here(const std::string& message) const {
  fail(ErrorKind::data, "{}:{}:{}: {}", where_, line_, before_ + at_ - line_start_ + 1, message);
}

std::string on_one_line(std::string json) {
  if (json.find('\n') == std::string::npos) return json;
  std::replace(json.begin(), json.end(), '\n', ' ');
  std::replace(json.begin(), json.end(), '\r', ' ');
  return json;
}

}  // namespace gist
