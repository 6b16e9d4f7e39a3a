// Compressing prompts to a store.
#include "gist/compress_store.h"

#include <optional>
#include <utility>

#include "gist/c/context.h"

using gist::ErrorKind;
using gist::fail;

namespace gist::c {
namespace {

using NextPrompt = int32_t (*)(void* user, gist_prompt* prompt);

Dtype store_dtype(const gist_compress_options& options) {
  const std::string name = options.dtype == nullptr ? "f32" : text_of(options.dtype, "dtype");
  const std::optional<Dtype> dtype = dtype_named(name);
  if (!dtype || *dtype == Dtype::i32) {
    fail(ErrorKind::usage, "dtype: expected f32, bf16 or f16, found \"{}\"", name);
  }
  return *dtype;
}

StoreBegin begin_of(const gist_compress_options& options) {
  switch (options.begin) {
    case GIST_CREATE:
      return StoreBegin::create;
    case GIST_RESUME:
      return StoreBegin::resume;
    case GIST_REPLACE:
      return StoreBegin::replace;
    default:
      fail(ErrorKind::usage, "begin: expected a gist_begin, 0 to 2, found {}", options.begin);
  }
}

StoreTask task_of(const GistModel& model, const char* path, const gist_compress_options& options) {
  StoreTask task;
  require(path, "path");
  task.path = path;
  task.compression = model.compressing();
  task.dtype = store_dtype(options);
  task.compute = model.compute_dtype();
  if (options.batch_tokens < 0) {
    fail(ErrorKind::usage, "batch_tokens: expected 0 or more, found {}", options.batch_tokens);
  }
  if (options.batch_tokens > 0) task.limits.tokens = options.batch_tokens;
  task.begin = begin_of(options);
  return task;
}

/// The caller's prompts, one by one.
RecordSource prompts_of(NextPrompt next, void* user) {
  return source_of([next, user, number = std::size_t{0}]() mutable -> std::optional<PromptText> {
    gist_prompt prompt{};
    prompt.size = sizeof prompt;
    const int32_t answer = next(user, &prompt);
    if (answer == 0) return std::nullopt;
    if (answer < 0) throw Ended(GIST_CANCELLED, "the callback `next` ended the call");
    const std::string place = fmt::format("prompt {}", ++number);
    return PromptText{text_or_empty(prompt.id, (place + ": id").c_str()),
                      text_of(prompt.instruction, (place + ": instruction").c_str())};
  });
}

void tell_receipt(const gist_compress_options& options, const StagedRecord& record) {
  if (options.receipt == nullptr) return;
  gist_receipt receipt{};
  receipt.size = sizeof receipt;
  receipt.id = record.id.c_str();
  receipt.row = record.row;
  receipt.prompt_tokens = static_cast<std::int32_t>(record.prompt_tokens);
  receipt.gist_tokens = static_cast<std::int32_t>(record.gist_tokens);
  receipt.status = record.status == StagedRecord::Status::duplicate ? "duplicate" : "stored";
  if (options.receipt(options.user, &receipt) != 0) {
    throw Ended(GIST_CANCELLED, "the callback `receipt` ended the call");
  }
}

}  // namespace
}  // namespace gist::c

extern "C" {

gist_status gist_compress_to_store(gist_context* context, gist_model model, const char* path,
                                   const gist_compress_options* options,
                                   int32_t (*next)(void* user, gist_prompt* prompt), void* user,
                                   gist_error* error) {
  return gist::c::guarded(error, [&] {
    gist::c::require(context, "context");
    const gist_compress_options given = gist::c::taken(options, "options", true);
    if (next == nullptr) fail(ErrorKind::usage, "next is NULL: there would be no prompts");
    const std::shared_ptr<gist::c::OpenModel> open = context->get(model);
    const gist::c::Cancelling cancelling(*open);
    const gist::c::Turn turn(open->turns);
    const gist::StoreTask task = gist::c::task_of(open->model, path, given);
    gist::CompressEvents events;
    events.run.stop_requested = [&] { return cancelling.requested(); };
    events.record = [&](const gist::StagedRecord& record) { gist::c::tell_receipt(given, record); };
    const gist::CompressOutcome outcome =
        compress_to_store(task, open->model.files(), open->model.loaded(),
                          gist::c::prompts_of(next, user), {}, events);
    if (outcome.end == gist::CompressOutcome::End::stopped) {
      throw gist::c::Ended(GIST_CANCELLED, "the call was cancelled");
    }
  });
}
}
