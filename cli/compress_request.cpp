#include "cli/compress_request.h"

#include <charconv>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cli/store_options.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// The number that digits spell, and nothing else.
std::optional<std::uint64_t> digits_in(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

Shard shard_option(const Options& options) {
  const std::string text = options.text("shard");
  const std::vector<std::string> parts = split(text, '/');
  const std::optional<std::uint64_t> index = digits_in(parts.front());
  const std::optional<std::uint64_t> count = digits_in(parts.back());
  const bool numbers = parts.size() == 2 && index && count;
  if (!numbers || *index >= *count) {
    fail(ErrorKind::usage, "--shard: expected I/N with I below N, found {}", in_quotes(text));
  }
  return {*index, *count};
}

Dtype store_dtype_option(const Options& options) {
  const std::string name = options.text("store-dtype");
  const std::optional<Dtype> dtype = dtype_named(name);
  if (!dtype || *dtype == Dtype::i32) {
    fail(ErrorKind::usage, "--store-dtype: expected f32, bf16 or f16, found {}", in_quotes(name));
  }
  return *dtype;
}

StoreBegin store_begin(const Options& options) {
  const bool resume = options.flag("resume");
  const bool force = options.flag("force");
  if (resume && force) fail(ErrorKind::usage, "--resume and --force exclude each other");
  return resume ? StoreBegin::resume : force ? StoreBegin::replace : StoreBegin::create;
}

}  // namespace

CommandSpec compress_spec() {
  return {
      "compress",
      "--model DIR --output STORE [[--input] FILE|-] [OPTION ...]",
      "compress prompts into a gist store",
      "",
      joined({{{"output", OptionKind::text, "STORE", "", "the store to make (HDF5)"},
               {"input", OptionKind::text, "FILE", "-",
                "JSONL, a JSON array or *.tsv, perhaps .gz or .zst, with \"instruction\" and "
                "perhaps \"id\"; - for standard input"},
               {"gist-tokens", OptionKind::integer, "K", "",
                "gist tokens a prompt, where the model has no gist.json"},
               {"store-dtype", OptionKind::text, "NAME", "f32", "f32, bf16 or f16: of the store"},
               {"full-prompt", OptionKind::flag, "", "",
                "keep every token of the prompt, under pos: the instruction-cache baseline"},
               {"known", OptionKind::text, "STORE", "", "skip prompts that stand in this store"},
               trust_store_option(),
               {"shard", OptionKind::text, "I/N", "0/1",
                "only records whose number, from 0, is I modulo N"},
               {"resume", OptionKind::flag, "", "", "go on with what STORE.partial holds"},
               {"force", OptionKind::flag, "", "", "replace STORE, discard STORE.partial"},
               {"finish", OptionKind::flag, "", "",
                "publish STORE.partial as it is; needs no --model and reads no input"},
               {"batch-tokens", OptionKind::integer, "N", "8192",
                "tokens of one pass; a longer prompt has a pass of its own"},
               {"line-buffered", OptionKind::flag, "", "",
                "answer each record before the next is read"},
               {"dry-run", OptionKind::flag, "", "", "print what it would take, and end"}},
              field_options(),
              prompt_check_options(),
              left_out_options(),
              reject_options(),
              model_options(),
              adapter_option(),
              config_options()}),
      "input",
      "  gist compress --model my-gist-model --output gists.h5 prompts.jsonl\n"};
}

CompressRequest compress_request(const Options& options) {
  CompressRequest request;
  request.dry_run = options.flag("dry-run");
  request.setup = setup_of(options);
  if (options.has("adapter")) request.setup.adapter = options.text("adapter");
  request.model = options.text("model");
  request.gisting = gisting_request(options);
  request.full_prompt = options.flag("full-prompt");
  request.shard = shard_option(options);
  StoreTask& task = request.task;
  task.path = options.text("output");
  task.dtype = store_dtype_option(options);
  task.compute = request.setup.compute.dtype;
  task.limits.tokens = static_cast<std::int32_t>(options.integer("batch-tokens", 1, 1 << 28));
  if (options.flag("line-buffered")) task.limits.records = 1;
  task.reading = store_reading(options);
  if (!request.dry_run) task.begin = store_begin(options);
  if (options.has("known")) request.known = options.text("known");
  request.input = options.text("input");
  request.records = record_request(options);
  task.fields = request.records.fields.value_or("");
  request.rejects = rejects_request(options);
  request.left_out = left_out_request(options);
  request.check = prompt_check_request(options);
  request.check_report = output_list_file(options, check_report_list);
  return request;
}

}  // namespace gist
