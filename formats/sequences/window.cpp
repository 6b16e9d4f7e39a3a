#include "formats/sequences/window.h"

#include <fmt/format.h>

#include <utility>

namespace gist {

WindowWatch::WindowWatch(const ModelSpec& spec, std::function<void(const std::string& line)> tell)
    : window_(spec.stacks[0].window), tell_(std::move(tell)) {}

void WindowWatch::prompt_and_gist(const Sequence& sequence, const std::string& file,
                                  std::uint64_t line) {
  if (sequence.gists.empty()) return;
  look("prompt and gist", sequence.gists[0].end, file, line, told_of_prompt_);
}

void WindowWatch::gist_and_answer(std::int64_t tokens, const std::string& file,
                                  std::uint64_t line) {
  look("the gist and what follows it, up to the answer's end,", tokens, file, line,
       told_of_answer_);
}

void WindowWatch::look(const char* what, std::int64_t tokens, const std::string& file,
                       std::uint64_t line, bool& told) {
  if (window_ == 0 || tokens <= window_ || std::exchange(told, true)) return;
  tell_(fmt::format(
      "{}:{}: {} may take {} tokens, but some layers of the model see only {} at once: there the "
      "last don't see the first (said once)",
      file, line, what, tokens, window_));
}

}  // namespace gist
