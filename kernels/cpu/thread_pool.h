// The threads of a backend. Those that wait do so actively for some microseconds, because work
// comes in quick succession, and then sleep: a processor that others want is theirs.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace gist::cpu {

/// Used from one thread at a time, which takes part in the work: it is thread 0.
class ThreadPool {
 public:
  /// Starts count - 1 threads (count >= 1). Throws Error(unavailable) with the number where one
  /// can't be started.
  explicit ThreadPool(int count);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int count() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(item, thread) for each item of [0, items) on at most `threads` threads, of which
  /// each begins with a run of items of its own and then helps the others. Threads that are late,
  /// because other programs have their processors, are not waited for: what they haven't begun is
  /// done by the others. `body` may not throw, nor use the pool.
  template <typename Body>
  void run(std::int64_t items, int threads, Body&& body) {
    using Callee = std::remove_reference_t<Body>;
    run(items, threads,
        {[](void* callee, std::int64_t item, int thread) {
           (*static_cast<Callee*>(callee))(item, thread);
         },
         const_cast<void*>(static_cast<const void*>(&body))});
  }

 private:
  struct Work {
    void (*call)(void* callee, std::int64_t item, int thread) = nullptr;
    void* callee = nullptr;
  };
  /// Items that one thread begins with. A cache line of its own.
  struct alignas(64) Share {
    std::atomic<std::int64_t> next = 0;
    std::int64_t end = 0;
  };

  void run(std::int64_t items, int threads, Work work);
  void wait_for_work(int thread);
  void take_items(int thread);
  bool enter();
  void leave();
  void close_and_wait();
  void wake(int wanted);
  void end();

  // The threads run this. It is written while the gate is shut and nobody is inside.
  Work work_;
  int threads_ = 1;
  std::vector<Share> shares_;

  /// How many workers are inside, and whether others may enter. The one that waits for the last to
  /// leave sleeps on it.
  alignas(64) std::atomic<std::uint32_t> gate_ = 0;
  /// Counts what was run: workers wait, and sleep, on its change.
  alignas(64) std::atomic<std::uint32_t> runs_ = 0;
  std::atomic<int> sleepers_ = 0;
  std::atomic<bool> ending_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace gist::cpu
