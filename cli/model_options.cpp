#include "cli/model_options.h"

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <utility>

#include <spdlog/spdlog.h>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* ignore_option = "ignore-tensors";

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Dtype compute_dtype(const Options& options) {
  const std::string name = options.text("dtype");
  if (name == "f32") return Dtype::f32;
  if (name == "bf16") return Dtype::bf16;
  fail(ErrorKind::usage, "--dtype: expected f32 or bf16, found {}", in_quotes(name));
}

PluginSearch plugin_search(const Options& options) {
  PluginSearch search{options.list("plugin-path"), environment("GIST_PLUGIN_PATH"), {}};
  const std::filesystem::path data = environment("XDG_DATA_HOME");
  const std::filesystem::path home = environment("HOME");
  if (data.is_absolute()) {  // as the XDG base directory specification says
    search.user_data = data;
  } else if (!home.empty()) {
    search.user_data = home / ".local/share";
  }
  return search;
}

ModelSetup setup_of(const Options& options) {
  ModelSetup setup;
  setup.plugins = plugin_search(options);
  if (options.has("family")) setup.family = options.text("family");
  setup.device = options.text("device");
  setup.compute.dtype = compute_dtype(options);
  setup.compute.threads = static_cast<int>(options.integer("threads", 0, 4096));
  setup.compute.allow_tf32 = options.flag("allow-tf32");
  setup.ignored_tensors = options.list(ignore_option);
  return setup;
}

std::unique_ptr<Backend> open_backend(const ModelSetup& setup) {
  const std::string& name = setup.device;
  const DeviceEvents events{
      [](const Device& chosen) {
        spdlog::info("computing on {} ({}); --device cpu would use the processor", chosen.name,
                     chosen.model);
      },
      [](const Device& other, const std::string& reason) {
        spdlog::warn("not computing on {} ({}): {}", other.name, other.model, reason);
      }};
  try {
    return open_device(name, setup.compute, events);
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
                 setup_options()});
}

std::vector<OptionSpec> setup_options() {
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

std::vector<OptionSpec> adapter_option() {
  return {
      {"adapter", OptionKind::text, "DIR", "",
       "an adapter that gist train made for --model: it reads gist tokens, and gist.json is its"}};
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

ModelFiles open_model_and_tell(const std::string& directory, const ModelSetup& setup) {
  ModelFiles files = open_model(directory, setup);
  for (const std::string& warning : files.warnings) spdlog::warn("{}", warning);
  if (const std::vector<std::string>& ignored = files.ignored_tensors; !ignored.empty()) {
    spdlog::warn("{}: {} tensor{} left out, as --{} says: {}", files.path, ignored.size(),
                 ignored.size() == 1 ? " is" : "s are", ignore_option, first_few(ignored));
  }
  const auto continues = [&] {
    return !family_finder(setup)(files.config, files.path)->spec().encoder_decoder();
  };
  if (files.tokenizer.adds_eos() && continues()) {
    spdlog::debug(
        "{}: \"add_eos_token\" is true: answers in training end by that token, prompts don't, as "
        "nothing would follow",
        files.path);
  }
  return files;
}

GistingRequest gisting_request(const Options& options) {
  GistingRequest request;
  request.names_condition = options.knows("condition");
  if (options.has("condition")) {
    const std::string name = options.text("condition");
    request.condition = condition_named(name);
    if (!request.condition) {
      fail(ErrorKind::usage, "--condition: expected gist, pos or neg, found {}", in_quotes(name));
    }
  }
  if (options.has("gist-tokens")) {
    request.gist_tokens =
        static_cast<std::int32_t>(options.integer("gist-tokens", 0, max_gist_tokens));
  }
  return request;
}

Gisting gisting_of(const GistingRequest& request, const ModelFiles& files, const ModelSpec& spec) {
  Gisting gisting = gisting_of(request, files.settings, files.path, spec, files.tokenizer);
  if (files.settings) check_gist_tokens(*files.settings, gisting, files.path);
  return gisting;
}

Gisting gisting_of(const GistingRequest& request, const std::optional<GistSettings>& settings,
                   const std::string& model, const ModelSpec& spec, const Tokenizer& tokenizer) {
  Gisting result;
  result.prompt_template = default_template(spec, tokenizer);
  if (settings) result = trained_gisting(*settings);
  if (!settings && request.names_condition && !request.condition) {
    fail(ErrorKind::usage,
         "{} has no gist.json, which says how the model was trained: give --condition and "
         "--gist-tokens",
         model);
  }
  if (!settings && !request.gist_tokens) {
    fail(ErrorKind::usage,
         "{} has no gist.json, which says how many gist tokens it was trained with: give "
         "--gist-tokens",
         model);
  }
  result.condition = request.condition.value_or(result.condition);
  result.gist_tokens = request.gist_tokens.value_or(result.gist_tokens);
  return result;
}

void require_gist_tokens(const Gisting& gisting) {
  if (gisting.gist_tokens == 0 && gisting.condition != Condition::pos) {
    fail(ErrorKind::usage, "--condition {} needs --gist-tokens of 1 or more",
         name_of(gisting.condition));
  }
}

}  // namespace gist
