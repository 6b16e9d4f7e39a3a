#include "cli/apply_diff.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/exit_code.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "formats/files/text.h"
#include "gist/weight_difference.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::array<std::string_view, 11> fitting_options = {
    apply_diff_option, "model",          "output", "condition", "gist-tokens", "plugin-path",
    "family",          "ignore-tensors", "config", "quiet",     "verbose"};

void refuse_others(const Options& options) {
  for (const std::string& name : options.on_command_line()) {
    if (std::find(fitting_options.begin(), fitting_options.end(), name) == fitting_options.end()) {
      fail(ErrorKind::usage, "--{} trains nothing: leave out --{}", apply_diff_option, name);
    }
  }
}

}  // namespace

int apply_diff(const Options& options) {
  refuse_others(options);
  const ModelSetup setup = setup_of(options);
  const std::string output = options.text("output");
  const GistingRequest request = gisting_request(options);
  const ModelFiles base = open_model_and_tell(options.text(apply_diff_option), setup);
  const ModelFiles difference = open_difference(options.text("model"), base, setup);
  const std::unique_ptr<Family> family = family_of(difference, setup);
  const Gisting gisting = gisting_of(request, difference, family->spec());
  require_gist_tokens(gisting);
  if (gisting.gist_tokens > 0) (void)gist_ids_of(difference);  // throws where there is none
  std::optional<Activity> adding("adding " + difference.path + " to " + base.path);
  const RecoveredModel recovered =
      write_recovered_model(difference, base, family->spec(), gisting, output);
  adding.reset();
  spdlog::info("{}: {} of {} added to those of {}, in f32", output,
               counted(recovered.tensors, "tensor"), difference.path, base.path);
  if (!recovered.with_new_row.empty()) {
    spdlog::info("the last row of {} is the difference's own: {} has none",
                 first_few(recovered.with_new_row), base.path);
  }
  for (const std::string& name : recovered.left_out) {
    spdlog::warn("{} has no {}: its ids would be others than those of the other vocabulary", output,
                 name);
  }
  return exit_ok;
}

}  // namespace gist
