#include "formats/model/prompt_template.h"

#include <cstring>
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "formats/model/named_templates.h"
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
  const PromptTemplate layout = decoder_template();
  const FieldLookup field = fields({{"instruction", "Say hello. "}, {"input", "a cat"}});
  EXPECT_EQ(layout.before_gist(tokenizer(), field),
            Ids{1} + tokenizer().encode("Instruction: Say hello."));
  EXPECT_EQ(layout.after_gist(tokenizer(), field), tokenizer().encode("Input: a cat\nOutput:"));
}

TEST(PromptTemplate, TakesElseTextWhereAllFieldsAreEmpty) {
  const PromptTemplate layout = decoder_template();
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
               [] { decoder_template().before_gist(tokenizer(), fields({})); });
}

TEST(PromptTemplate, KeepsItsJson) {
  const char* text = R"(["bos", {"text": "x", "else": "y"}, "gist", {"piece": "z"}])";
  EXPECT_EQ(parsed(text).json(), json::parse(text));
  const json whole = decoder_template().json();
  EXPECT_EQ(whole, json::parse(R"(["bos", {"text": "Instruction: {instruction}"}, "gist",
                                   {"text": "Input: {input}\nOutput:", "else": "Output:"}])"));
}

TEST(PromptTemplate, TakesWhiteSpaceOffAsStripSays) {
  const FieldLookup field = fields({{"a", " \u00a0x\u3000\n"}});
  const auto with = [&](const std::string& strip) {
    return before((R"([{"text": "\nA: {a}\n", "strip": ")" + strip + R"("}, "gist"])").c_str(),
                  field);
  };
  EXPECT_EQ(with("text"), tokenizer().encode("A:  \u00a0x\u3000"));
  EXPECT_EQ(with("fields"), tokenizer().encode("\nA: x\n"));
  EXPECT_EQ(with("none"), tokenizer().encode("\nA:  \u00a0x\u3000\n\n"));
  EXPECT_EQ(before(R"([{"text": "{a}", "strip": "fields"}, "gist"])", fields({{"a", "\u2003"}})),
            tokenizer().encode(""));
  expect_refused(R"([{"text": "x", "strip": "all"}, "gist"])",
                 R"("strip" should be "text", "fields" or "none", not "all")");
}

TEST(PromptTemplate, NeedsItsTokens) {
  EXPECT_THAT(before(R"([{"token": "</s>"}, "gist"])", fields({})), ElementsAre(2));
  const PromptTemplate layout = parsed(R"(["gist", {"token": "<|im_end|>"}])");
  for (const auto& call :
       std::vector<std::function<void()>>{[&] { layout.require_tokens(tokenizer()); },
                                          [&] { layout.after_gist(tokenizer(), fields({})); }}) {
    expect_error(ErrorKind::data, "has no <|im_end|> token, which the template asks for", call);
  }
  decoder_template().require_tokens(tokenizer());
  encoder_template().require_tokens(tokenizer());  // a "piece" may be missing
}

TEST(NamedTemplates, AreWrittenAsTheModelsChatTemplatesWriteThem) {
  const FieldLookup field = fields({{"instruction", "Be brief."}, {"input", "Why? "}});
  const std::map<std::string_view, std::string> expected{
      {"alpaca", "<s>Instruction: Be brief.<GIST>Input: Why? \nOutput:"},
      {"chatml",
       "<|im_start|>system\nBe brief.<GIST><|im_end|>\n<|im_start|>user\nWhy? <|im_end|>\n"
       "<|im_start|>assistant\n"},
      {"llama3",
       "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<GIST><|eot_id|>"
       "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>"
       "<|start_header_id|>assistant<|end_header_id|>\n\n"},
      {"gemma",
       "<s><start_of_turn>user\nBe brief.<GIST>\n\nWhy?<end_of_turn>\n<start_of_turn>model\n"},
      {"mistral", "<s>[INST]Be brief.<GIST>\n\nWhy? [/INST]"},
      {"t5", "Instruction: Be brief.▁<GIST>Input: Why?</s>"}};
  EXPECT_EQ(named_templates().size(), expected.size());
  for (const NamedTemplate& entry : named_templates()) {
    EXPECT_EQ(template_named(entry.name, true)->shown(field), expected.at(entry.name))
        << entry.name;
  }
  EXPECT_FALSE(template_named("vicuna", true));
  EXPECT_EQ(template_named("alpaca", false)->shown(field).substr(0, 11), "Instruction");
}

TEST(NamedTemplates, KeepAMessageThatIsEmpty) {
  const FieldLookup empty = fields({{"instruction", ""}, {"input", ""}});
  EXPECT_EQ(template_named("chatml", true)->shown(empty),
            "<|im_start|>system\n<GIST><|im_end|>\n<|im_start|>user\n<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(template_named("gemma", true)->shown(empty),
            "<s><start_of_turn>user\n<GIST>\n\n<end_of_turn>\n<start_of_turn>model\n");
}

TEST(NamedTemplates, AreToldByTheTokenizersOwnTokens) {
  EXPECT_FALSE(chat_template_of(tokenizer()));
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
  const Sequence sequence = join({5, 6}, {9}, 3, {7});
  EXPECT_THAT(sequence.ids, ElementsAre(5, 6, 9, 9, 9, 7));
  EXPECT_THAT(sequence.gists, ElementsAre(Interval{2, 5}));
}

TEST(Join, TakesTheFirstOfDistinctIds) {
  EXPECT_THAT(join({5}, {9, 4}, 3, {7}).ids, ElementsAre(5, 9, 10, 11, 7));
  EXPECT_THAT(join({5}, {9, 4}, 1, {7}).ids, ElementsAre(5, 9, 7));
  EXPECT_THROW(join({5}, {9, 2}, 3, {7}), Error);
}

TEST(Join, HasNoGistWhereKIsZero) {
  const Sequence sequence = join({5, 6}, {9}, 0, {7});
  EXPECT_THAT(sequence.ids, ElementsAre(5, 6, 7));
  EXPECT_TRUE(sequence.gists.empty());
}

/// The reference implementation's token ids, whole sequences with completion and eos.
void expect_golden_layout(const std::string& name, const std::filesystem::path& model) {
  const Tokenizer vocabulary = Tokenizer::open(model);
  const std::filesystem::path golden = fixtures / "golden" / name;
  const json prompts = json::parse(content_of(golden / "golden.json"));
  const TensorFile tensors = read_safetensors(golden / "forward.safetensors");
  const PromptTemplate layout = decoder_template();
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
      Ids ids = join(before_gist, vocabulary.gist_ids(), k, after_gist).ids;
      ids = ids + completion + Ids{*vocabulary.eos()};
      for (const std::string condition : {"gist", "pos", "neg"}) {
        const auto entry =
            tensors.tensors.find(fmt::format("{}.k{}.{}.input_ids", condition, k, i));
        ASSERT_NE(entry, tensors.tensors.end());
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
