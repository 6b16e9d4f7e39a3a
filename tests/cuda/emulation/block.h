// One block of an emulated kernel: its threads are fibers that run in turns on one thread of the
// host, each until it waits at a barrier or ends. A warp's threads take turns until none can go on,
// then the next warp's do.
#pragma once

#include <cuda_runtime.h>

#include <array>
#include <boost/context/fiber.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/shared_memory.h"

namespace gist::emulation {

/// A stack of a fiber. Tops stand at different distances from a multiple of the stacks' size, as
/// caches would else hold the used parts of a few stacks only.
struct Stack {
  static constexpr std::size_t bytes = std::size_t{256} << 10;
  unsigned char* begin = nullptr;
  std::size_t usable = 0;  // bytes from `begin` to the top
};

/// Stacks that are used again by the threads that follow on the same host thread.
class StackPool {
 public:
  StackPool() = default;
  StackPool(const StackPool&) = delete;
  StackPool& operator=(const StackPool&) = delete;
  ~StackPool();
  Stack take();
  void give_back(Stack stack) { free_.push_back(stack); }

 private:
  std::vector<Stack> free_;
  std::size_t count_ = 0;  // of all stacks, free or not
};

/// What a host thread runs its blocks in, one after the other: they use the same memory.
class Block {
 public:
  Block() = default;
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  /// Throws Error(internal) for what was found wrong.
  void run(const std::function<void()>& kernel, const cuda::Grid& grid, const char* name,
           dim3 block_index);

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
  static constexpr std::size_t warp_size = 32;
  using WarpBits = std::array<std::uint64_t, warp_size>;
  enum class State { ready, at_barrier, at_exchange, ended };
  struct Thread {
    Indices indices;
    boost::context::fiber fiber;  // none before its first turn
    Stack stack;
    void* fake_stack = nullptr;  // the address sanitizer's
    State state = State::ready;
    Where where;
    unsigned mask = 0;
    std::uint64_t bits = 0;
    std::vector<SharedCopy> copies;        // under way
    std::vector<std::size_t> copy_groups;  // the ends of groups among them
  };

  void begin(const cuda::Grid& grid);
  void start(Thread& thread);
  void resume(std::size_t index);
  bool run_warp(std::size_t first);
  void cancel();
  unsigned lanes_of_warp(std::size_t first) const;
  WarpBits& received(std::size_t thread, unsigned mask);
  void wait(State state, const Where& where);
  void release_barrier();
  std::string waiting(const Thread& thread) const;
  [[noreturn]] void report_deadlock() const;

  const std::function<void()>* kernel_ = nullptr;
  const char* name_ = nullptr;
  dim3 index_;
  StackPool stacks_;
  std::vector<Thread> threads_;
  std::vector<unsigned> exchanging_;  // a warp's lanes that wait at an exchange
  // What lanes have received. All of a warp read the same: they exchange again together, and have
  // read it by then. Others may not have when some of them exchange again.
  std::vector<WarpBits> received_by_warp_, received_by_thread_;
  std::size_t running_ = 0;
  boost::context::fiber scheduler_;
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_stack_bytes_ = 0;
  bool cancelled_ = false;
  std::optional<std::string> error_;
  std::vector<unsigned char> shared_, written_;
};

}  // namespace gist::emulation
