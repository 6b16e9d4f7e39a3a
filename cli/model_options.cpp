#include "cli/model_options.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "formats/files/text.h"
#include "kernels/devices.h"
#include "kernels/error.h"
#include "plugins/host/plugin_host.h"

namespace gist {
namespace {

constexpr const char* ignore_option = "ignore-tensors";

}  // namespace

Dtype compute_dtype(const Options& options) {
  const std::string name = options.text("dtype");
  if (name == "f32") return Dtype::f32;
  if (name == "bf16") return Dtype::bf16;
  fail(ErrorKind::usage, "--dtype: expected f32 or bf16, found {}", in_quotes(name));
}

std::unique_ptr<Backend> make_backend(const Options& options) {
  const std::string name = options.text("device");
  DeviceOptions device;
  device.dtype = compute_dtype(options);
  device.threads = static_cast<int>(options.integer("threads", 0, 4096));
  device.allow_tf32 = options.flag("allow-tf32");
  const DeviceEvents events{
      [](const Device& chosen) {
        spdlog::info("computing on {} ({}); --device cpu would use the processor", chosen.name,
                     chosen.model);
      },
      [](const Device& other, const std::string& reason) {
        spdlog::warn("not computing on {} ({}): {}", other.name, other.model, reason);
      }};
  try {
    return open_device(name, device, events);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::usage && name != "auto" && name != "cpu") {
      fail(ErrorKind::usage, "--device: expected auto, cpu or cuda:N, found {}", in_quotes(name));
    }
    if (error.kind() == ErrorKind::usage) {
      fail(ErrorKind::usage, "--allow-tf32 is for CUDA devices; name one by --device cuda:N");
    }
    if (error.kind() != ErrorKind::unavailable || name == "auto" || name == "cpu") throw;
    fail(ErrorKind::unavailable, "--device {}: {}; use --device cpu", name, error.what());
  }
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
          {ignore_option, OptionKind::list, "PATTERN", "",
           "leave out tensors of the checkpoint that the model doesn't read and whose names match, "
           "as in \"*.bias\"; else they are an error"}};
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

FamilyFinder family_finder(const Options& options) {
  return [&options](const nlohmann::json& config, const std::string& where) {
    const std::string id = options.has("family") ? options.text("family") : "";
    return load_family(plugin_directories(options.list("plugin-path")), config, where, id);
  };
}

ModelFiles open_model(const std::string& directory, const Options& options) {
  ModelFiles files(directory, family_finder(options), options.list(ignore_option));
  if (const std::vector<std::string>& ignored = files.ignored_tensors; !ignored.empty()) {
    spdlog::warn("{}: {} tensor{} left out, as --{} says: {}", files.path, ignored.size(),
                 ignored.size() == 1 ? " is" : "s are", ignore_option, first_few(ignored));
  }
  const auto continues = [&] {
    return !family_finder(options)(files.config, files.path)->spec().encoder_decoder();
  };
  if (files.tokenizer.adds_eos() && continues()) {
    spdlog::debug(
        "{}: \"add_eos_token\" is true: answers in training end by that token, prompts don't, as "
        "nothing would follow",
        files.path);
  }
  return files;
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
  std::unique_ptr<Family> family =
      family_finder(options)(files.config, files.path + "/config.json");
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

Gisting gist_options(const ModelFiles& files, const ModelSpec& spec, const Options& options) {
  return gist_options(files.settings, files.path, spec, files.tokenizer, options);
}

Gisting gist_options(const std::optional<GistSettings>& settings, const std::string& model,
                     const ModelSpec& spec, const Tokenizer& tokenizer, const Options& options) {
  Gisting result;
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

}  // namespace gist
