#include "plugins/host/check/state.h"

#include <algorithm>
#include <cstring>
#include <future>
#include <vector>

#include "kernels/error.h"
#include "plugins/host/check/walk.h"

namespace gist {
namespace {

constexpr int repeats = 50;
constexpr int concurrent_repeats = 5;

using Trace = std::vector<CallbackValues>;

/// The first callback that gave other bits; `when` says what was done, `look` what may be the cause.
std::string other_bits(const Trace& expected, const Trace& found, const std::string& when,
                       const char* look) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::vector<float>& a = expected[i].values;
    const std::vector<float>& b = found.at(i).values;
    if (a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0) {
      continue;
    }
    return fmt::format("{} gives other values for the same tokens {}: look at {}",
                       expected[i].callback, when, look);
  }
  return "";
}

constexpr const char* members = "members that callbacks change, and at `mutable`";
constexpr const char* globals = "variables that models share: static and global ones";
constexpr const char* threads = "thread_local variables, and at what is set where `configure` runs";
constexpr const char* races = "variables that models share without a lock: static and global ones";

/// Both models' callbacks, one of each in turn.
void take_turns(WholeWalk& a, WholeWalk& b) {
  bool going = true;
  while (going) {
    going = a.step();
    if (b.step()) going = true;
  }
}

}  // namespace

std::string broken_purity(const CheckSubject& subject) {
  const CheckedModel one(subject.configured(subject.config));
  const Trace alone = walk_all(one.model);
  for (int i = 1; i < repeats; ++i) {
    const std::string when = fmt::format("when it is called again (call {})", i + 1);
    std::string found = other_bits(alone, walk_all(one.model), when, members);
    if (!found.empty()) return found;
  }

  const CheckedModel other(subject.configured(other_configuration(subject)));
  std::string found = other_bits(alone, walk_all(one.model),
                                 "once another model of the family was configured", globals);
  if (!found.empty()) return found;
  const Trace other_alone = walk_all(other.model);
  found = other_bits(alone, walk_all(one.model), "once another model of the family ran", globals);
  if (!found.empty()) return found;

  WholeWalk a(one.model), b(other.model);
  take_turns(a, b);
  for (const auto& [expected, walk] : {std::pair(&alone, &a), std::pair(&other_alone, &b)}) {
    found = other_bits(*expected, walk->found(),
                       "when another model's callbacks run between its own", globals);
    if (!found.empty()) return found;
  }

  const auto on_thread = [](const Model& model) {
    return std::async(std::launch::async, [&model] { return walk_all(model); });
  };
  found = other_bits(alone, on_thread(one.model).get(), "on another thread", threads);
  if (!found.empty()) return found;
  for (int i = 0; i < concurrent_repeats; ++i) {
    auto first = on_thread(one.model);
    auto second = on_thread(other.model);
    const Trace of_first = first.get();
    const Trace of_second = second.get();
    found = other_bits(alone, of_first, "while another model runs on another thread", races);
    if (found.empty()) {
      found =
          other_bits(other_alone, of_second, "while another model runs on another thread", races);
    }
    if (!found.empty()) return found;
  }
  return "";
}

}  // namespace gist
