#include "gist/compress_store.h"

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "gist/compress_plan.h"
#include "gist/compress_prompts.h"
#include "tests/gist/compress_model.h"

namespace gist {
namespace {

using testing::CompressModel;
using testing::content_of;
using testing::expect_error;
using testing::some_prompts;
using testing::TemporaryDirectory;
using testing::write_file;
using End = CompressOutcome::End;

std::filesystem::path partial_of(const StoreTask& task) {
  return Staging::path_for(task.path);
}

TEST(CompressToStore, AStoreHoldsThePromptsInMemory) {
  const CompressModel model;
  const TemporaryDirectory directory;
  const std::vector<PromptText> prompts = some_prompts();
  const StoreTask task = model.store(directory / "s.h5");
  const CompressOutcome outcome =
      compress_to_store(task, model.files, model.model, source_of(prompts));
  EXPECT_EQ(outcome.end, End::published);
  EXPECT_EQ(outcome.tally.stored, 3u);
  EXPECT_FALSE(std::filesystem::exists(partial_of(task)));

  const GistStore store(task.path, {.trusted = true});
  ASSERT_EQ(store.rows(), 3u);
  const std::vector<std::string> texts{prompts[1].instruction};
  const std::vector<MadeGist> alone = compress_prompts(model.files, model.model, model.task, texts);
  const std::optional<std::uint64_t> row = store.find("b");
  ASSERT_TRUE(row);
  EXPECT_THAT(store.activations(*row).key,
              ::testing::Pointwise(::testing::FloatNear(1e-4F), alone[0].activations.key));
}

TEST(CompressToStore, AFileAndMemoryMakeTheSameStore) {
  const CompressModel model;
  const TemporaryDirectory directory;
  const std::vector<PromptText> prompts = some_prompts();
  std::string lines;
  for (const PromptText& prompt : prompts) {
    lines += R"({"id": ")" + prompt.id + R"(", "instruction": ")" + prompt.instruction + "\"}\n";
  }
  write_file(directory / "p.jsonl", lines);
  const FieldMap map;
  RecordReader reader(directory / "p.jsonl", map);
  const StoreTask of_file = model.store(directory / "file.h5");
  const StoreTask of_memory = model.store(directory / "memory.h5");
  compress_to_store(of_file, model.files, model.model, source_of(reader));
  compress_to_store(of_memory, model.files, model.model, source_of(prompts));
  EXPECT_EQ(content_of(of_file.path), content_of(of_memory.path));
}

TEST(CompressToStore, AfterAnErrorARunGoesOnToTheSameStore) {
  const CompressModel model;
  const TemporaryDirectory directory;
  const std::vector<PromptText> prompts = some_prompts();
  StoreTask task = model.store(directory / "s.h5");
  task.limits.records = 1;
  std::size_t given = 0;
  const auto failing = [&]() -> std::optional<PromptText> {
    if (given == 2) fail(ErrorKind::io, "the connection is lost");
    return prompts[given++];
  };
  std::uint64_t staged = 0;
  CompressEvents events;
  events.left_staged = [&](std::uint64_t records) { staged = records; };
  expect_error(ErrorKind::io, "the connection is lost", [&] {
    compress_to_store(task, model.files, model.model, source_of(failing), {}, events);
  });
  EXPECT_EQ(staged, 2u);
  EXPECT_FALSE(std::filesystem::exists(task.path));
  expect_error(ErrorKind::cannot_create, "unfinished run of 2 records",
               [&] { compress_to_store(task, model.files, model.model, source_of(prompts)); });

  task.begin = StoreBegin::resume;
  EXPECT_EQ(compress_to_store(task, model.files, model.model, source_of(prompts)).end,
            End::published);
  StoreTask at_once = model.store(directory / "once.h5");
  at_once.limits.records = 1;
  compress_to_store(at_once, model.files, model.model, source_of(prompts));
  EXPECT_EQ(content_of(task.path), content_of(at_once.path));
}

TEST(CompressToStore, AResumedRunMustBeTheSameRun) {
  const CompressModel model;
  const TemporaryDirectory directory;
  const std::vector<PromptText> prompts = some_prompts();
  StoreTask task = model.store(directory / "s.h5");
  task.limits.records = 1;
  CompressEvents stops;
  bool stop = false;
  stops.run.stop_requested = [&] { return stop; };
  stops.progress = [&](std::uint64_t, std::optional<double>) { stop = true; };
  EXPECT_EQ(compress_to_store(task, model.files, model.model, source_of(prompts), {}, stops).end,
            End::stopped);
  task.begin = StoreBegin::resume;
  task.compression.max_tokens = 100;
  expect_error(ErrorKind::usage, "max-tokens",
               [&] { compress_to_store(task, model.files, model.model, source_of(prompts)); });
  task.compression.max_tokens = 0;
  task.dtype = Dtype::f16;
  expect_error(ErrorKind::data, "dtype",
               [&] { compress_to_store(task, model.files, model.model, source_of(prompts)); });
}

TEST(CompressToStore, NothingStaysOfARunThatStagedNothing) {
  const CompressModel model;
  const TemporaryDirectory directory;
  const StoreTask task = model.store(directory / "s.h5");
  const std::vector<PromptText> bad{{"a", ""}};
  expect_error(ErrorKind::data, "prompts:1: ", [&] {
    compress_to_store(task, model.files, model.model, source_of(bad));
  });
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(CompressToStore, AStoreThatIsThereIsReplacedOrComparedOnlyWhereThatIsAsked) {
  const CompressModel model;
  const TemporaryDirectory directory;
  std::vector<PromptText> prompts = some_prompts();
  StoreTask task = model.store(directory / "s.h5");
  task.reading.trusted = true;
  const auto compress_all = [&] {
    return compress_to_store(task, model.files, model.model, source_of(prompts)).end;
  };
  EXPECT_EQ(compress_all(), End::published);
  expect_error(ErrorKind::cannot_create, "exists", compress_all);
  task.begin = StoreBegin::resume;
  EXPECT_EQ(compress_all(), End::finished_before);
  prompts.pop_back();
  expect_error(ErrorKind::data, "this is not the input", compress_all);
  task.begin = StoreBegin::replace;
  EXPECT_EQ(compress_all(), End::published);
  EXPECT_EQ(GistStore(task.path, {.trusted = true}).rows(), 2u);
}

TEST(CompressToStore, KnownPromptsAreNotCompressedAgain) {
  const CompressModel model;
  const TemporaryDirectory directory;
  const std::vector<PromptText> prompts = some_prompts();
  const StoreTask first = model.store(directory / "first.h5");
  const auto two = std::span(prompts).first(2);
  compress_to_store(first, model.files, model.model, source_of(two));
  const GistStore known(first.path, {.trusted = true});
  StoreTask second = model.store(directory / "second.h5");
  second.compression.known = &known;
  const CompressOutcome outcome =
      compress_to_store(second, model.files, model.model, source_of(prompts));
  EXPECT_EQ(outcome.tally.known, 2u);
  EXPECT_EQ(outcome.tally.stored, 1u);
}

TEST(FinishStore, WhatIsStagedIsPublished) {
  const CompressModel model;
  const TemporaryDirectory directory;
  const std::vector<PromptText> prompts = some_prompts();
  StoreTask task = model.store(directory / "s.h5");
  task.limits.records = 1;
  expect_error(ErrorKind::no_input, "nothing to finish",
               [&] { finish_store(task.path, false, {}); });
  bool stop = false;
  CompressEvents events;
  events.run.stop_requested = [&] { return stop; };
  events.progress = [&](std::uint64_t, std::optional<double>) { stop = true; };
  compress_to_store(task, model.files, model.model, source_of(prompts), {}, events);
  std::vector<std::string> ids;
  FinishEvents finish;
  finish.record = [&](const StagedRecord& record) { ids.push_back(record.id); };
  finish_store(task.path, false, finish);
  EXPECT_THAT(ids, ::testing::ElementsAre("a"));
  EXPECT_EQ(GistStore(task.path, {.trusted = true}).rows(), 1u);
}

TEST(PlanCompression, ARunIsCountedWithoutComputingIt) {
  const CompressModel model;
  const std::vector<PromptText> prompts = some_prompts();
  PromptReader reader(source_of(prompts), model.files, model.spec, model.task);
  const CompressPlan plan =
      plan_compression(reader, model.files, family_of(model.files, model.setup), model.task,
                       nullptr, Dtype::f32, {8192, 2}, Dtype::f32);
  EXPECT_EQ(plan.records, 3u);
  EXPECT_EQ(plan.rows, 3u);
  EXPECT_EQ(plan.batches, 2u);
  EXPECT_GT(plan.flops, 0);
  EXPECT_GT(plan.memory_bytes, plan.weight_bytes);
}

}  // namespace
}  // namespace gist
