// Where a model has a sliding window, tokens further apart don't see each other in the layers that
// have it: a gist may not see all of its prompt, nor the end of an answer its gist. That is the
// model's own way, but a gist is a small target: its user should know.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/batch.h"
#include "core/model.h"

namespace gist {

class WindowWatch {
 public:
  /// `tell` gets a line for people of the first text of each kind that is longer than the window.
  WindowWatch(const ModelSpec& spec, std::function<void(const std::string& line)> tell);

  /// Looks at a prompt up to its gist, which stands in this line of a file; at nothing where there is
  /// no gist.
  void prompt_and_gist(const Sequence& sequence, const std::string& file, std::uint64_t line);
  /// Looks at what stands behind a gist: so many tokens from its first one to the answer's last.
  void gist_and_answer(std::int64_t tokens, const std::string& file, std::uint64_t line);

 private:
  void look(const char* what, std::int64_t tokens, const std::string& file, std::uint64_t line,
            bool& told);

  std::int32_t window_;  // 0: none
  std::function<void(const std::string& line)> tell_;
  bool told_of_prompt_ = false, told_of_answer_ = false;
};

}  // namespace gist
