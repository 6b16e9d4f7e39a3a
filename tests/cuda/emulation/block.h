// One block of an emulated kernel: its threads are fibers that run in turns on one thread of the
// host, each until it waits at a barrier or ends.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <boost/context/fiber.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/shared_memory.h"

namespace gist::emulation {

/// Stacks that are used again by the blocks that follow on the same host thread.
class StackPool {
 public:
  static constexpr std::size_t stack_bytes = std::size_t{256} << 10;
  StackPool() = default;
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  ~StackPool();
  unsigned char* take();
  void give_back(unsigned char* stack) { free_.push_back(stack); }

 private:
  std::vector<unsigned char*> free_;
};

class Block {
 public:
  Block(const std::function<void()>& kernel, const cuda::Grid& grid, const char* name,
        dim3 block_index, StackPool& stacks);
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block();

  /// Throws Error(internal) for what was found wrong.
  void run();

  const Indices& indices() const { return threads_[running_].indices; }
  unsigned lane() const { return static_cast<unsigned>(running_ % 32); }
  SharedBytes shared() { return {shared_.data(), written_.data(), shared_.size()}; }

  void sync_threads(const Where& where);
  const std::uint64_t* exchange(unsigned mask, std::uint64_t bits, const Where& where);
  void queue_copy(const SharedCopy& copy);
  void commit_copies();
  void complete_copies(std::size_t pending);
  [[noreturn]] void fault(const std::string& what) const;

 private:
  enum class State { ready, at_barrier, at_exchange, ended };
  struct Thread {
    Indices indices;
    boost::context::fiber fiber;
    unsigned char* stack = nullptr;
    void* fake_stack = nullptr;  // the address sanitizer's
    State state = State::ready;
    Where where;
    unsigned mask = 0;
    std::uint64_t bits = 0;
    std::array<std::uint64_t, 32> received{};
    std::vector<SharedCopy> copies;                   // of no group yet
    std::deque<std::vector<SharedCopy>> copy_groups;  // under way
  };

  void start(Thread& thread);
  void resume(std::size_t index);
  void wait(State state, const Where& where);
  void release_barrier();
  std::string waiting(const Thread& thread) const;
  [[noreturn]] void report_deadlock() const;

  const std::function<void()>& kernel_;
  const char* name_;
  dim3 index_;
  StackPool& stacks_;
  std::vector<Thread> threads_;
  std::size_t running_ = 0;
  boost::context::fiber scheduler_;
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_bytes_ = 0;
  bool cancelled_ = false;
  std::optional<std::string> error_;
  std::vector<unsigned char> shared_, written_;
};

}  // namespace gist::emulation
