#include "formats/records/jsonl.h"

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using namespace std::string_literals;

Record parsed(const std::string& text) {
  return parse_record(text, "input", 3, 2);
}

void expect_jsonl_refused(const std::string& text, const std::string& message) {
  expect_error(ErrorKind::data, message, [&] { parsed(text); });
}

std::string with(const std::string& text, const nlohmann::ordered_json& added) {
  return with_fields(parsed(text), added, "input");
}

TEST(Record, KeepsItsLineAndPlace) {
  const Record record = parsed(R"( {"a":"x"} )");
  EXPECT_EQ(record.line, 3U);
  EXPECT_EQ(record.ordinal, 2U);
  EXPECT_EQ(record.text, R"( {"a":"x"} )");
  EXPECT_EQ(record.string("a"), "x");
}

TEST(Record, NamesLineAndFieldWhereAFieldIsMissingOrNoString) {
  const Record record = parsed(R"({"n": 1})");
  expect_error(ErrorKind::data, "input:3: the field \"input\" is missing; give \"\"",
               [&] { record.string("input"); });
  expect_error(ErrorKind::data, "input:3: the field \"n\" should be a string, not number",
               [&] { record.string("n"); });
  EXPECT_EQ(record.find_string("input"), nullptr);
}

TEST(Record, TakesNullForAnEmptyInputAndForNoOtherField) {
  Record record =
      parsed(R"({"input": null, "instruction": null, "output": null, "id": null, "q": null})");
  EXPECT_EQ(record.string("input"), "");
  for (const std::string name : {"instruction", "output", "id", "q"}) {
    EXPECT_EQ(record.find(name), nullptr);
    EXPECT_EQ(record.find_string(name), nullptr);
    expect_error(ErrorKind::data, "input:3: the field \"" + name + "\" is null; give a string",
                 [&] { record.string(name); });
  }
  const FieldMap map = parse_field_map("input=q,output=a.b");
  record.map = &map;
  EXPECT_EQ(record.string("input"), "");
}

TEST(Record, RefusesWhatIsNoObject) {
  expect_jsonl_refused("[1]", "input:3: a record should be a JSON object, not array");
  expect_jsonl_refused("7", "should be a JSON object");
  expect_jsonl_refused("{\"a\": 1", "input:3:8: not valid JSON");
  expect_jsonl_refused("{} {}", "input:3:4: not valid JSON");
  expect_jsonl_refused("", "not valid JSON");
}

TEST(Record, SaysWhatMakesRecordsOfPlainTextAndTables) {
  expect_jsonl_refused(
      "Say something, please.",
      "input:3: expected a JSON object, {\"instruction\": TEXT}, found the text \"Say");
  expect_jsonl_refused("Say something.", "jq -Rc '{instruction: .}' FILE");
  expect_jsonl_refused("instruction,output", "csv.DictReader");
  expect_jsonl_refused("instruction\toutput", "its name ends in .tsv");
}

TEST(Record, KeepsIntegersAsTheyAreSpelled) {
  const Record record = parsed(R"({"id": 340282366920938463463374607431768211455})");
  EXPECT_EQ(record.string("id"), "340282366920938463463374607431768211455");
}

TEST(Record, RefusesAKeyGivenTwice) {
  expect_jsonl_refused(R"({"a": 1, "a": 2})", "\"a\" is given twice");
}

TEST(Record, RefusesInvalidUtf8NulAndByteOrderMark) {
  expect_jsonl_refused("{\"a\": \"\xFF\"}", "ill-formed UTF-8");
  expect_jsonl_refused("{\"a\": 1}\0"s, "NUL");
  expect_jsonl_refused("\xEF\xBB\xBF{}", "byte order mark");
}

TEST(Record, RefusesDeepNesting) {
  expect_jsonl_refused(R"({"a": )" + std::string(256, '[') + std::string(256, ']') + "}",
                       "nested deeper");
}

TEST(Record, AcceptsNumbersOfAnyLength) {
  const std::string text = R"({"a": 1e999, "b": )" + std::string(400, '9') + R"(, "c": "x"})";
  const Record record = parsed(text);
  EXPECT_EQ(record.text, text);
  EXPECT_EQ(record.string("c"), "x");
}

TEST(WithFields, AddsBeforeTheClosingBrace) {
  EXPECT_EQ(with(R"({"a": "x"})", {{"b", 1}, {"c", "y"}}), R"({"a": "x", "b": 1, "c": "y"})");
}

TEST(WithFields, NeedsNoCommaInAnEmptyObject) {
  EXPECT_EQ(with("{}", {{"b", 1}}), R"({"b": 1})");
  EXPECT_EQ(with("{ }", {{"b", 1}}), R"({"b": 1 })");
}

TEST(WithFields, ChangesNothingElse) {
  const std::string head =
      "\t{\"n\" :123456789012345678901234567890.10,\"h\":1e999,\"s\":\"\\u00e9}\"";
  EXPECT_EQ(with(head + " } \r", {{"b", 1}}), head + ", \"b\": 1 } \r");
}

TEST(WithFields, PutsARecordOfManyLinesOnOne) {
  EXPECT_EQ(with("{\r\n  \"a\": \"\\n\",\n  \"n\": 1.50\n}", {{"b", 1}}),
            R"({    "a": "\n",   "n": 1.50, "b": 1 })");
}

TEST(WithFields, AddsNothingWhereNothingIsGiven) {
  EXPECT_EQ(with(R"({"a": 1 } )", nlohmann::ordered_json::object()), R"({"a": 1 } )");
}

TEST(WithFields, AddsNestedValuesAndEscapes) {
  EXPECT_EQ(with("{}", {{"q\"", {1, {{"x", nullptr}}}}, {"t", "a\nb"}}),
            R"({"q\"": [1,{"x":null}], "t": "a\nb"})");
}

TEST(WithFields, WritesUtf8EvenWhereAValueIsNot) {
  EXPECT_EQ(with("{}", {{"t", "\xC3\xA9\xFF"}}), "{\"t\": \"\xC3\xA9\xEF\xBF\xBD\"}");
}

TEST(WithFields, RefusesToOverwriteAField) {
  expect_error(ErrorKind::data, "input:3: the record has a field \"completion\" already", [] {
    with(R"({"completion": 1})", {{"completion", "x"}});
  });
}

}  // namespace
}  // namespace gist
