#include "formats/files/json_text.h"

#include "formats/files/text.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using namespace std::string_literals;

void expect_refused(const std::string& text, const std::string& message) {
  expect_error(ErrorKind::data, message, [&] { parse_json(text, "file"); });
}

TEST(JsonText, ReadsEveryKindOfValue) {
  const std::string text =
      R"({"a": [null, true, -1, 18446744073709551615, 0.5, "x\n\u00e9"], "b": {}})";
  EXPECT_EQ(parse_json(text, "file"), nlohmann::json::parse(text));
}

TEST(JsonText, NamesLineAndColumnOfAFault) {
  expect_refused("{\n  \"a\": 1,\n  \"b\" 2\n}", "file:3:7: not valid JSON");
}

TEST(JsonText, CountsLinesFromTheFirst) {
  expect_error(ErrorKind::data, "file:7:2: ", [] { parse_json("{]", "file", 7); });
}

TEST(JsonText, RefusesWhatIsCutShort) {
  expect_refused("", "not valid JSON");
  expect_refused("{\"a\": [1, 2", "not valid JSON");
}

TEST(JsonText, RefusesASecondValue) {
  expect_refused("{} {}", "file:1:4: not valid JSON");
}

TEST(JsonText, RefusesAKeyGivenTwiceWhereItStands) {
  expect_refused("{\"a\": {\"k\": 1,\n \"k\": 2}}", "file:2:4: the key \"k\" is given twice");
}

TEST(JsonText, AcceptsOneKeyInTwoObjects) {
  EXPECT_NO_THROW(parse_json(R"([{"a": {"a": 1}}, {"a": 1}])", "file"));
}

TEST(JsonText, RefusesNulBytes) {
  expect_refused("{}\0"s, "NUL");
  expect_refused("{\"a\": \"\0\"}"s, "NUL");
}

TEST(JsonText, RefusesInvalidUtf8WithoutRepeatingIt) {
  expect_refused("{\"a\": \"\xC0\xAF\"}", "ill-formed UTF-8");
  const auto error = error_of([] { parse_json("{\"a\": \"\xC0\xAF\"}", "file"); });
  EXPECT_TRUE(valid_utf8(error->what()));
}

TEST(JsonText, RefusesLoneSurrogates) {
  expect_refused(R"(["\ud800"])", "surrogate");
}

TEST(JsonText, AcceptsTheDeepestNestingAndRefusesOneMore) {
  const std::string deepest = std::string(max_json_depth, '[') + std::string(max_json_depth, ']');
  EXPECT_NO_THROW(parse_json(deepest, "file"));
  expect_refused("[" + deepest + "]", "nested deeper than 256");
  expect_refused(std::string(1'000'000, '['), "nested deeper than 256");
}

TEST(JsonText, ReadsNumbersOfAnyLength) {
  const std::string digits(5000, '7');
  const auto value = parse_json("[1e999, -1E+400, " + digits + ", 1e-999, \"1e999\"]", "file");
  EXPECT_EQ(value[0], "1e999");
  EXPECT_EQ(value[1], "-1E+400");
  EXPECT_EQ(value[2], digits);
  EXPECT_EQ(value[3], 0.0);
  EXPECT_EQ(value[4], "1e999");
}

TEST(JsonText, RefusesMalformedNumbersBesideHugeOnes) {
  expect_refused("[1e999, 1e999e9]", "not valid JSON");
  expect_refused("[1e999, 01e999]", "not valid JSON");
  expect_refused("[1e999, -]", "not valid JSON");
}

TEST(JsonText, SpellsIntegersBeyond64BitsWhereAsked) {
  const std::string text =
      "[340282366920938463463374607431768211455, -9223372036854775809, 1.5, 7]";
  EXPECT_EQ(parse_json(text, "file", 1, LongIntegers::as_text).dump(),
            R"(["340282366920938463463374607431768211455","-9223372036854775809",1.5,7])");
  EXPECT_TRUE(parse_json(text, "file")[0].is_number_float());
}

TEST(JsonText, NamesWhatOtherLanguagesWrite) {
  expect_refused("{\"a\": NaN}", "file:1:7: not valid JSON: NaN is no value; write null");
  expect_refused("[-Infinity]", "-Infinity is no value");
  expect_refused("[1, Infinity]", "Infinity is no value");
  expect_refused("[None]", "None is no value; write null");
  expect_refused("[True]", "True is no value; write true");
  expect_refused("[nan]", "nan is no value");
  expect_refused("{'a': 1}", "a string stands between \", not '");
  expect_refused("[nun]", "not valid JSON: syntax error");
}

TEST(ValidUtf8, FollowsTheUnicodeStandard) {
  EXPECT_TRUE(valid_utf8("a\xC3\xA9\xE2\x96\x81\xF0\x9F\x90\x88"));
  EXPECT_FALSE(valid_utf8("\x80"));              // a continuation alone
  EXPECT_FALSE(valid_utf8("\xC3"));              // cut short
  EXPECT_FALSE(valid_utf8("\xC0\xAF"));          // overlong
  EXPECT_FALSE(valid_utf8("\xE0\x80\xAF"));      // overlong
  EXPECT_FALSE(valid_utf8("\xED\xA0\x80"));      // a surrogate
  EXPECT_FALSE(valid_utf8("\xF4\x90\x80\x80"));  // beyond U+10FFFF
}

TEST(Printable, EscapesWhatSteersATerminal) {
  EXPECT_EQ(printable("a \xC3\xA9 \xF0\x9F\x90\x88 \\ \""), "a \xC3\xA9 \xF0\x9F\x90\x88 \\ \"");
  EXPECT_EQ(printable("\x1b[31m\a\x7f"), "\\u001b[31m\\u0007\\u007f");
  EXPECT_EQ(printable("\0\b\t\n\v\f\r"s), "\\u0000\\b\\t\\n\\u000b\\f\\r");
  EXPECT_EQ(printable("\xC2\x80\xC2\x9B\xC2\x9F\xC2\xA0"), "\\u0080\\u009b\\u009f\xC2\xA0");
  EXPECT_EQ(printable("\u061C\u200E\u200F\u202A\u202E\u2066\u2069"),
            "\\u061c\\u200e\\u200f\\u202a\\u202e\\u2066\\u2069");
  EXPECT_EQ(printable("\u200D\u2029\u2065\u206A"), "\u200D\u2029\u2065\u206A");
}

TEST(Printable, EscapesBytesThatAreNoUtf8) {
  EXPECT_EQ(printable("a\x9B"
                      "31m\xC3"),
            "a\\x9b31m\\xc3");
}

TEST(Printable, KeepsWhatIsAllowed) {
  EXPECT_EQ(printable("a\tb\r\n", "\n\t"), "a\tb\\r\n");
}

TEST(InQuotes, KeepsToOneShortLineOfUtf8) {
  EXPECT_EQ(in_quotes("a\nb"), "\"a\\nb\"");
  std::string text;
  for (int i = 0; i < 60; ++i) text += "\xE2\x96\x81";
  EXPECT_TRUE(valid_utf8(in_quotes(text)));
  EXPECT_LT(in_quotes(text).size(), 110U);
  EXPECT_TRUE(valid_utf8(in_quotes("\xFF")));
}

TEST(JsonIn, IsNothingWhereTheTextIsRefused) {
  EXPECT_EQ(json_in("[1]"), nlohmann::json::array({1}));
  EXPECT_EQ(ordered_json_in(R"({"b": 1, "a": 2})")->dump(), R"({"b":1,"a":2})");
  for (const std::string& text : {"{"s, ""s, "[1] 2"s, "\"\xFF\""s, std::string(200'000, '[')}) {
    EXPECT_FALSE(json_in(text));
    EXPECT_FALSE(ordered_json_in(text));
  }
}

TEST(ReadOrderedJsonObject, KeepsTheOrderOfMembers) {
  const TemporaryDirectory directory;
  write_file(directory / "a.json", R"({"b": 1, "a": {"d": 2.5, "c": 3}})");
  EXPECT_EQ(read_ordered_json_object(directory / "a.json").dump(),
            R"({"b":1,"a":{"d":2.5,"c":3}})");
  write_file(directory / "a.json", R"({"b": 1e999, "a": 1})");
  EXPECT_EQ(read_ordered_json_object(directory / "a.json").dump(), R"({"b":"1e999","a":1})");
  write_file(directory / "a.json", R"({"b": 1, "b": 2})");
  expect_error(ErrorKind::data, "given twice",
               [&] { read_ordered_json_object(directory / "a.json"); });
}

}  // namespace
}  // namespace gist
