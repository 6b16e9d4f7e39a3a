#include "formats/records/field_map.h"

#include "formats/records/jsonl.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

constexpr const char* chat =
    R"({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one"},
                     {"role": "assistant", "content": "1"}]})";
constexpr const char* long_chat =
    R"({"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "1"},
                     {"role": "user", "content": "two"}, {"role": "assistant", "content": "2"}]})";

class Mapped {
 public:
  Mapped(const std::string& list, const std::string& record)
      : map_(parse_field_map(list)), record_(parse_record(record, "input", 3, 2)) {
    record_.map = &map_;
  }
  std::string operator[](const std::string& name) const { return record_.string(name); }
  bool has(const std::string& name) const { return record_.find(name) != nullptr; }

 private:
  FieldMap map_;
  Record record_;
};

void expect_refused(const std::string& list, const std::string& record,
                    const std::string& message) {
  expect_error(ErrorKind::data, "input:3: " + message,
               [&] { static_cast<void>(Mapped(list, record)["instruction"]); });
}

TEST(FieldMap, GivesFieldsOtherNames) {
  const Mapped record("instruction=prompt,output=answer",
                      R"({"prompt": "a", "input": "b", "answer": "c", "output": "d"})");
  EXPECT_EQ(record["instruction"], "a");
  EXPECT_EQ(record["input"], "b");
  EXPECT_EQ(record["output"], "c");
}

TEST(FieldMap, AFieldThatHasAnotherNameHasItsOwnNoMore) {
  const Mapped record("instruction=text,input=instruction",
                      R"({"text": "a", "instruction": "b", "output": "c"})");
  EXPECT_EQ(record["instruction"], "a");
  EXPECT_EQ(record["input"], "b");
  EXPECT_FALSE(record.has("text"));
}

TEST(FieldMap, WithoutAnInputRecordsMayHaveNone) {
  const Mapped none("instruction=inputs,output=targets", R"({"inputs": "a", "targets": "b"})");
  EXPECT_EQ(none["input"], "");
  const Mapped own("instruction=inputs", R"({"inputs": "a", "input": "b"})");
  EXPECT_EQ(own["input"], "b");
  const Mapped asked_for("input=context", R"({"input": "b"})");
  EXPECT_FALSE(asked_for.has("input"));
  const Record unmapped = parse_record("{}", "input", 3, 2);
  EXPECT_EQ(unmapped.find("input"), nullptr);
}

TEST(FieldMap, TakesTheMessageOfARole) {
  const Mapped record(
      "instruction=messages.system,input=messages.user,output=messages.assistant,id=messages.tool",
      chat);
  EXPECT_EQ(record["instruction"], "Be brief.");
  EXPECT_EQ(record["input"], "one");
  EXPECT_EQ(record["output"], "1");
  EXPECT_FALSE(record.has("id"));
}

TEST(FieldMap, KnowsMessagesThatSayFromAndValue) {
  const Mapped record(
      "instruction=conversations.human,output=conversations.gpt",
      R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})");
  EXPECT_EQ(record["instruction"], "a");
  EXPECT_EQ(record["output"], "b");
}

TEST(FieldMap, TakesOneOfSeveralMessagesOnlyWhenToldWhich) {
  expect_refused(
      "instruction=messages.user", long_chat,
      "the field \"messages\" has 2 messages of role \"user\", and one is asked for (--fields): "
      "add .first or .last");
  const Mapped record("instruction=messages.user.first,output=messages.assistant.last", long_chat);
  EXPECT_EQ(record["instruction"], "one");
  EXPECT_EQ(record["output"], "2");
}

TEST(FieldMap, FollowsObjects) {
  const std::string nested =
      R"({"task": {"prompt": "a", "turns": [{"role": "user", "content": "b"}]}})";
  const Mapped record("instruction=task.prompt,input=task.turns.user", nested);
  EXPECT_EQ(record["instruction"], "a");
  EXPECT_EQ(record["input"], "b");
}

TEST(FieldMap, AFieldsNameMayHaveDots) {
  const Mapped record("instruction=task.prompt",
                      R"({"task.prompt": "a", "task": {"prompt": "b"}})");
  EXPECT_EQ(record["instruction"], "a");
}

TEST(FieldMap, SaysWhatIsMissingOrOfAnotherType) {
  expect_refused("instruction=promt", R"({"prompt": "a"})",
                 "there is no \"promt\", from which \"instruction\" is to be taken (--fields)");
  expect_refused("instruction=messages.tool", chat, "there is no \"messages.tool\"");
  expect_refused("instruction=prompt.text", R"({"prompt": "a"})", "there is no \"prompt.text\"");
  expect_refused("instruction=n", R"({"n": 1})", "the field \"n\" should be a string, not number");
  expect_refused("instruction=messages.user",
                 R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})",
                 "the field \"messages.user\" should be a string, not array");
}

TEST(FieldMap, RefusesListsOfOtherThingsThanMessages) {
  for (const char* list :
       {R"(["a"])", "[1]", "[[]]", R"([{"role": "user"}])", R"([{"content": "a"}])"}) {
    expect_refused("instruction=messages.user", std::string(R"({"messages": )") + list + "}",
                   "the field \"messages\" should be a list of messages {\"role\", \"content\"}");
  }
  expect_refused("instruction=messages.user", R"({"messages": []})",
                 "there is no \"messages.user\"");
}

TEST(FieldMap, RefusesWhatIsNoListOfPairs) {
  for (const char* list :
       {"", "output", "=x", "x=", ",", "a=b,", "a=b,,c=d", "a=b.", "a=.b", "a=b..c", "a=."}) {
    expect_error(ErrorKind::usage, "--fields", [&] { parse_field_map(list); });
  }
  expect_error(ErrorKind::usage, "\"a\" is given twice", [] { parse_field_map("a=b,a=c"); });
}

}  // namespace
}  // namespace gist
