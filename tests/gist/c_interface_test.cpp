// libgist.so as a C program uses it: right, and with each argument wrong in turn.
#include "gist/gist.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace {

using testing::HasSubstr;

const char* const directory = GIST_SOURCE "/examples/models/wordtasks-llama-gist";
const char* const instruction = "Say the words from the last to the first.";
const char* const invalid = "\xff";

/// A struct that says its size, everything else 0.
template <typename Struct>
Struct sized() {
  Struct result{};
  result.size = sizeof result;
  return result;
}

struct Answers {
  std::vector<std::string> texts;
  std::vector<std::string> reasons;
  std::string shown;
};

int32_t take_answer(void* user, size_t request, const gist_completion* completion) {
  auto& answers = *static_cast<Answers*>(user);
  answers.texts.at(request).assign(completion->text, completion->length);
  answers.reasons.at(request) = completion->finish_reason;
  return 0;
}

int32_t take_text(void* user, size_t, const char* text, size_t length) {
  static_cast<Answers*>(user)->shown.assign(text, length);
  return 0;
}

struct Prompts {
  std::vector<std::string> instructions;
  std::size_t next = 0;
  std::vector<std::string> receipts = {};
};

int32_t next_prompt(void* user, gist_prompt* prompt) {
  auto& prompts = *static_cast<Prompts*>(user);
  if (prompts.next == prompts.instructions.size()) return 0;
  prompt->instruction = prompts.instructions[prompts.next++].c_str();
  return 1;
}

int32_t take_receipt(void* user, const gist_receipt* receipt) {
  static_cast<Prompts*>(user)->receipts.push_back(std::string(receipt->status) + " " +
                                                  std::to_string(receipt->row));
  return 0;
}

class CInterface : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(gist_context_open(nullptr, &context_, &error_), GIST_OK) << error_.message;
    auto options = sized<gist_model_options>();
    options.directory = directory;
    options.device = "cpu";
    options.threads = 1;
    ASSERT_EQ(gist_model_open(context_, &options, &model_, &error_), GIST_OK) << error_.message;
  }
  void TearDown() override {
    gist_context_close(&context_);
    EXPECT_EQ(context_, nullptr);
  }

  /// The call failed with this status, and says why.
  void expect(gist_status status, gist_status wanted, const std::string& message) {
    EXPECT_EQ(status, wanted) << gist_status_name(status) << ": " << error_.message;
    EXPECT_EQ(error_.status, wanted);
    EXPECT_THAT(error_.message, HasSubstr(message));
  }

  gist_activations compressed() {
    gist_activations gist = nullptr;
    EXPECT_EQ(gist_compress(context_, model_, &instruction, 1, &gist, &error_), GIST_OK)
        << error_.message;
    return gist;
  }

  /// The answer to a request; "" where the call fails.
  std::string answer(const gist_request& request) {
    Answers answers;
    answers.texts.resize(1);
    answers.reasons.resize(1);
    auto options = generate_options(answers);
    status_ = gist_generate(context_, model_, &options, &request, 1, &error_);
    return answers.texts[0];
  }

  static gist_generate_options generate_options(Answers& answers) {
    auto options = sized<gist_generate_options>();
    options.max_new_tokens = 24;
    options.done = take_answer;
    options.user = &answers;
    return options;
  }

  std::string store_with(Prompts& prompts) {
    const auto path =
        std::filesystem::path(testing::TempDir()) /
        (std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".h5");
    auto options = sized<gist_compress_options>();
    options.begin = GIST_REPLACE;
    options.receipt = take_receipt;
    options.user = &prompts;
    EXPECT_EQ(gist_compress_to_store(context_, model_, path.c_str(), &options, next_prompt,
                                     &prompts, &error_),
              GIST_OK)
        << error_.message;
    return path;
  }

  gist_error error_ = sized<gist_error>();
  gist_status status_ = GIST_OK;
  gist_context* context_ = nullptr;
  gist_model model_ = nullptr;
};

TEST_F(CInterface, SaysItsVersionBeforeAnythingElse) {
  EXPECT_EQ(gist_c_version(), GIST_C_MAJOR * 1000 + GIST_C_MINOR);
  EXPECT_STREQ(gist_version(), GIST_VERSION);
  EXPECT_STREQ(gist_status_name(GIST_DATA), "data");
}

TEST_F(CInterface, AnswersAlikeFromMemoryFromAStoreAndFromTheInstruction) {
  Prompts prompts{{instruction, "Count the words.", instruction}};
  const std::string path = store_with(prompts);
  EXPECT_EQ(prompts.receipts, (std::vector<std::string>{"stored 0", "stored 1", "duplicate 0"}));
  gist_store store = nullptr;
  ASSERT_EQ(gist_store_open(context_, path.c_str(), nullptr, &store, &error_), GIST_OK);

  auto behind = sized<gist_request>();
  behind.activations = compressed();
  behind.input = "cat, lake, red";
  const std::string expected = answer(behind);
  EXPECT_EQ(expected, "red lake cat");

  auto stored = sized<gist_request>();
  stored.store = store;
  stored.instruction = instruction;
  stored.input = behind.input;
  EXPECT_EQ(answer(stored), expected) << error_.message;

  auto whole = sized<gist_request>();
  whole.instruction = instruction;
  whole.input = behind.input;
  EXPECT_EQ(answer(whole), expected) << error_.message;
}

TEST_F(CInterface, LooksUpRows) {
  Prompts prompts{{instruction, "Count the words."}};
  const std::string path = store_with(prompts);
  gist_store store = nullptr;
  ASSERT_EQ(gist_store_open(context_, path.c_str(), nullptr, &store, &error_), GIST_OK);
  auto facts = sized<gist_store_facts>();
  ASSERT_EQ(gist_store_describe(context_, store, &facts, &error_), GIST_OK);
  EXPECT_EQ(facts.rows, 2U);
  EXPECT_STREQ(facts.dtype, "f32");
  uint64_t row = 7;
  ASSERT_EQ(gist_store_find_prompt(context_, store, "Count the words.", &row, &error_), GIST_OK);
  EXPECT_EQ(row, 1U);
  std::vector<char> id(65);
  size_t length = 0;
  ASSERT_EQ(gist_store_id(context_, store, 1, id.data(), id.size(), &length, &error_), GIST_OK);
  EXPECT_EQ(length, 64U);
  ASSERT_EQ(gist_store_find(context_, store, id.data(), &row, &error_), GIST_OK);
  EXPECT_EQ(row, 1U);
  expect(gist_store_find(context_, store, "nobody", &row, &error_), GIST_DATA, "no gist with id");
  EXPECT_EQ(row, 0U);
  expect(gist_store_id(context_, store, 1, id.data(), 10, &length, &error_), GIST_USAGE,
         "64 bytes");
  EXPECT_EQ(length, 64U);
  expect(gist_store_id(context_, store, 2, id.data(), id.size(), nullptr, &error_), GIST_USAGE,
         "2 rows");
  gist_activations gist = nullptr;
  expect(gist_store_read(context_, store, 2, &gist, &error_), GIST_USAGE, "2 rows");
  ASSERT_EQ(gist_store_read(context_, store, 0, &gist, &error_), GIST_OK);
  auto view = sized<gist_activations_view>();
  ASSERT_EQ(gist_activations_read(context_, gist, &view, &error_), GIST_OK);
  auto memory = sized<gist_activations_view>();
  ASSERT_EQ(gist_activations_read(context_, compressed(), &memory, &error_), GIST_OK);
  ASSERT_EQ(view.key_count, memory.key_count);
  for (size_t i = 0; i < view.key_count; ++i) {  // how many rows a product has may round it
    EXPECT_NEAR(view.key[i], memory.key[i], 1e-4);
  }
  EXPECT_EQ(view.position, memory.position);
}

TEST_F(CInterface, GoesOnWithAStoreAndRefusesToReplaceOne) {
  Prompts prompts{{instruction}};
  const std::string path = store_with(prompts);
  auto options = sized<gist_compress_options>();
  prompts.next = 0;
  expect(gist_compress_to_store(context_, model_, path.c_str(), &options, next_prompt, &prompts,
                                &error_),
         GIST_CANNOT_CREATE, "exists");
  options.begin = GIST_RESUME;
  options.receipt = take_receipt;
  options.user = &prompts;
  prompts.next = 0;
  EXPECT_EQ(gist_compress_to_store(context_, model_, path.c_str(), &options, next_prompt, &prompts,
                                   &error_),
            GIST_OK)
      << error_.message;
  EXPECT_EQ(prompts.receipts, (std::vector<std::string>{"stored 0", "stored 0"}));
}

int32_t give_up(void*, gist_prompt*) {
  return -1;
}

TEST_F(CInterface, LeavesNothingOfAStoreThatIsGivenUpBeforeItsFirstRow) {
  const std::string path = std::string(testing::TempDir()) + "/given_up.h5";
  expect(gist_compress_to_store(context_, model_, path.c_str(), nullptr, give_up, nullptr, &error_),
         GIST_CANCELLED, "next");
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST_F(CInterface, SaysWhichRequestFindsNoGist) {
  Prompts prompts{{instruction}};
  const std::string path = store_with(prompts);
  gist_store store = nullptr;
  ASSERT_EQ(gist_store_open(context_, path.c_str(), nullptr, &store, &error_), GIST_OK);
  auto request = sized<gist_request>();
  request.store = store;
  request.gist = "nobody";
  answer(request);
  expect(status_, GIST_DATA, "request 1: " + path + " has no gist with id");
}

TEST_F(CInterface, ShowsTextAsItComesAndEndsItAtAStop) {
  Answers answers;
  answers.texts.resize(1);
  answers.reasons.resize(1);
  auto options = generate_options(answers);
  const char* stop = " lake";
  options.stops = &stop;
  options.stop_count = 1;
  options.text = take_text;
  auto request = sized<gist_request>();
  request.activations = compressed();
  request.input = "cat, lake, red";
  ASSERT_EQ(gist_generate(context_, model_, &options, &request, 1, &error_), GIST_OK);
  EXPECT_EQ(answers.texts[0], "red");
  EXPECT_EQ(answers.reasons[0], "stop");
  EXPECT_EQ(answers.shown, "red");
}

struct CancelledBy {
  gist_context* context;
  gist_model model;
  gist_status answer = GIST_OK;
};

int32_t cancel(void* user, size_t, const char*, size_t) {
  auto& by = *static_cast<CancelledBy*>(user);
  gist_cancel(by.context, by.model, nullptr);
  // A callback may do no more than that with the model that calls it.
  gist_activations none = nullptr;
  by.answer = gist_compress(by.context, by.model, &instruction, 1, &none, nullptr);
  return 0;
}

int32_t ignore_answer(void*, size_t, const gist_completion*) {
  return 0;
}

TEST_F(CInterface, EndsACallThatIsCancelledAndServesTheNext) {
  CancelledBy by{context_, model_};
  auto options = sized<gist_generate_options>();
  options.text = cancel;
  options.done = ignore_answer;
  options.user = &by;
  auto request = sized<gist_request>();
  request.activations = compressed();
  request.input = "cat, lake, red";
  expect(gist_generate(context_, model_, &options, &request, 1, &error_), GIST_CANCELLED,
         "cancelled");
  EXPECT_EQ(by.answer, GIST_USAGE);
  EXPECT_EQ(answer(request), "red lake cat") << error_.message;
}

TEST_F(CInterface, RefusesHandlesThatAreNullClosedOrOthers) {
  const gist_activations gist = compressed();
  auto view = sized<gist_activations_view>();
  ASSERT_EQ(gist_activations_close(context_, gist, &error_), GIST_OK);
  expect(gist_activations_read(context_, gist, &view, &error_), GIST_CLOSED, "activations");
  expect(gist_activations_close(context_, gist, &error_), GIST_CLOSED, "closed");
  expect(gist_activations_read(context_, nullptr, &view, &error_), GIST_USAGE, "NULL");
  gist_context* other = nullptr;
  ASSERT_EQ(gist_context_open(nullptr, &other, &error_), GIST_OK);
  auto facts = sized<gist_model_facts>();
  expect(gist_model_describe(other, model_, &facts, &error_), GIST_CLOSED, "model");
  gist_context_close(&other);
  ASSERT_EQ(gist_model_close(context_, model_, &error_), GIST_OK);
  expect(gist_model_describe(context_, model_, &facts, &error_), GIST_CLOSED, "model");
  expect(gist_cancel(context_, model_, &error_), GIST_CLOSED, "model");
  gist_activations none = nullptr;
  expect(gist_compress(context_, model_, &instruction, 1, &none, &error_), GIST_CLOSED, "model");
}

TEST_F(CInterface, RefusesWhatIsMissing) {
  gist_context* context = nullptr;
  EXPECT_EQ(gist_context_open(nullptr, nullptr, &error_), GIST_USAGE);
  gist_context_close(nullptr);
  gist_context_close(&context);
  gist_model model = nullptr;
  auto options = sized<gist_model_options>();
  expect(gist_model_open(context_, &options, &model, &error_), GIST_USAGE, "directory is NULL");
  options.directory = "/nowhere";
  expect(gist_model_open(context_, &options, &model, &error_), GIST_NO_INPUT, "/nowhere");
  expect(gist_model_open(nullptr, &options, &model, &error_), GIST_USAGE, "context is NULL");
  expect(gist_model_open(context_, nullptr, &model, &error_), GIST_USAGE, "options is NULL");
  expect(gist_model_open(context_, &options, nullptr, &error_), GIST_USAGE, "model is NULL");
  expect(gist_model_describe(context_, model_, nullptr, &error_), GIST_USAGE, "facts is NULL");
  gist_activations gist = nullptr;
  expect(gist_compress(context_, model_, nullptr, 1, &gist, &error_), GIST_USAGE, "instructions");
  expect(gist_compress(context_, model_, &instruction, 1, nullptr, &error_), GIST_USAGE,
         "activations is NULL");
  gist_store store = nullptr;
  expect(gist_store_open(context_, "/nowhere.h5", nullptr, &store, &error_), GIST_NO_INPUT,
         "/nowhere.h5");
  expect(gist_store_open(context_, nullptr, nullptr, &store, &error_), GIST_USAGE, "path is NULL");
  expect(gist_store_open(context_, directory, nullptr, nullptr, &error_), GIST_USAGE, "store");
  Prompts prompts;
  expect(gist_compress_to_store(context_, model_, nullptr, nullptr, next_prompt, &prompts, &error_),
         GIST_USAGE, "path is NULL");
  expect(gist_compress_to_store(context_, model_, "/tmp/x.h5", nullptr, nullptr, nullptr, &error_),
         GIST_USAGE, "next is NULL");
  auto generate = sized<gist_generate_options>();
  const auto request = sized<gist_request>();
  expect(gist_generate(context_, model_, &generate, &request, 1, &error_), GIST_USAGE, "done");
  generate.done = ignore_answer;
  expect(gist_generate(context_, model_, &generate, nullptr, 1, &error_), GIST_USAGE, "requests");
  expect(gist_generate(context_, model_, &generate, &request, 1, &error_), GIST_USAGE, "request 1");
}

TEST_F(CInterface, RefusesWrongSizesAndNumbers) {
  gist_model model = nullptr;
  auto options = sized<gist_model_options>();
  options.directory = directory;
  options.size = 0;
  expect(gist_model_open(context_, &options, &model, &error_), GIST_USAGE, "size should be");
  options.size = sizeof options;
  options.threads = -1;
  expect(gist_model_open(context_, &options, &model, &error_), GIST_USAGE, "threads");
  options.threads = 1;
  options.gist_tokens = -1;
  expect(gist_model_open(context_, &options, &model, &error_), GIST_USAGE, "gist_tokens");
  options.gist_tokens = 5;
  expect(gist_model_open(context_, &options, &model, &error_), GIST_USAGE, "gist.json");
  options.gist_tokens = 0;
  options.dtype = "f64";
  expect(gist_model_open(context_, &options, &model, &error_), GIST_USAGE, "f32 or bf16");
  options.dtype = nullptr;
  options.device = "abacus";
  expect(gist_model_open(context_, &options, &model, &error_), GIST_USAGE, "abacus");
  EXPECT_EQ(model, nullptr);
  struct {
    gist_context_options known = {};
    uint64_t later = 1;
  } newer;
  newer.known.size = sizeof newer;
  gist_context* context = nullptr;
  expect(gist_context_open(&newer.known, &context, &error_), GIST_USAGE, "doesn't know");
  gist_model_facts facts{};
  facts.size = 8;
  expect(gist_model_describe(context_, model_, &facts, &error_), GIST_USAGE, "size should be");
  auto generate = sized<gist_generate_options>();
  generate.done = ignore_answer;
  auto request = sized<gist_request>();
  request.text = "a";
  generate.temperature = -1;
  expect(gist_generate(context_, model_, &generate, &request, 1, &error_), GIST_USAGE,
         "temperature");
  generate.temperature = 0;
  generate.max_new_tokens = -1;
  expect(gist_generate(context_, model_, &generate, &request, 1, &error_), GIST_USAGE,
         "max_new_tokens");
  gist_error small{};
  small.size = offsetof(gist_error, message) + 4;
  EXPECT_EQ(gist_compress(context_, nullptr, &instruction, 1, nullptr, &small), GIST_USAGE);
  EXPECT_EQ(std::strlen(small.message), 3U);
  small.size = 0;
  EXPECT_EQ(gist_compress(context_, nullptr, &instruction, 1, nullptr, &small), GIST_USAGE);
}

TEST_F(CInterface, RefusesBadTexts) {
  gist_activations gist = nullptr;
  expect(gist_compress(context_, model_, &invalid, 1, &gist, &error_), GIST_DATA, "UTF-8");
  const char* empty = " ";
  expect(gist_compress(context_, model_, &empty, 1, &gist, &error_), GIST_DATA, "empty");
  const std::string long_text(20000, 'a');
  const char* text = long_text.c_str();
  expect(gist_compress(context_, model_, &text, 1, &gist, &error_), GIST_DATA, "positions");
  auto request = sized<gist_request>();
  request.instruction = invalid;
  answer(request);
  expect(status_, GIST_DATA, "request 1: instruction");
  request.instruction = instruction;
  request.text = "both";
  answer(request);
  expect(status_, GIST_USAGE, "several");
  request.text = nullptr;
  request.gist = "a";
  answer(request);
  expect(status_, GIST_USAGE, "give store");
  Prompts prompts{{"fine", invalid}};
  const std::string path = std::string(testing::TempDir()) + "/bad_text.h5";
  auto options = sized<gist_compress_options>();
  options.begin = GIST_REPLACE;
  expect(gist_compress_to_store(context_, model_, path.c_str(), &options, next_prompt, &prompts,
                                &error_),
         GIST_DATA, "prompt 2: instruction");
}

TEST_F(CInterface, RefusesAnotherModelsGists) {
  auto options = sized<gist_model_options>();
  options.directory = GIST_SOURCE "/examples/models/wordtasks-llama-pos";
  options.device = "cpu";
  gist_model other = nullptr;
  ASSERT_EQ(gist_model_open(context_, &options, &other, &error_), GIST_OK) << error_.message;
  gist_activations gist = nullptr;
  expect(gist_compress(context_, other, &instruction, 1, &gist, &error_), GIST_USAGE,
         "trained under pos");
  auto generate = sized<gist_generate_options>();
  generate.done = ignore_answer;
  auto request = sized<gist_request>();
  request.activations = compressed();
  expect(gist_generate(context_, other, &generate, &request, 1, &error_), GIST_DATA,
         "was not made with");
}

TEST_F(CInterface, ServesTwoModelsOnTwoThreads) {
  auto options = sized<gist_model_options>();
  options.directory = GIST_SOURCE "/examples/models/wordtasks-t5-gist";
  options.device = "cpu";
  options.threads = 1;
  gist_model t5 = nullptr;
  ASSERT_EQ(gist_model_open(context_, &options, &t5, &error_), GIST_OK) << error_.message;
  const auto answers_of = [this](gist_model model, Answers& answers) {
    gist_activations gist = nullptr;
    EXPECT_EQ(gist_compress(context_, model, &instruction, 1, &gist, nullptr), GIST_OK);
    auto generate = generate_options(answers);
    std::vector<gist_request> requests(answers.texts.size(), sized<gist_request>());
    for (gist_request& request : requests) {
      request.activations = gist;
      request.input = "cat, lake, red";
    }
    EXPECT_EQ(gist_generate(context_, model, &generate, requests.data(), requests.size(), nullptr),
              GIST_OK);
  };
  Answers first, second, third;
  for (Answers* answers : {&first, &second, &third}) {
    answers->texts.resize(4);
    answers->reasons.resize(4);
  }
  std::thread one([&] { answers_of(model_, first); });
  std::thread two([&] { answers_of(t5, second); });
  std::thread three([&] { answers_of(model_, third); });
  one.join();
  two.join();
  three.join();
  EXPECT_EQ(first.texts, std::vector<std::string>(4, "red lake cat"));
  EXPECT_EQ(third.texts, first.texts);
  EXPECT_EQ(second.texts, std::vector<std::string>(4, second.texts[0]));
  EXPECT_NE(second.texts[0], "");
}

/// A call that waits in its first callback until another thread has done something.
struct Visit {
  std::promise<void> inside;
  std::promise<void> go_on;
  std::atomic<bool> answered = false;
  bool waited = false;
};

int32_t wait_once(void* user, size_t, const char*, size_t) {
  auto& visit = *static_cast<Visit*>(user);
  if (visit.waited) return 0;
  visit.waited = true;
  visit.inside.set_value();
  visit.go_on.get_future().wait();
  return 0;
}

int32_t note_answer(void* user, size_t, const gist_completion*) {
  static_cast<Visit*>(user)->answered = true;
  return 0;
}

gist_generate_options visited(Visit& visit) {
  auto options = sized<gist_generate_options>();
  options.max_new_tokens = 24;
  options.text = wait_once;
  options.done = note_answer;
  options.user = &visit;
  return options;
}

TEST_F(CInterface, EndsACallThatAnotherThreadCancels) {
  Visit visit;
  const auto options = visited(visit);
  auto request = sized<gist_request>();
  request.activations = compressed();
  request.input = "cat, lake, red";
  std::thread other([&] {
    visit.inside.get_future().wait();
    EXPECT_EQ(gist_cancel(context_, model_, nullptr), GIST_OK);
    visit.go_on.set_value();
  });
  expect(gist_generate(context_, model_, &options, &request, 1, &error_), GIST_CANCELLED,
         "cancelled");
  other.join();
  EXPECT_FALSE(visit.answered);
  EXPECT_EQ(answer(request), "red lake cat") << error_.message;
}

TEST_F(CInterface, ClosesAModelWhenTheCallThatUsesItEnds) {
  Visit visit;
  const auto options = visited(visit);
  auto request = sized<gist_request>();
  request.activations = compressed();
  request.input = "cat, lake, red";
  std::thread other([&] {
    visit.inside.get_future().wait();
    visit.go_on.set_value();
    EXPECT_EQ(gist_model_close(context_, model_, nullptr), GIST_OK);
    EXPECT_TRUE(visit.answered);
  });
  EXPECT_EQ(gist_generate(context_, model_, &options, &request, 1, &error_), GIST_OK)
      << error_.message;
  other.join();
  answer(request);
  expect(status_, GIST_CLOSED, "model");
}

TEST_F(CInterface, ServesManyThreadsThatShareModelsAndStores) {
  Prompts prompts{{instruction, "Count the words."}};
  const std::string path = store_with(prompts);
  gist_store store = nullptr;
  ASSERT_EQ(gist_store_open(context_, path.c_str(), nullptr, &store, &error_), GIST_OK);
  const auto open_model = [this](const char* family, gist_context* context) {
    const std::string model_directory =
        std::string(GIST_SOURCE "/examples/models/wordtasks-") + family + "-gist";
    auto options = sized<gist_model_options>();
    options.directory = model_directory.c_str();
    options.device = "cpu";
    options.threads = 2;  // the model's own, beside those that call
    gist_model model = nullptr;
    auto error = sized<gist_error>();
    EXPECT_EQ(gist_model_open(context, &options, &model, &error), GIST_OK) << error.message;
    return model;
  };
  const gist_model llama = open_model("llama", context_);
  const gist_model t5 = open_model("t5", context_);
  std::atomic<int> ended = 0;
  // A call on a model that is cancelled every now and then.
  const auto use = [&](gist_model model) {
    for (int round = 0; round < 4; ++round) {
      gist_activations gist = nullptr;
      Answers answers;
      answers.texts.resize(2);
      answers.reasons.resize(2);
      const auto options = generate_options(answers);
      gist_status status = gist_compress(context_, model, &instruction, 1, &gist, nullptr);
      if (status == GIST_OK) {
        std::vector<gist_request> requests(2, sized<gist_request>());
        requests[0].activations = gist;
        requests[1].instruction = "Count the words.";
        for (gist_request& request : requests) request.input = "cat, lake, red";
        status = gist_generate(context_, model, &options, requests.data(), 2, nullptr);
        EXPECT_EQ(gist_activations_close(context_, gist, nullptr), GIST_OK);
      }
      if (status != GIST_CANCELLED) {
        EXPECT_EQ(status, GIST_OK);
        EXPECT_NE(answers.texts[0], "");
      }
    }
    ++ended;
  };
  const auto look_up = [&] {
    for (int round = 0; round < 4; ++round) {
      uint64_t row = 7;
      EXPECT_EQ(gist_store_find_prompt(context_, store, "Count the words.", &row, nullptr),
                GIST_OK);
      EXPECT_EQ(row, 1U);
      gist_activations gist = nullptr;
      EXPECT_EQ(gist_store_read(context_, store, row, &gist, nullptr), GIST_OK);
      auto view = sized<gist_activations_view>();
      EXPECT_EQ(gist_activations_read(context_, gist, &view, nullptr), GIST_OK);
      EXPECT_GT(view.key_count, 0U);
      EXPECT_EQ(gist_activations_close(context_, gist, nullptr), GIST_OK);
      gist_store again = nullptr;
      EXPECT_EQ(gist_store_open(context_, path.c_str(), nullptr, &again, nullptr), GIST_OK);
      auto request = sized<gist_request>();
      request.store = again;
      request.instruction = instruction;
      request.input = "cat, lake, red";
      Answers answers;
      answers.texts.resize(1);
      answers.reasons.resize(1);
      const auto options = generate_options(answers);
      EXPECT_EQ(gist_generate(context_, model_, &options, &request, 1, nullptr), GIST_OK);
      EXPECT_EQ(answers.texts[0], "red lake cat");
      EXPECT_EQ(gist_store_close(context_, again, nullptr), GIST_OK);
    }
    ++ended;
  };
  const auto come_and_go = [&](const char* family) {
    gist_context* own = nullptr;
    EXPECT_EQ(gist_context_open(nullptr, &own, nullptr), GIST_OK);
    for (gist_context* context : {context_, own}) {
      const gist_model model = open_model(family, context);
      auto facts = sized<gist_model_facts>();
      EXPECT_EQ(gist_model_describe(context, model, &facts, nullptr), GIST_OK);
      EXPECT_STREQ(facts.family, family);
      EXPECT_EQ(gist_model_close(context, model, nullptr), GIST_OK);
    }
    gist_context_close(&own);
    ++ended;
  };
  std::vector<std::thread> threads;
  for (const gist_model model : {llama, llama, t5}) threads.emplace_back(use, model);
  for (int i = 0; i < 2; ++i) threads.emplace_back(look_up);
  for (const char* family : {"llama", "t5"}) threads.emplace_back(come_and_go, family);
  const int all = static_cast<int>(threads.size());
  threads.emplace_back([&] {
    while (ended < all) {
      EXPECT_EQ(gist_cancel(context_, llama, nullptr), GIST_OK);
      EXPECT_EQ(gist_cancel(context_, t5, nullptr), GIST_OK);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
