// HTML that what it shows can't break: markup and text are different types.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace gist {

/// Well-formed markup.
struct Html {
  std::string code;

  bool empty() const { return code.empty(); }
  Html& operator+=(const Html& other) {
    code += other.code;
    return *this;
  }
};
inline Html operator+(Html a, const Html& b) {
  return a += b;
}

/// Any bytes as text, for an element's content or an attribute's value between quotes. What a
/// browser would take for markup is escaped; bytes that are not UTF-8 become U+FFFD; control
/// characters, and those that are invisible or turn the direction of writing (which can hide or
/// rearrange the text around them), are spelled out: ␀, ⟨U+202E⟩. Line ends and tabs stay.
Html escaped(std::string_view text);

namespace detail {

inline std::string markup(std::string_view text) {
  return escaped(text).code;
}
inline std::string_view markup(const Html& html) {
  return html.code;
}
template <class Number>
requires std::is_arithmetic_v<Number> Number markup(Number number) {
  return number;
}

template <class T>
using Markup = decltype(markup(std::declval<const T&>()));

}  // namespace detail

/// fmt::format for markup: Html goes in as it is, strings are escaped.
template <class... Arguments>
Html html(fmt::format_string<detail::Markup<Arguments>...> format, const Arguments&... arguments) {
  return {fmt::format(format, detail::markup(arguments)...)};
}

}  // namespace gist
