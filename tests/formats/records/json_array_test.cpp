#include "formats/records/json_array.h"

#include "formats/records/jsonl.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;
using ::testing::Pair;

/// The elements of an array that is read in pieces of so many bytes.
std::vector<ArrayElement> elements_of(std::string_view text, std::size_t piece,
                                      std::size_t most_bytes = 0) {
  std::vector<ArrayElement> result;
  ArraySplitter splitter("input", most_bytes);
  while (!text.empty()) {
    std::string_view read = text.substr(0, piece);
    text.remove_prefix(read.size());
    while (!read.empty()) {
      if (std::optional<ArrayElement> element = splitter.next(read)) {
        result.push_back(std::move(*element));
      }
    }
  }
  splitter.finish();
  return result;
}

/// Text and line of each element.
std::vector<std::pair<std::string, std::uint64_t>> elements(const std::string& text,
                                                            std::size_t piece = 1 << 16) {
  std::vector<std::pair<std::string, std::uint64_t>> result;
  for (const ArrayElement& element : elements_of(text, piece)) {
    result.emplace_back(element.text, element.line);
  }
  return result;
}

/// Whatever the pieces.
void expect_array_refused(const std::string& text, const std::string& message) {
  for (const std::size_t piece : {1, 2, 3, 1000}) {
    expect_error(ErrorKind::data, message, [&] { elements(text, piece); });
  }
}

TEST(JsonArray, GivesEachElementsTextAndLine) {
  EXPECT_THAT(elements("\n[{\"a\": 1},\r\n {\n  \"b\": [2]\n }\t, {}]\n"),
              ElementsAre(Pair("{\"a\": 1}", 2), Pair("{\n  \"b\": [2]\n }", 3), Pair("{}", 5)));
}

TEST(JsonArray, HasTheSameElementsWhateverThePieces) {
  const std::string text =
      "\n[{\"a\": 1},\r\n {\n  \"b\\\"\\\\\": [2, \"]\"]\n }\t, \"x\\\"\", 12,{}]\n";
  const auto whole = elements(text);
  EXPECT_EQ(whole.size(), 5U);
  for (std::size_t piece = 1; piece < text.size(); ++piece) EXPECT_EQ(elements(text, piece), whole);
}

TEST(JsonArray, KeepsTheBeginningOfElementsThatAreTooLong) {
  const std::string long_one = "{\"a\": \"" + std::string(5000, 'x') + "\"}";
  const std::string text =
      "[{},\n" + long_one + ", \"" + std::string(3000, 'y') + "\", {\"b\": 1}]";
  for (const std::size_t piece : {std::size_t{7}, text.size()}) {
    const std::vector<ArrayElement> found = elements_of(text, piece, 2000);
    ASSERT_EQ(found.size(), 4U);
    EXPECT_FALSE(found[0].cut);
    EXPECT_TRUE(found[1].cut);
    EXPECT_EQ(found[1].text, long_one.substr(0, kept_beginning));
    EXPECT_EQ(found[1].line, 2U);
    EXPECT_TRUE(found[2].cut);
    EXPECT_FALSE(found[3].cut);
    EXPECT_EQ(found[3].text, "{\"b\": 1}");
  }
}

TEST(JsonArray, MayBeEmpty) {
  EXPECT_TRUE(elements("[]").empty());
  EXPECT_TRUE(elements(" [\n] ").empty());
}

TEST(JsonArray, BracketsCommasAndQuotesInStringsAreText) {
  const std::string element = R"({"],[": "a\"}], \\", "\\": "{"})";
  EXPECT_THAT(elements("[" + element + "," + element + "]"),
              ElementsAre(Pair(element, 1), Pair(element, 1)));
}

TEST(JsonArray, ElementsMayBeAnyValueForAParserToRefuse) {
  EXPECT_THAT(elements(R"([1.5e3 , null,"a,]", [[1], 2], {"a" 1}])"),
              ElementsAre(Pair("1.5e3", 1), Pair("null", 1), Pair("\"a,]\"", 1),
                          Pair("[[1], 2]", 1), Pair("{\"a\" 1}", 1)));
}

TEST(JsonArray, NamesThePlaceOfAFault) {
  expect_array_refused("[{},\n {} {}]", "input:2:5: expected , or ] after an element, found \"{\"");
  expect_array_refused("[{},\n]", "input:2:1: an element should stand here, found \"]\"");
  expect_array_refused("[,{}]", "input:1:2: an element should stand here, found \",\"");
  expect_array_refused("[{}]\n\n[{}]", "input:3:1: nothing should follow the array, found \"[\"");
  expect_array_refused("[{}],", "input:1:5: nothing should follow the array");
  expect_array_refused("[{\"a\": [1}]", "input:1:10: expected ] before }");
  expect_array_refused("[{\"a\": \"b\n\"}]", "input:1:10: a string is not closed on its line");
  expect_array_refused("{}", "input:1:1: a JSON array should start here");
  expect_array_refused("[" + std::string(2'000'000, '['), "nested too deeply");
}

TEST(JsonArray, IsNotTakenForWholeWhereItIsTruncated) {
  const std::string whole = "\n[ {\"a\\\"\": [\"b\", {}]} , 1 ]";
  for (std::size_t size = 2; size < whole.size(); ++size) {
    SCOPED_TRACE(whole.substr(0, size));
    expect_array_refused(whole.substr(0, size),
                         "the input ends within the array that starts on line 2");
  }
  EXPECT_EQ(elements(whole).size(), 2U);
}

TEST(JsonArray, AnElementIsARecordOnItsLine) {
  const std::string text = "[\n{\"a\": \"x\"},\n{\"a\":\n 1}]";
  const std::vector<ArrayElement> found = elements_of(text, 1000);
  const Record record = parse_record(found[1].text, "input", found[1].line, 1);
  EXPECT_EQ(record.text, "{\"a\":\n 1}");
  expect_error(ErrorKind::data, "input:3: the field \"a\"", [&] { record.string("a"); });
}

TEST(OnOneLine, ReplacesLineEndsBySpaces) {
  EXPECT_EQ(on_one_line("{\r\n\t\"a\":\n\"\\n\"}"), "{  \t\"a\": \"\\n\"}");
  EXPECT_EQ(on_one_line("{\"a\": 1}\r"), "{\"a\": 1}\r");
}

}  // namespace
}  // namespace gist
