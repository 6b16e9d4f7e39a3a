#include "gist/prompt_reader.h"

#include <string>
#include <utility>
#include <vector>

#include "gist/prompt_check.h"
#include "tests/gist/compress_model.h"

namespace gist {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::OpenedModel;
using testing::some_prompts;
using testing::statuses_of;
using testing::TemporaryDirectory;
using testing::write_file;
using Status = StagedRecord::Status;

TEST(PromptReader, APromptStandsBeforeItsGistAndIsFollowedByIt) {
  const OpenedModel model;
  const std::vector<PromptText> prompts = some_prompts();
  PromptReader reader(source_of(prompts), model.files, model.spec, model.task);
  const std::optional<Prompt> prompt = reader.next();
  ASSERT_TRUE(prompt);
  EXPECT_EQ(prompt->record.id, "a");
  EXPECT_EQ(prompt->record.gist_tokens, 1u);
  EXPECT_EQ(prompt->record.position, prompt->record.prompt_tokens);
  EXPECT_EQ(prompt->kept.end, prompt->sequence.tokens());
  EXPECT_EQ(prompt->sequence.ids.back(), model.files.tokenizer.gist_token());
}

TEST(PromptReader, AFileAndMemoryGiveTheSamePrompts) {
  const OpenedModel model;
  const TemporaryDirectory directory;
  write_file(directory / "p.jsonl", "{\"instruction\": \"Repeat the words.\"}\n");
  const FieldMap map;
  RecordReader records(directory / "p.jsonl", map);
  PromptReader file(source_of(records), model.files, model.spec, model.task);
  const std::vector<PromptText> prompts{{"", "Repeat the words."}};
  PromptReader memory(source_of(prompts), model.files, model.spec, model.task);
  const std::optional<Prompt> a = file.next(), b = memory.next();
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->record.id, b->record.id);
  EXPECT_EQ(a->record.id, to_hex(a->record.prompt_sha256));
  EXPECT_EQ(a->sequence.ids, b->sequence.ids);
}

TEST(PromptReader, TheSamePromptAgainIsADuplicateAndAnotherUnderItsIdAnError) {
  const OpenedModel model;
  const std::vector<PromptText> prompts{{"a", "Repeat."}, {"a", "Repeat."}, {"a", "Reverse."}};
  PromptReader reader(source_of(prompts, "memory"), model.files, model.spec, model.task);
  EXPECT_EQ(reader.next()->record.status, Status::stored);
  EXPECT_EQ(reader.next()->record.status, Status::duplicate);
  expect_error(ErrorKind::data, "memory:3: id \"a\" stands for another prompt on line 1",
               [&] { reader.next(); });
}

TEST(PromptReader, WhatCantBeUsedIsRejectedWhereTheCallerTakesIt) {
  const OpenedModel model;
  const std::vector<PromptText> prompts{{"a", " "}, {"b", "\xff"}, {"c", "Repeat."}};
  std::vector<std::string> reasons;
  PromptEvents events;
  events.reject = [&](const Record&, const Error& error) { reasons.emplace_back(error.what()); };
  PromptReader reader(source_of(prompts), model.files, model.spec, model.task, events);
  EXPECT_THAT(statuses_of(reader), ElementsAre(Status::rejected, Status::rejected, Status::stored));
  EXPECT_THAT(reasons, ElementsAre(::testing::StartsWith("prompts:1: "),
                                   "prompts:2: the field \"instruction\" is not valid UTF-8"));
  EXPECT_EQ(reader.used(), 1u);
}

TEST(PromptReader, WhatIsTooLongIsLeftOutAndNoReject) {
  OpenedModel model;
  model.task.max_tokens = 6;
  std::vector<LeftOut> left_out;
  PromptEvents events;
  events.left_out = [&](const LeftOut& record) { left_out.push_back(record); };
  const std::vector<PromptText> prompts{{"a", std::string(100, 'x')}, {"b", "a"}};
  PromptReader reader(source_of(prompts), model.files, model.spec, model.task, events);
  EXPECT_THAT(statuses_of(reader), ElementsAre(Status::stored));
  ASSERT_EQ(left_out.size(), 1u);
  EXPECT_EQ(left_out[0].place.line, 1u);
  EXPECT_GT(left_out[0].tokens, 6);
}

TEST(PromptReader, ShardsShareTheRecordsAmongThem) {
  OpenedModel model;
  const std::vector<PromptText> prompts = some_prompts();
  std::vector<std::string> ids;
  for (std::uint64_t i = 0; i < 2; ++i) {
    model.task.shard = {i, 2};
    PromptReader reader(source_of(prompts), model.files, model.spec, model.task);
    while (const std::optional<Prompt> prompt = reader.next()) ids.push_back(prompt->record.id);
  }
  EXPECT_THAT(ids, ElementsAre("a", "c", "b"));
}

TEST(PromptReader, ASampleIsTheSameInAnyOrderAndLeavesAllPromptsToBeRead) {
  const OpenedModel model;
  std::vector<PromptText> prompts = some_prompts();
  const WholePromptModel check(model.files, model.spec, model.task, {}, std::nullopt, model.setup);
  const auto asked = [&] {
    PromptReader reader(source_of(prompts), model.files, model.spec, model.task);
    reader.ask(check.questions(), 1);
    std::vector<std::string> ids;
    while (const std::optional<Prompt> prompt = reader.next()) {
      if (prompt->question) ids.push_back(prompt->record.id);
    }
    EXPECT_EQ(reader.used(), prompts.size());
    EXPECT_EQ(reader.fraction(), 1.0);
    return ids;
  };
  const std::vector<std::string> before = asked();
  EXPECT_EQ(before.size(), 1u);
  std::swap(prompts.front(), prompts.back());
  EXPECT_EQ(asked(), before);
}

}  // namespace
}  // namespace gist
