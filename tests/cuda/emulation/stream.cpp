#include "tests/cuda/emulation/stream.h"

#include <utility>

namespace gist::emulation {

void Stream::queue(std::function<void()> operation) {
  if (recording()) {
    recorded_->push_back(std::move(operation));
  } else {
    operation();
  }
}

Stream::Operations Stream::end_recording() {
  ++stream_counts().recordings;
  return *std::exchange(recorded_, std::nullopt);
}

void Stream::replay(const Operations& operations) const {
  ++stream_counts().replays;
  for (const auto& operation : operations) operation();
}

StreamCounts& stream_counts() {
  static StreamCounts counts;
  return counts;
}

}  // namespace gist::emulation
