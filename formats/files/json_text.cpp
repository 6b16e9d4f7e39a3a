#include "formats/files/json_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "formats/files/file_io.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

struct Source {
  std::string_view text;
  const std::string& where;
  std::uint64_t first_line;
};

/// `offset`: of the byte that the message is about.
[[noreturn]] void fail_at(const Source& source, std::size_t offset, const std::string& message) {
  const std::string_view before = source.text.substr(0, offset);
  const auto newlines = static_cast<std::uint64_t>(std::count(before.begin(), before.end(), '\n'));
  const std::size_t last_newline = before.rfind('\n');
  const std::size_t line_start = last_newline == std::string_view::npos ? 0 : last_newline + 1;
  fail(ErrorKind::data, "{}:{}:{}: {}", source.where, source.first_line + newlines,
       before.size() - line_start + 1, message);
}

/// nlohmann's message without its own position, and without the token, which can be megabytes long
/// or invalid UTF-8.
std::string plain_message(const std::string& what) {
  const std::size_t column = what.find(", column ");
  const std::size_t colon = what.find(": ", column == std::string::npos ? 0 : column);
  const std::size_t start = colon == std::string::npos ? 0 : colon + 2;
  return "not valid JSON: " + what.substr(start, what.find("; last read:", start) - start);
}

/// ForeignWord is a word that other languages write and JSON doesn't have.
struct ForeignWord {
  std::string_view word;
  const char* instead;
};
constexpr auto foreign_words = std::to_array<ForeignWord>({
    {"NaN", "null, or a string"},
    {"nan", "null, or a string"},
    {"Infinity", "null, or a string"},
    {"-Infinity", "null, or a string"},
    {"inf", "null, or a string"},
    {"None", "null, as Python's json.dumps does"},
    {"True", "true, as Python's json.dumps does"},
    {"False", "false, as Python's json.dumps does"},
    {"undefined", "null"},
});

/// Says what is wrong where such a word stands at `offset`, or a string between other quotes; ""
/// where neither is so.
std::string foreign_word(std::string_view text, std::size_t offset) {
  if (offset < text.size() && text[offset] == '\'') {
    return "not valid JSON: a string stands between \", not \'; Python's json.dumps writes JSON";
  }
  const auto in_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
  };
  std::size_t begin = std::min(offset, text.size());
  while (begin > 0 && in_word(text[begin - 1])) --begin;
  std::size_t end = begin;
  while (end < text.size() && in_word(text[end])) ++end;
  const std::string_view word = text.substr(begin, end - begin);
  const auto found = std::find_if(foreign_words.begin(), foreign_words.end(),
                                  [word](const ForeignWord& each) { return each.word == word; });
  if (found == foreign_words.end()) return "";
  return fmt::format("not valid JSON: {} is no value; write {}", word, found->instead);
}

/// Reads characters and counts them outside of the parser, so that the builder knows where it
/// stands.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, std::size_t* count) : at_(at), count_(count) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  std::size_t* count_;
};

/// Builds the value from the parser's events.
template <typename Json>
class Builder {
 public:
  using number_integer_t = typename Json::number_integer_t;
  using number_unsigned_t = typename Json::number_unsigned_t;
  using number_float_t = typename Json::number_float_t;
  using string_t = typename Json::string_t;
  using binary_t = typename Json::binary_t;

  Builder(const Source& source, const std::size_t* consumed, LongIntegers integers)
      : source_(source), consumed_(consumed), integers_(integers) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(number_integer_t value) { return add(value); }
  bool number_unsigned(number_unsigned_t value) { return add(value); }
  bool number_float(number_float_t value, const string_t& text) {
    const bool integer = text.find_first_of(".eE") == string_t::npos;
    return integer && integers_ == LongIntegers::as_text ? add(text) : add(value);
  }
  bool string(string_t& value) { return add(std::move(value)); }
  bool binary(binary_t&) { return false; }  // not in JSON text
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(string_t& name) {
    auto& object = open_.back()->template get_ref<typename Json::object_t&>();
    const auto [entry, is_new] = object.emplace(name, nullptr);
    if (!is_new) {
      fail_at(source_, *consumed_ - 1, "the key " + in_quotes(name) + " is given twice");
    }
    slot_ = &entry->second;
    return true;
  }

  bool parse_error(std::size_t position, const string_t&,
                   const nlohmann::detail::exception& fault) {
    constexpr int number_overflow = 406;
    const std::size_t offset = position == 0 ? 0 : position - 1;
    if (fault.id != number_overflow) {
      const std::string foreign = foreign_word(source_.text, offset);
      fail_at(source_, offset, foreign.empty() ? plain_message(fault.what()) : foreign);
    }
    overflow_ = offset;
    return false;
  }

  /// Returns where a number ended that no double can hold, at which parsing stopped.
  std::optional<std::size_t> overflow() const { return overflow_; }
  Json take() { return std::move(root_); }

 private:
  template <typename Value>
  bool add(Value&& value) {
    *place() = std::forward<Value>(value);
    return true;
  }
  bool open(Json&& container) {
    if (open_.size() == max_json_depth) {
      fail_at(source_, *consumed_ - 1,
              "nested deeper than " + std::to_string(max_json_depth) + " levels");
    }
    Json* target = place();
    *target = std::move(container);
    open_.push_back(target);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  /// Returns where the next value goes.
  Json* place() {
    if (open_.empty()) return &root_;
    if (open_.back()->is_object()) return slot_;
    auto& array = open_.back()->template get_ref<typename Json::array_t&>();
    return &array.emplace_back();
  }

  const Source& source_;
  const std::size_t* consumed_;
  LongIntegers integers_;
  Json root_;
  std::vector<Json*> open_;  // what is not closed yet, innermost last: it doesn't move meanwhile
  Json* slot_ = nullptr;
  std::optional<std::size_t> overflow_;
};

/// RFC 8259, section 6.
bool is_json_number(std::string_view token) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t start = i;
    while (i < token.size() && token[i] >= '0' && token[i] <= '9') ++i;
    return i - start;
  };
  if (i < token.size() && token[i] == '-') ++i;
  if (i < token.size() && token[i] == '0') {
    ++i;
  } else if (digits() == 0) {
    return false;
  }
  if (i < token.size() && token[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < token.size() && (token[i] == 'e' || token[i] == 'E')) {
    ++i;
    if (i < token.size() && (token[i] == '+' || token[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == token.size();
}

/// The text with quotes around each number that no double can hold.
std::string with_huge_numbers_quoted(std::string_view text) {
  std::string result;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (in_string || (c != '-' && (c < '0' || c > '9'))) {
      if (c == '"') in_string = !in_string;
      const std::size_t taken = in_string && c == '\\' && i + 1 < text.size() ? 2 : 1;
      result.append(text.substr(i, taken));
      i += taken;
      continue;
    }
    const std::size_t end = std::min(text.find_first_not_of("+-.0123456789eE", i), text.size());
    const std::string token(text.substr(i, end - i));
    const bool huge = is_json_number(token) && !std::isfinite(std::strtod(token.c_str(), nullptr));
    result += huge ? '"' + token + '"' : token;
    i = end;
  }
  return result;
}

template <typename Json>
struct Parsed {
  Json value;
  std::optional<std::size_t> overflow;
};

template <typename Json>
Parsed<Json> parse_once(const Source& source, LongIntegers integers) {
  std::size_t consumed = 0;
  Builder<Json> builder(source, &consumed, integers);
  const char* begin = source.text.data();
  Json::sax_parse(CountingIterator(begin, &consumed),
                  CountingIterator(begin + source.text.size(), &consumed), &builder);
  return {builder.take(), builder.overflow()};
}

template <typename Json>
Json parse(std::string_view text, const std::string& where, std::uint64_t first_line,
           LongIntegers integers) {
  const Source source{text, where, first_line};
  // The parser takes a NUL for the end of the text, whatever follows.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    fail_at(source, nul, "not valid JSON: a NUL byte");
  }
  Parsed<Json> parsed = parse_once<Json>(source, integers);
  if (!parsed.overflow) return std::move(parsed.value);
  const std::string quoted_text = with_huge_numbers_quoted(text);
  const Source quoted_source{quoted_text, where, first_line};
  parsed = parse_once<Json>(quoted_source, integers);
  if (parsed.overflow) fail_at(quoted_source, *parsed.overflow, "not valid JSON: malformed number");
  return std::move(parsed.value);
}

template <typename Json>
std::optional<Json> parsed_or_nothing(std::string_view text) {
  try {
    return parse<Json>(text, "", 1, LongIntegers::as_double);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    return std::nullopt;
  }
}

template <typename Json>
Json object_in(const std::filesystem::path& path) {
  const std::string text = read_file(path);
  refuse_git_lfs_pointer(text, path);
  Json content = parse<Json>(text, path.string(), 1, LongIntegers::as_double);
  if (!content.is_object()) {
    fail(ErrorKind::data, "{}: should hold a JSON object, not {}", path.string(),
         content.type_name());
  }
  return content;
}

}  // namespace

json parse_json(std::string_view text, const std::string& where, std::uint64_t first_line,
                LongIntegers integers) {
  return parse<json>(text, where, first_line, integers);
}

std::optional<json> json_in(std::string_view text) {
  return parsed_or_nothing<json>(text);
}

std::optional<ordered_json> ordered_json_in(std::string_view text) {
  return parsed_or_nothing<ordered_json>(text);
}

std::string text_of_json(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

std::string text_of_json(const ordered_json& value, int indent) {
  return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace);
}

json read_json_object(const std::filesystem::path& path) {
  return object_in<json>(path);
}

ordered_json read_ordered_json_object(const std::filesystem::path& path) {
  return object_in<ordered_json>(path);
}

const std::string& text_member(const nlohmann::json& object, const char* name,
                               const std::string& where) {
  const nlohmann::json& value = object.at(name);
  if (!value.is_string()) {
    fail(ErrorKind::data, "{}: \"{}\" should be a string, not {}", where, name, value.type_name());
  }
  return value.get_ref<const std::string&>();
}

}  // namespace gist
