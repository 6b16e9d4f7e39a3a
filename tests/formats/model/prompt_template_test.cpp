#include "formats/model/prompt_template.h"

#include <cstring>
#include <map>

#include "formats/model/safetensors.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;
using Ids = std::vector<std::int32_t>;
using nlohmann::json;

const Tokenizer& tokenizer() {
  static const Tokenizer opened = Tokenizer::open(fixtures / "models/stories260K-gist");
  return opened;
}

FieldLookup fields(std::map<std::string, std::string, std::less<>> values) {
  return [values = std::move(values)](std::string_view name) {
    const auto found = values.find(name);
    if (found == values.end()) fail(ErrorKind::data, "no field {}", name);
    return found->second;
  };
}

PromptTemplate parsed(const char* text) {
  return PromptTemplate::parse(json::parse(text), "file");
}

Ids before(const char* text, const FieldLookup& field) {
  return parsed(text).before_gist(tokenizer(), field);
}

void expect_refused(const char* text, const std::string& message) {
  expect_error(ErrorKind::data, message, [&] { parsed(text); });
}

Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Strip, RemovesAsciiWhiteSpaceAtBothEndsOnly) {
  EXPECT_EQ(strip(" \t\r\n\v\fa b\n "), "a b");
  EXPECT_EQ(strip(" \n"), "");
  EXPECT_EQ(strip("\xC2\xA0"), "\xC2\xA0");  // U+00A0
}

TEST(PromptTemplate, SplitsTheTextAtTheGist) {
  const PromptTemplate layout = PromptTemplate::decoder_default();
  const FieldLookup field = fields({{"instruction", "Say hello. "}, {"input", "a cat"}});
  EXPECT_EQ(layout.before_gist(tokenizer(), field),
            Ids{1} + tokenizer().encode("Instruction: Say hello."));
  EXPECT_EQ(layout.after_gist(tokenizer(), field), tokenizer().encode("Input: a cat\nOutput:"));
}

TEST(PromptTemplate, TakesElseTextWhereAllFieldsAreEmpty) {
  const PromptTemplate layout = PromptTemplate::decoder_default();
  EXPECT_EQ(layout.after_gist(tokenizer(), fields({{"input", ""}})), tokenizer().encode("Output:"));
}

TEST(PromptTemplate, LeavesOutATextWithoutElseWhereAllFieldsAreEmpty) {
  const char* text = R"([{"text": "{a}, {b}"}, "gist"])";
  EXPECT_TRUE(before(text, fields({{"a", ""}, {"b", ""}})).empty());
  EXPECT_EQ(before(text, fields({{"a", ""}, {"b", "x"}})), tokenizer().encode(", x"));
}

TEST(PromptTemplate, KeepsATextWithoutFields) {
  EXPECT_EQ(before(R"([{"text": "Once"}, "gist"])", fields({})), tokenizer().encode("Once"));
}

TEST(PromptTemplate, EncodesEachPartOnItsOwn) {
  EXPECT_EQ(before(R"([{"text": "Once "}, {"text": " upon"}, "gist"])", fields({})),
            tokenizer().encode("Once") + tokenizer().encode("upon"));
}

TEST(PromptTemplate, TakesDoubledBracesForBraces) {
  EXPECT_EQ(before(R"([{"text": "{{{a}}} {{a}}"}, "gist"])", fields({{"a", "x"}})),
            tokenizer().encode("{x} {a}"));
}

TEST(PromptTemplate, TakesBracesAndSpecialTokensInAFieldForText) {
  EXPECT_EQ(before(R"([{"text": "{a}"}, "gist"])", fields({{"a", "{b} <GIST>"}})),
            tokenizer().encode("{b} <GIST>"));
}

TEST(PromptTemplate, LeavesOutAPieceThatTheTokenizerLacks) {
  EXPECT_THAT(before(R"([{"piece": "</s>"}, {"piece": "no such"}, "eos", "gist"])", fields({})),
              ElementsAre(2, 2));
}

TEST(PromptTemplate, PassesOnThatAFieldIsMissing) {
  expect_error(ErrorKind::data, "no field instruction",
               [] { PromptTemplate::decoder_default().before_gist(tokenizer(), fields({})); });
}

TEST(PromptTemplate, KeepsItsJson) {
  const char* text = R"(["bos", {"text": "x", "else": "y"}, "gist", {"piece": "z"}])";
  EXPECT_EQ(parsed(text).json(), json::parse(text));
  const json whole = PromptTemplate::decoder_default().json();
  EXPECT_EQ(whole, json::parse(R"(["bos", {"text": "Instruction: {instruction}"}, "gist",
                                   {"text": "Input: {input}\nOutput:", "else": "Output:"}])"));
}

TEST(PromptTemplate, HasExactlyOneGist) {
  expect_refused(R"(["bos"])", "file: a template should have one \"gist\", found 0");
  expect_refused(R"(["gist", "gist"])", "found 2");
  expect_refused(R"({"gist": 1})", "should be a list");
}

TEST(PromptTemplate, RefusesUnknownPiecesAndNamesThem) {
  expect_refused(R"(["bos", "pad", "gist"])", "file: template piece 2: should be");
  expect_refused(R"(["gist", 7])", "template piece 2");
  expect_refused(R"([{"txt": "x"}, "gist"])", "template piece 1");
  expect_refused(R"([{"text": "x", "otherwise": "y"}, "gist"])", "template piece 1");
  expect_refused(R"([{"piece": "x", "else": "y"}, "gist"])", "template piece 1");
  expect_refused(R"([{}, "gist"])", "template piece 1");
  expect_refused(R"([{"text": 1}, "gist"])", "\"text\" should be a string");
  expect_refused(R"([{"text": "", "else": null}, "gist"])", "\"else\" should be a string");
}

TEST(PromptTemplate, RefusesBracesThatDoNotNameAField) {
  for (const char* text : {"{a", "a}", "{", "}", "{}", "{a{b}}", "{{a}"}) {
    const json pieces = {{{"text", text}}, "gist"};
    expect_error(ErrorKind::data, "braces", [&] { PromptTemplate::parse(pieces, "file"); });
  }
}

TEST(Join, PlacesTheGistTokensBetweenTheParts) {
  const Sequence sequence = join({5, 6}, 9, 3, {7});
  EXPECT_THAT(sequence.ids, ElementsAre(5, 6, 9, 9, 9, 7));
  EXPECT_THAT(sequence.gists, ElementsAre(Interval{2, 5}));
}

TEST(Join, HasNoGistWhereKIsZero) {
  const Sequence sequence = join({5, 6}, 9, 0, {7});
  EXPECT_THAT(sequence.ids, ElementsAre(5, 6, 7));
  EXPECT_TRUE(sequence.gists.empty());
}

/// The reference implementation's token ids, whole sequences with completion and eos.
void expect_golden_layout(const std::string& name, const std::filesystem::path& model) {
  const Tokenizer vocabulary = Tokenizer::open(model);
  const std::filesystem::path golden = fixtures / "golden" / name;
  const json prompts = json::parse(content_of(golden / "golden.json"));
  const SafetensorsFile tensors(golden / "forward.safetensors");
  const PromptTemplate layout = PromptTemplate::decoder_default();
  ASSERT_EQ(vocabulary.gist_token(), prompts["gist_token_id"]);
  int compared = 0;
  for (std::size_t i = 0; i < prompts["prompts"].size(); ++i) {
    const json& prompt = prompts["prompts"][i];
    const FieldLookup field = [&](std::string_view key) {
      return prompt.at(std::string(key)).get<std::string>();
    };
    const Ids before_gist = layout.before_gist(vocabulary, field);
    const Ids after_gist = layout.after_gist(vocabulary, field);
    const Ids completion = vocabulary.encode(prompt["output"].get<std::string>());
    for (const int k : prompts["ks"]) {
      Ids ids = join(before_gist, *vocabulary.gist_token(), k, after_gist).ids;
      ids = ids + completion + Ids{*vocabulary.eos()};
      for (const std::string condition : {"gist", "pos", "neg"}) {
        const auto entry =
            tensors.tensors().find(fmt::format("{}.k{}.{}.input_ids", condition, k, i));
        ASSERT_NE(entry, tensors.tensors().end());
        ASSERT_EQ(entry->second.dtype, "I32");
        Ids expected(entry->second.bytes / sizeof(std::int32_t));
        std::memcpy(expected.data(), entry->second.data, entry->second.bytes);
        EXPECT_EQ(ids, expected) << entry->first;
        ++compared;
      }
    }
  }
  EXPECT_EQ(compared, 24);
}

TEST(PromptTemplate, LaysOutTokensAsTheReferenceDoesStories) {
  expect_golden_layout("stories260K-gist", fixtures / "models/stories260K-gist");
}

TEST(PromptTemplate, LaysOutTokensAsTheReferenceDoesWordTasks) {
  expect_golden_layout("wordtasks-llama-gist", fixtures / "models/wordtasks-llama-gist");
}

}  // namespace
}  // namespace gist
