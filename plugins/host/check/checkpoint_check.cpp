#include "plugins/host/check/checkpoint_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <span>
#include <vector>

#include "formats/files/text.h"
#include "formats/model/checkpoint.h"
#include "formats/model/model_directory.h"
#include "formats/model/safetensors.h"
#include "formats/model/unread_tensors.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"
#include "plugins/host/check/walk.h"
#include "plugins/host/plugin_family.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

/// The library's family for one of the architectures that config.json names, and that architecture.
std::pair<const LoadedPlugin::Family*, std::string> family_serving(const LoadedPlugin& plugin,
                                                                   const nlohmann::json& config,
                                                                   const std::string& where) {
  const nlohmann::json named = config.value("architectures", nlohmann::json::array());
  std::vector<std::string> served;
  for (const LoadedPlugin::Family& family : plugin.families) {
    for (const std::string& architecture : family.architectures) {
      if (std::find(named.begin(), named.end(), architecture) != named.end()) {
        return {&family, architecture};
      }
      served.push_back(architecture);
    }
  }
  fail(ErrorKind::data, "{}: \"architectures\" is {}, expected one that the library serves: {}",
       where, named.dump(), first_few(served));
}

/// A checkpoint's directory and the family that serves it.
struct OpenedCheckpoint {
  std::string where;  // config.json
  nlohmann::json config;
  const LoadedPlugin::Family* served;
  Checkpoint checkpoint;
  std::unique_ptr<Family> family;

  OpenedCheckpoint(const LoadedPlugin& plugin, const fs::path& directory)
      : where(config_place(directory)), config(read_config_json(directory)), checkpoint(directory) {
    std::string architecture;
    std::tie(served, architecture) = family_serving(plugin, config, where);
    family = configure_family(plugin, *served, config, architecture, where);
  }
};

// --- goldens ---

/// A tensor of a golden, as f32 or i32 values.
template <typename T>
struct GoldenTensor {
  std::vector<T> values;
  std::vector<std::int64_t> shape;
};

class Golden {
 public:
  explicit Golden(const fs::path& path) : path_(path), file_(read_safetensors(path)) {
    if (!has("0.stack0.input_ids")) {
      fail(ErrorKind::data, "{}: has no tensor \"0.stack0.input_ids\": expected what {} writes",
           path.string(), "family_golden.py");
    }
  }

  bool has(const std::string& name) const { return file_.tensors.contains(name); }

  template <typename T>
  GoldenTensor<T> tensor(const std::string& name, std::size_t rank) const {
    const auto found = file_.tensors.find(name);
    const std::string_view dtype = std::is_same_v<T, float> ? "F32" : "I32";
    if (found == file_.tensors.end() || found->second.dtype != dtype ||
        found->second.shape.size() != rank) {
      fail(ErrorKind::data, "{}: expected an {} tensor of {} dimensions", place(name), dtype, rank);
    }
    GoldenTensor<T> tensor{std::vector<T>(found->second.bytes / sizeof(T)), found->second.shape};
    if (!tensor.values.empty()) {
      std::memcpy(tensor.values.data(), found->second.data, found->second.bytes);
    }
    return tensor;
  }

  std::string place(const std::string& name) const { return place_of_tensor(path_, name); }
  std::string name() const { return path_.filename().string(); }

 private:
  fs::path path_;
  TensorFile file_;
};

/// Where the values [n, width] of a callback leave the golden's.
struct Deviation {
  int positions = 0;  // how many differ
  int first = -1;
  int worst = -1;
  double error = 0, largest = 0, allowed = 0;  // at the worst
};

double largest_of(std::span<const float> values) {
  double largest = 0;
  for (const float value : values) largest = std::max(largest, std::fabs(double{value}));
  return largest;
}

/// `before` [n, width] is what the callback got; empty: nothing that is found in its output.
Deviation deviation(std::span<const float> golden, std::span<const float> found,
                    std::span<const float> before, std::size_t width) {
  constexpr double of_change = 1e-5, of_state = 1e-6;
  Deviation result;
  double worst_excess = 1;
  std::vector<float> change(width), error(width);
  for (std::size_t at = 0; at < golden.size(); at += width) {
    for (std::size_t i = 0; i < width; ++i) {
      change[i] = golden[at + i] - (before.empty() ? 0 : before[at + i]);
      error[i] = found[at + i] - golden[at + i];
    }
    const double state = largest_of(golden.subspan(at, width));
    const double allowed = of_change * largest_of(change) + of_state * state;
    const bool finite = std::all_of(error.begin(), error.end(), [](float e) { return e - e == 0; });
    const double off = finite ? largest_of(error) : INFINITY;
    if (off <= allowed) continue;
    const auto position = static_cast<int>(at / width);
    ++result.positions;
    if (result.first < 0) result.first = position;
    if (off / allowed > worst_excess || result.worst < 0) {
      worst_excess = off / allowed;
      result.worst = position;
      result.error = off;
      result.largest = state;
      result.allowed = allowed;
    }
  }
  return result;
}

/// What is found first, by the order of callbacks, over all rows.
struct Differences {
  int order = -1;  // of the first
  std::string first;
  std::map<int, std::string> names;  // of all that differ, by their order
};

void note(Differences& differences, int order, const std::string& name, int row,
          const Deviation& found, std::size_t positions, const std::string& advice) {
  if (found.positions == 0) return;
  differences.names[order] = name;
  if (differences.order >= 0 && differences.order <= order) return;
  differences.order = order;
  differences.first = fmt::format(
      "{} differs at {} of the {} positions of row {}, first at position {}, most at {}: by {:.2g}, "
      "where {:.2g} is allowed and the largest value is {:.2g}; {}",
      name, found.positions, positions, row, found.first, found.worst, found.error, found.allowed,
      found.largest, advice);
}

/// Of what a layer computes, what can be wrong where these positions are.
std::string advice_for(const StackSpec& stack, int callback, const Deviation& found) {
  if (callback == 0) {
    return "look at what `enter` makes of the embedding: its scale, its positions, its norm";
  }
  if (callback == stack.layers + 1) return "look at the last norm: its eps, its offset";
  if (stack.kind == StackKind::causal && found.first > 0) {
    return fmt::format(
        "the positions before {} agree, so look at what weighs several tokens: the attention's "
        "scale, rotation, soft cap and window, and the norms of queries and keys",
        found.first);
  }
  return "position 0, which sees itself alone, differs, too: look at the norms (eps, offset), the "
         "values' and the output's projection, the MLP and its activation, and what is added";
}

class Comparison {
 public:
  Comparison(const Model& model, const Golden& golden) : model_(model), golden_(golden) {}

  std::string run() {
    int row = 0;
    for (; golden_.has(fmt::format("{}.stack0.input_ids", row)); ++row) compare_row(row);
    if (differences_.order < 0) return "";
    std::vector<std::string> others;
    for (const auto& [order, name] : differences_.names) {
      if (order != differences_.order) others.push_back(name);
    }
    const std::string also =
        others.empty() ? "; all else agrees" : "; so differ " + first_few(others);
    return differences_.first + also;
  }

 private:
  const ModelSpec& spec() const { return model_.spec(); }

  void compare_row(int row) {
    std::vector<float> left;
    std::vector<std::int32_t> ids;
    int order = 0;
    for (int stack = 0; stack < static_cast<int>(spec().stacks.size()); ++stack) {
      ids = compare_stack(row, stack, order, left);
      order += spec().stacks[static_cast<std::size_t>(stack)].layers + 2;
    }
    compare_head(row, order, ids, left);
  }

  /// `left` is what the stack before left in the golden, and becomes what this one does.
  std::vector<std::int32_t> compare_stack(int row, int stack, int order, std::vector<float>& left) {
    const std::string prefix = fmt::format("{}.stack{}.", row, stack);
    const auto ids = golden_.tensor<std::int32_t>(prefix + "input_ids", 1);
    const auto hidden = golden_.tensor<float>(prefix + "hidden", 3);
    Walk walk(model_, stack, ids.values, left);
    const std::vector<std::int64_t> expected{walk.callbacks(), ids.shape[0], spec().d_model};
    if (hidden.shape != expected) {
      fail(ErrorKind::data,
           "{}: has the shape [{}], expected [{}]: the golden belongs to another checkpoint",
           golden_.place(prefix + "hidden"), fmt::join(hidden.shape, ", "),
           fmt::join(expected, ", "));
    }
    const std::span<const float> all(hidden.values);
    const auto size = static_cast<std::size_t>(expected[1] * expected[2]);
    const auto width = static_cast<std::size_t>(spec().d_model);
    const StackSpec& declared = spec().stacks[static_cast<std::size_t>(stack)];
    std::vector<float> before;
    for (int callback = 0; callback < walk.callbacks(); ++callback) {
      const auto wanted = all.subspan(static_cast<std::size_t>(callback) * size, size);
      const std::vector<float> found = walk.run(callback, before);
      const bool layer = callback > 0 && callback <= declared.layers;
      const Deviation off = deviation(
          wanted, found, layer ? std::span<const float>(before) : std::span<const float>(), width);
      note(differences_, order + callback, callback_name(spec(), stack, callback), row, off,
           ids.values.size(), advice_for(declared, callback, off));
      before.assign(wanted.begin(), wanted.end());
    }
    left = before;
    return ids.values;
  }

  /// The golden has the logits of the last positions, and the losses of the tokens after each.
  void compare_head(int row, int order, const std::vector<std::int32_t>& ids,
                    const std::vector<float>& left) {
    const std::string name = fmt::format("{}.logits", row);
    const auto wanted = golden_.tensor<float>(name, 2);
    const auto losses = golden_.tensor<float>(fmt::format("{}.losses", row), 1);
    const auto kept = static_cast<std::size_t>(wanted.shape[0]);
    const auto vocabulary = static_cast<std::size_t>(spec().vocabulary);
    if (kept > ids.size() || wanted.shape[1] != spec().vocabulary ||
        losses.values.size() + 1 != kept) {
      fail(ErrorKind::data,
           "{}: has the shape [{}], expected at most {} tokens and a vocabulary of {}: the golden "
           "belongs to another checkpoint",
           golden_.place(name), fmt::join(wanted.shape, ", "), ids.size(), vocabulary);
    }
    const auto width = static_cast<std::size_t>(spec().d_model);
    const std::vector<float> found =
        head_logits(model_, {left.end() - static_cast<std::ptrdiff_t>(kept * width), left.end()});
    const Deviation off = deviation(wanted.values, found, {}, vocabulary);
    note(differences_, order, "the head", row, off, kept,
         "look at what head() declares: weight, bias, scale and soft cap");
    if (off.positions == 0) compare_losses(row, order, ids, found, losses.values);
  }

  void compare_losses(int row, int order, const std::vector<std::int32_t>& ids,
                      const std::vector<float>& logits, const std::vector<float>& wanted) {
    const auto vocabulary = static_cast<std::size_t>(spec().vocabulary);
    std::vector<float> losses;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const std::span<const float> row_logits =
          std::span(logits).subspan(i * vocabulary, vocabulary);
      const double largest = *std::max_element(row_logits.begin(), row_logits.end());
      double sum = 0;
      for (const float logit : row_logits) sum += std::exp(logit - largest);
      const auto label = static_cast<std::size_t>(ids[ids.size() - wanted.size() + i]);
      losses.push_back(static_cast<float>(largest + std::log(sum) - row_logits[label]));
    }
    const Deviation off = deviation(wanted, losses, {}, wanted.size());
    note(differences_, order, "the loss", row, off, wanted.size(),
         "the logits agree, so the golden's losses are of other labels");
  }

  const Model& model_;
  const Golden& golden_;
  Differences differences_;
};

}  // namespace

std::string broken_checkpoint(const LoadedPlugin& plugin, const fs::path& directory) {
  OpenedCheckpoint opened(plugin, directory);
  const ModelSpec spec = opened.family->spec();
  const std::vector<std::string> unread = unread_tensors(opened.checkpoint, spec);
  if (!unread.empty()) {
    return fmt::format(
        "{}: no weight takes {}: declare what the model computes with them, under these names",
        directory.string(), first_few(unread));
  }
  const std::vector<std::string> keys = keys_read(plugin, *opened.served, opened.config).unread;
  if (!keys.empty()) {
    return fmt::format(
        "{}: configure never reads {}: read what changes the arithmetic, reject values that aren't "
        "computed, and ignore() the others",
        opened.where, first_few(keys));
  }
  const auto backend = make_cpu_backend();
  const Model loaded(std::move(opened.family), *backend, opened.checkpoint.source());
  return "";
}

std::string broken_golden(const LoadedPlugin& plugin, const fs::path& directory,
                          const fs::path& golden) {
  OpenedCheckpoint opened(plugin, directory);
  const auto backend = make_cpu_backend();
  const Model model(std::move(opened.family), *backend, opened.checkpoint.source());
  return Comparison(model, Golden(golden)).run();
}

}  // namespace gist
