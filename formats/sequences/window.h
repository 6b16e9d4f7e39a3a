// Where a model has a sliding window, tokens further apart don't see each other in the layers that
// have it: a gist may not see all of its prompt, nor the end of an answer its gist. That is the
// model's own way, but a gist is a small target: its user should know.
#pragma once

#include <cstdint>
#include <string>

#include "core/batch.h"
#include "core/model.h"

namespace gist {

class WindowWatch {
 public:
  explicit WindowWatch(const ModelSpec& spec);

  /// Looks at a prompt up to its gist. A line for people, `place` first, for the first that is longer
  /// than the window; "" for others, and where there is no gist.
  std::string prompt_and_gist(const Sequence& sequence, const std::string& place);
  /// Looks at what stands behind a gist: so many tokens from its first one to the answer's last.
  std::string gist_and_answer(std::int32_t tokens, const std::string& place);

 private:
  std::string line(const std::string& place, std::int32_t tokens, const char* what, bool& told);

  std::int32_t window_;  // 0: none
  bool told_of_prompt_ = false, told_of_answer_ = false;
};

}  // namespace gist
