#include "cli/engine.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include <spdlog/spdlog.h>

#include "formats/fingerprint.h"
#include "formats/gist_token.h"
#include "formats/json_text.h"
#include "formats/text.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda_loader.h"
#include "kernels/error.h"
#include "plugins/host/plugin_host.h"

namespace gist {
namespace {

std::string creator() {
  return "gist " GIST_VERSION;
}

/// The N of cuda:N; none where the name isn't one of those.
std::optional<int> cuda_index(const std::string& device) {
  constexpr std::string_view prefix = "cuda:";
  if (!device.starts_with(prefix)) return std::nullopt;
  int index = 0;
  const char* end = device.data() + device.size();
  const auto parsed = std::from_chars(device.data() + prefix.size(), end, index);
  if (parsed.ec != std::errc() || parsed.ptr != end || index < 0) return std::nullopt;
  return index;
}

std::unique_ptr<Backend> make_cuda(const Options& options, int index) {
  CudaOptions cuda;
  cuda.device = index;
  cuda.dtype = compute_dtype(options);
  cuda.allow_tf32 = options.flag("allow-tf32");
  return open_cuda_backend(cuda);
}

/// What auto means: the first CUDA device that can be used, or null for the CPU. Says which device
/// it is, or why a device that is there is none.
std::unique_ptr<Backend> first_usable_cuda(const Options& options) {
  for (const CudaDevice& device : find_cuda_devices().devices) {
    std::string reason = device.unusable;
    if (reason.empty()) {
      try {
        std::unique_ptr<Backend> backend = make_cuda(options, device.index);
        spdlog::info("computing on cuda:{} ({}); --device cpu would use the processor",
                     device.index, device.name);
        return backend;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::unavailable) throw;
        reason = error.what();
      }
    }
    spdlog::warn("not computing on cuda:{} ({}): {}", device.index, device.name, reason);
  }
  return nullptr;
}

}  // namespace

Dtype compute_dtype(const Options& options) {
  const std::string name = options.text("dtype");
  if (name == "f32") return Dtype::f32;
  if (name == "bf16") return Dtype::bf16;
  fail(ErrorKind::usage, "--dtype: expected f32 or bf16, found {}", in_quotes(name));
}

std::unique_ptr<Backend> make_backend(const Options& options) {
  const std::string device = options.text("device");
  if (const auto index = cuda_index(device)) {
    try {
      return make_cuda(options, *index);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unavailable) throw;
      fail(ErrorKind::unavailable, "--device {}: {}; use --device cpu", device, error.what());
    }
  }
  if (device == "auto") {
    if (std::unique_ptr<Backend> backend = first_usable_cuda(options)) return backend;
  } else if (device != "cpu") {
    fail(ErrorKind::usage, "--device: expected auto, cpu or cuda:N, found {}", in_quotes(device));
  }
  if (options.flag("allow-tf32")) {
    fail(ErrorKind::usage, "--allow-tf32 is for CUDA devices; name one by --device cuda:N");
  }
  CpuOptions cpu;
  cpu.dtype = compute_dtype(options);
  cpu.threads = static_cast<int>(options.integer("threads", 0, 4096));
  return make_cpu_backend(cpu);
}

std::vector<OptionSpec> model_options() {
  return joined({{{"model", OptionKind::text, "DIR", "", "Hugging Face directory of the model"}},
                 engine_options()});
}

std::vector<OptionSpec> engine_options() {
  return {{"plugin-path", OptionKind::list, "DIR", "",
           "where to look for model families first; a list separated by ':'"},
          {"family", OptionKind::text, "ID", "", "the family to use where several serve the model"},
          {"device", OptionKind::text, "NAME", "auto",
           "cpu, cuda:N, or auto: a CUDA device that can be used, else the CPU"},
          {"dtype", OptionKind::text, "NAME", "f32",
           "f32 or bf16: of weights and of the inputs of matrix products"},
          {"allow-tf32", OptionKind::flag, "", "",
           "on CUDA devices, products of f32 may round their inputs to TF32"},
          {"threads", OptionKind::integer, "N", "0", "0: one for each processor"},
          ignore_tensors_option()};
}

std::vector<OptionSpec> config_options() {
  return {{"config", OptionKind::text, "FILE", "", "JSON object of options, named as here"},
          {"print-config", OptionKind::flag, "", "", "print what --config reads, and end"}};
}

std::vector<OptionSpec> joined(std::initializer_list<std::vector<OptionSpec>> tables) {
  std::vector<OptionSpec> result;
  for (const std::vector<OptionSpec>& table : tables) {
    result.insert(result.end(), table.begin(), table.end());
  }
  return result;
}

std::unique_ptr<Family> family_for(const nlohmann::json& config, const std::string& where,
                                   const Options& options) {
  const std::string id = options.has("family") ? options.text("family") : "";
  return load_family(plugin_directories(options.list("plugin-path")), config, where, id);
}

void check_table(const Tokenizer& tokenizer, std::int32_t rows) {
  // Rows that nothing uses may be missing, of a padding token, say: what is used is checked then.
  const std::int32_t needed = std::max(tokenizer.pieces(), tokenizer.gist_token().value_or(-1) + 1);
  if (needed <= rows) return;
  fail(ErrorKind::data,
       "{} has {} tokens, but the model's embedding table only {} rows: they don't belong together",
       tokenizer.path().string(), tokenizer.size(), rows);
}

std::unique_ptr<Family> family_of(const ModelFiles& files, const Options& options) {
  std::unique_ptr<Family> family = family_for(files.config, files.path + "/config.json", options);
  check_table(files.tokenizer, family->spec().vocabulary);
  return family;
}

Engine load_engine(const ModelFiles& files, std::unique_ptr<Family> family,
                   const Options& options) {
  std::unique_ptr<Backend> backend = make_backend(options);
  Backend& device = *backend;
  return {std::move(backend), Model(std::move(family), device, files.checkpoint.source())};
}

PlanningEngine plan_engine(const ModelFiles& files, std::unique_ptr<Family> family,
                           const Options& options) {
  std::unique_ptr<CountingBackend> backend = make_meta_backend(compute_dtype(options));
  CountingBackend& device = *backend;
  return {std::move(backend), Model(std::move(family), device, files.checkpoint.source())};
}

PromptTemplate default_template(const ModelSpec& spec, const Tokenizer& tokenizer) {
  return spec.encoder_decoder() ? PromptTemplate::encoder_default()
                                : PromptTemplate::decoder_default(tokenizer.adds_bos());
}

GistOptions gist_options(const ModelFiles& files, const ModelSpec& spec, const Options& options) {
  return gist_options(files.settings, files.path, spec, files.tokenizer, options);
}

GistOptions gist_options(const std::optional<GistSettings>& settings, const std::string& model,
                         const ModelSpec& spec, const Tokenizer& tokenizer,
                         const Options& options) {
  GistOptions result;
  result.prompt_template = default_template(spec, tokenizer);
  if (settings) result = {settings->condition, settings->gist_tokens, settings->prompt_template};
  const bool takes_condition = options.knows("condition");
  if (options.has("condition")) {
    const std::string name = options.text("condition");
    const std::optional<Condition> condition = condition_named(name);
    if (!condition) {
      fail(ErrorKind::usage, "--condition: expected gist, pos or neg, found {}", in_quotes(name));
    }
    result.condition = *condition;
  } else if (!settings && takes_condition) {
    fail(ErrorKind::usage,
         "{} has no gist.json, which says how the model was trained: give --condition and "
         "--gist-tokens",
         model);
  }
  if (options.has("gist-tokens")) {
    result.gist_tokens =
        static_cast<std::int32_t>(options.integer("gist-tokens", 0, max_gist_tokens));
  } else if (!settings) {
    fail(ErrorKind::usage,
         "{} has no gist.json, which says how many gist tokens it was trained with: give "
         "--gist-tokens",
         model);
  }
  return result;
}

std::int32_t gist_token_of(const ModelFiles& files) {
  const std::optional<std::int32_t> token = files.tokenizer.gist_token();
  if (!token) {
    fail(ErrorKind::data, "{}: the tokenizer has no {} token: the model was not trained to gist",
         files.path, Tokenizer::gist_token_name);
  }
  return *token;
}

StoreHeader store_header(const ModelFiles& files, const ModelSpec& spec, Condition condition,
                         std::int32_t gist_tokens, const PromptTemplate& prompt_template) {
  const StackSpec& stack = spec.stacks[0];
  StoreHeader header;
  header.creator = creator();
  header.family = spec.family;
  header.architecture = spec.architecture;
  header.n_layers = stack.layers;
  header.n_kv_heads = stack.kv_heads;
  header.key_dim = stack.key_dim;
  header.value_dim = stack.value_dim;
  header.d_model = spec.d_model;
  header.key_position = spec.keys_carry_position ? "pre-rope" : "none";
  header.gist_token = Tokenizer::gist_token_name;
  header.gist_token_id = files.tokenizer.gist_token().value_or(files.tokenizer.size());
  header.gist_tokens = gist_tokens;
  header.prompt_template = prompt_template.json().dump();
  header.condition = name_of(condition);
  header.model_sha256 = model_sha256(files.checkpoint);
  header.tokenizer_sha256 = files.tokenizer.sha256();
  return header;
}

void check_store(const GistStore& store, const ModelFiles& files, const ModelSpec& spec,
                 bool allow_mismatch) {
  const std::string path = store.path().string();
  const PromptTemplate ours =
      files.settings ? files.settings->prompt_template : default_template(spec, files.tokenizer);
  const StoreHeader model = store_header(files, spec, Condition::gist, 0, ours);
  StoreHeader found = store.header();
  // What a store may choose: how many tokens a row has, and under which condition they were made.
  found.condition = model.condition;
  found.gist_tokens = model.gist_tokens;
  if (parse_json(found.prompt_template, path + ": attribute template") == ours.json()) {
    found.prompt_template = model.prompt_template;
  }
  if (allow_mismatch) {
    found.family = model.family;
    found.architecture = model.architecture;
    found.gist_token = model.gist_token;
    found.gist_token_id = model.gist_token_id;
    found.prompt_template = model.prompt_template;
    found.model_sha256 = model.model_sha256;
    found.tokenizer_sha256 = model.tokenizer_sha256;
  }
  const std::string difference = header_difference(found, model, false);
  if (difference.empty()) return;
  fail(ErrorKind::data, "{} was not made with {}: {} (store, model){}", path, files.path,
       difference,
       allow_mismatch ? "" : "; compress the prompts with this model, or name the store's model");
}

}  // namespace gist
