#include "formats/tokenizer_json/normalization_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "core/utf8.h"
#include "formats/files/text.h"
#include "formats/tokenizer_json/unicode.h"
#include "kernels/error.h"

namespace gist {
namespace {

using CodePoints = std::vector<utf8proc_int32_t>;

/// The longest decomposition has 18 code points (U+FDFA).
constexpr std::size_t longest_decomposition = 32;

int combining_class(utf8proc_int32_t c) {
  return utf8proc_get_property(c)->combining_class;
}

CodePoints decomposed(std::string_view text, utf8proc_option_t options) {
  CodePoints points;
  points.reserve(text.size());
  utf8proc_int32_t parts[longest_decomposition];
  while (!text.empty()) {
    char32_t c = 0;
    next_character(text, c);
    const utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts,
                                                           longest_decomposition, options, nullptr);
    if (count < 0 || count > static_cast<utf8proc_ssize_t>(longest_decomposition)) {
      fail(ErrorKind::internal, "the decomposition of U+{:04X}", static_cast<std::uint32_t>(c));
    }
    points.insert(points.end(), parts, parts + count);
  }
  return points;
}

/// Marks in a row are sorted by their combining class; equal ones keep their order.
void order_marks(CodePoints& points) {
  for (auto at = points.begin(); at != points.end();) {
    const auto is_mark = [](utf8proc_int32_t c) { return combining_class(c) != 0; };
    const auto begin = std::find_if(at, points.end(), is_mark);
    at = std::find_if_not(begin, points.end(), is_mark);
    if (at - begin > 1) {
      std::stable_sort(begin, at, [](utf8proc_int32_t a, utf8proc_int32_t b) {
        return combining_class(a) < combining_class(b);
      });
    }
  }
}

}  // namespace

std::string normalized(std::string_view text, NormalizationForm form) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) return std::string(text);
  const bool compatible = form == NormalizationForm::nfkc || form == NormalizationForm::nfkd;
  const bool composes = form == NormalizationForm::nfc || form == NormalizationForm::nfkc;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (compatible ? UTF8PROC_COMPAT : 0));
  CodePoints points = decomposed(text, options);
  order_marks(points);
  if (composes) {
    const auto count = utf8proc_normalize_utf32(
        points.data(), static_cast<utf8proc_ssize_t>(points.size()),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    points.resize(static_cast<std::size_t>(std::max<utf8proc_ssize_t>(count, 0)));
  }
  std::string result;
  result.reserve(text.size());
  for (const utf8proc_int32_t c : points) append_utf8(static_cast<char32_t>(c), result);
  return result;
}

}  // namespace gist
