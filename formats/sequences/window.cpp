#include "formats/sequences/window.h"

#include <fmt/format.h>

#include <utility>

namespace gist {

WindowWatch::WindowWatch(const ModelSpec& spec) : window_(spec.stacks[0].window) {}

std::string WindowWatch::prompt_and_gist(const Sequence& sequence, const std::string& place) {
  if (sequence.gists.empty()) return "";
  return line(place, sequence.gists[0].end, "prompt and gist", told_of_prompt_);
}

std::string WindowWatch::gist_and_answer(std::int32_t tokens, const std::string& place) {
  return line(place, tokens, "the gist and what follows it, up to the answer's end,",
              told_of_answer_);
}

std::string WindowWatch::line(const std::string& place, std::int32_t tokens, const char* what,
                              bool& told) {
  if (window_ == 0 || tokens <= window_ || std::exchange(told, true)) return "";
  return fmt::format(
      "{}: {} may take {} tokens, but some layers of the model see only {} at once: there the last "
      "don't see the first (said once)",
      place, what, tokens, window_);
}

}  // namespace gist
