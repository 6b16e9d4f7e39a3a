#include "formats/tokenizer_json/text_pattern.h"

#include <oniguruma.h>

#include <array>
#include <mutex>

#include "core/utf8.h"
#include "formats/files/text.h"
#include "formats/tokenizer_json/known_regex.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// Bytes of a regular expression: those of tokenizers have hundreds.
constexpr std::size_t longest_regex = 1U << 16;

const OnigUChar* bytes_of(std::string_view text) {
  return reinterpret_cast<const OnigUChar*>(text.data());
}

std::string message_of(int code, OnigErrorInfo* info = nullptr) {
  std::array<OnigUChar, ONIG_MAX_ERROR_MESSAGE_LEN> message{};
  const int length = info == nullptr ? onig_error_code_to_str(message.data(), code)
                                     : onig_error_code_to_str(message.data(), code, info);
  return printable({reinterpret_cast<const char*>(message.data()),
                    static_cast<std::size_t>(length > 0 ? length : 0)});
}

void initialise_onig() {
  static std::once_flag once;
  std::call_once(once, [] {
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    onig_initialize(encodings, 1);
  });
}

/// Where the groups of a match are put; each search has one of its own.
struct MatchRegion {
  OnigRegion* region = onig_region_new();
  MatchRegion() {
    if (region == nullptr) throw std::bad_alloc();
  }
  MatchRegion(const MatchRegion&) = delete;
  MatchRegion& operator=(const MatchRegion&) = delete;
  ~MatchRegion() { onig_region_free(region, 1); }
};

}  // namespace

struct TextPattern::Regex {
  regex_t* compiled = nullptr;
  KnownRegex known = KnownRegex::none;

  Regex(std::string_view pattern, const std::string& place) : known(known_regex(pattern)) {
    initialise_onig();
    OnigErrorInfo info{};
    const OnigUChar* begin = bytes_of(pattern);
    const int result = onig_new(&compiled, begin, begin + pattern.size(), ONIG_OPTION_NONE,
                                ONIG_ENCODING_UTF8, ONIG_SYNTAX_DEFAULT, &info);
    if (result != ONIG_NORMAL) {
      fail(ErrorKind::data, "{}: Oniguruma doesn't understand this regular expression: {}: {}",
           place, message_of(result, &info), in_quotes(pattern));
    }
  }
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;
  ~Regex() { onig_free(compiled); }
};

TextPattern::TextPattern(const JsonPart& pattern) : place_(pattern.place()) {
  pattern.allow({"String", "Regex"});
  if (pattern.value().size() != 1) pattern.refuse("either \"String\" or \"Regex\"");
  const bool plain = pattern.value().contains("String");
  text_ = pattern.member(plain ? "String" : "Regex").text();
  if (text_.empty()) pattern.refuse("a pattern that isn't empty");
  if (plain) return;
  if (text_.size() > longest_regex) pattern.refuse("a shorter regular expression");
  regex_ = std::make_shared<const Regex>(text_, place_);
}

TextPattern::TextPattern(std::string_view regex)
    : place_("gist"), text_(regex), regex_(std::make_shared<const Regex>(text_, place_)) {}

void TextPattern::find_all(std::string_view text, std::vector<Span>& matches) const {
  if (regex_) return find_regex(text, matches);
  for (std::size_t at = 0; (at = text.find(text_, at)) != std::string_view::npos;) {
    matches.push_back({at, at + text_.size()});
    at += text_.size();
  }
}

void TextPattern::find_regex(std::string_view text, std::vector<Span>& matches) const {
  MatchRegion groups;
  const OnigUChar* const begin = bytes_of(text);
  const OnigUChar* const end = begin + text.size();
  std::size_t from = 0;
  std::size_t last_end = std::string_view::npos;  // of the last match
  while (from <= text.size()) {
    if (const std::size_t last = regex_->known != KnownRegex::none && from < text.size()
                                     ? ascii_match_end(regex_->known, text, from)
                                     : 0) {
      matches.push_back({from, last});
      from = last_end = last;
      continue;
    }
    // Mostly a match begins right here, which costs less to try than a search.
    int found =
        onig_match(regex_->compiled, begin, end, begin + from, groups.region, ONIG_OPTION_NONE);
    if (found == ONIG_MISMATCH && from < text.size()) {
      found = onig_search(regex_->compiled, begin, end, begin + from, end, groups.region,
                          ONIG_OPTION_NONE);
    }
    if (found == ONIG_MISMATCH) return;
    if (found < 0) {
      fail(ErrorKind::data,
           "{}: the regular expression can't be followed through this text: {}: {}", place_,
           message_of(found), in_quotes(text.substr(from)));
    }
    const auto first = static_cast<std::size_t>(groups.region->beg[0]);
    const auto last = static_cast<std::size_t>(groups.region->end[0]);
    if (first == last && last == last_end) {  // nothing, right behind a match: isn't one
      from += from < text.size() ? first_character(text.substr(from)).bytes : 1;
      continue;
    }
    matches.push_back({first, last});
    from = last_end = last;
  }
}

}  // namespace gist
