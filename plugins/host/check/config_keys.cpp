#include "plugins/host/check/config_keys.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <set>

#include "formats/files/text.h"
#include "kernels/error.h"
#include "plugins/host/check/walk.h"
#include "plugins/host/plugin_family.h"

namespace gist {
namespace {

using nlohmann::json;

std::string all_windows(const ModelSpec& spec) {
  std::string text;
  for (const StackSpec& stack : spec.stacks) text += fmt::format(" {}", stack.window);
  return text;
}

/// Whether two models differ in what they declare or compute.
bool differ(const CheckSubject& subject, const json& a, const json& b) {
  std::unique_ptr<Family> first = subject.configured(a);
  std::unique_ptr<Family> second = subject.configured(b);
  if (outline(first->spec()) != outline(second->spec())) return true;
  const CheckedModel one(std::move(first));
  const CheckedModel other(std::move(second));
  return walk_all(one.model).back().values != walk_all(other.model).back().values;
}

/// Another value that a number could have; nothing where none is known.
json changed_number(const json& value) {
  if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    return number == 0 ? 1 : 2 * number;
  }
  const auto number = value.get<double>();
  return number == 0 ? json() : json(3 * number);
}

/// Whether anything depends on a number: a value that is refused says so, too.
bool matters(const CheckSubject& subject, const ConfigNumber& number) {
  const json other = changed_number(subject.config[number.at]);
  if (other.is_null()) return true;
  try {
    return differ(subject, subject.config, with_value(subject.config, number, other));
  } catch (const Error&) {
    return true;
  }
}

// --- integers ---

/// What became of a configuration.
struct Outcome {
  std::string outline;  // of a model that was taken; "" of one that was refused
  std::string broken;   // why that doesn't run
};

Outcome outcome_of(const CheckSubject& subject, const json& config) {
  std::unique_ptr<Family> family;
  try {
    family = subject.configured(config);
  } catch (const Error&) {
    return {};
  }
  Outcome outcome;
  outcome.outline = outline(family->spec()) + all_windows(family->spec());
  try {
    run_shapes(std::move(family));
  } catch (const std::exception& error) {
    outcome.broken = error.what();
  }
  return outcome;
}

constexpr std::int64_t beyond_32_bits = std::int64_t{1} << 32;

class IntegerTrial {
 public:
  IntegerTrial(const CheckSubject& subject, const Trying& trying)
      : subject_(subject), trying_(trying), usual_(outcome_of(subject, subject.config)) {}

  /// A number of the configuration: other values, and none.
  void vary(const ConfigNumber& number) {
    const auto value = subject_.config[number.at].get<std::int64_t>();
    bool sized = false;  // whether a nearby value makes another model
    for (const std::int64_t other :
         {std::int64_t{0}, std::int64_t{-1}, value + 1, 2 * value,
          std::int64_t{std::numeric_limits<std::int32_t>::max()}, value + beyond_32_bits}) {
      const Outcome outcome = attempt(number.name + " = " + std::to_string(other),
                                      with_value(subject_.config, number, other));
      const bool taken = !outcome.outline.empty();
      if (other == value + 1 || other == 2 * value) {
        sized = sized || (taken && outcome.outline != usual_.outline);
      }
      if (other > beyond_32_bits / 2 && taken && sized && outcome.outline == usual_.outline) {
        find(
            fmt::format("{} = {} is taken for {}: read it within bounds (integer_within, size) "
                        "before it becomes an int",
                        number.name, other, value));
      }
    }
    json without = subject_.config;
    without[number.at.parent_pointer()].erase(number.at.back());
    attempt("no " + number.name, without);
  }

  /// A key that isn't there.
  void add(const std::string& key) {
    for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, beyond_32_bits}) {
      json changed = subject_.config;
      changed[key] = value;
      attempt(key + " = " + std::to_string(value), changed);
    }
  }

  std::string found() const { return found_; }

 private:
  Outcome attempt(const std::string& what, const json& config) {
    trying_("a configuration with " + what);
    Outcome outcome = outcome_of(subject_, config);
    if (!outcome.broken.empty()) {
      find(
          fmt::format("configure takes a configuration with {}, but then: {}: reject what can't be "
                      "computed, or mend the weights' shapes",
                      what, outcome.broken));
    }
    return outcome;
  }
  void find(const std::string& text) {
    if (found_.empty()) found_ = text;
  }

  const CheckSubject& subject_;
  const Trying& trying_;
  Outcome usual_;
  std::string found_;
};

}  // namespace

std::string broken_config_keys(const CheckSubject& subject) {
  const KeysRead read = keys_read(*subject.plugin, *subject.family, subject.config);
  if (!read.unread.empty()) {
    return fmt::format(
        "configure never reads {}: read what changes the arithmetic, reject values that aren't "
        "computed, and ignore() the others",
        first_few(read.unread));
  }
  for (const ConfigNumber& number : numbers_of(subject.config)) {
    if (!read.asked.contains(number.key) || matters(subject, number)) continue;
    return fmt::format(
        "configure reads {}, but with another value the model declares and computes the same: use "
        "it, or leave it out of the check's configuration if it means nothing",
        number.name);
  }
  return "";
}

std::string broken_integer_keys(const CheckSubject& subject, const Trying& trying) {
  IntegerTrial trial(subject, trying);
  for (const ConfigNumber& number : numbers_of(subject.config)) {
    if (subject.config[number.at].is_number_integer()) trial.vary(number);
  }
  for (const std::string& key : keys_read(*subject.plugin, *subject.family, subject.config).asked) {
    if (key.find('.') == std::string::npos && !subject.config.contains(key)) trial.add(key);
  }
  return trial.found();
}

std::string broken_windows(const CheckSubject& subject) {
  const ModelSpec spec = subject.configured(subject.config)->spec();
  for (const StackSpec& stack : spec.stacks) {
    if (stack.window == 0) continue;
    if (stack.window > walked_tokens / 2) {
      return fmt::format(
          "the check's configuration has a window of {}: make it {} or less, so that the checks' "
          "{} tokens cross it",
          stack.window, walked_tokens / 2, walked_tokens);
    }
    for (const ConfigNumber& number : numbers_of(subject.config)) {
      if (subject.config[number.at] != stack.window) continue;
      const json wider = with_value(subject.config, number, 2 * stack.window);
      if (all_windows(subject.configured(wider)->spec()) == all_windows(spec)) continue;
      if (differ(subject, subject.config, wider)) continue;
      return fmt::format(
          "the stack declares a window of {}, but with one of {} the model computes the same: no "
          "layer's attention is windowed (Attention::windowed)",
          stack.window, 2 * stack.window);
    }
  }
  return "";
}

}  // namespace gist
