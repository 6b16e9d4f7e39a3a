#include "tests/cuda/emulation/block.h"

#include <fmt/format.h>
#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <exception>
#include <mutex>
#include <new>
#include <utility>

#include "kernels/cuda/tensor_core.h"
#include "kernels/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
// NOLINTBEGIN: the sanitizer's names
inline void __sanitizer_start_switch_fiber(void**, const void*, std::size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, std::size_t*) {}
#define ASAN_UNPOISON_MEMORY_REGION(address, size) static_cast<void>(address)
// NOLINTEND
#endif

namespace gist::emulation {
namespace {

thread_local Block* current = nullptr;

/// Unwinds a fiber whose block has failed.
struct Cancelled {};

/// Hands a fiber the stack that its thread has already.
struct BorrowedStack {
  Stack stack;
  boost::context::stack_context allocate() const {
    boost::context::stack_context context;
    context.size = stack.usable;
    context.sp = stack.begin + stack.usable;
    return context;
  }
  void deallocate(boost::context::stack_context& context) const { context.sp = nullptr; }
};

bool same(const Where& a, const Where& b) {
  return a.line() == b.line() &&
         (a.file_name() == b.file_name() || std::string_view(a.file_name()) == b.file_name());
}

std::string place(const Where& where) {
  const std::string path = where.file_name();
  const std::size_t folder = path.rfind("kernels/");
  return fmt::format("{}:{}", folder == std::string::npos ? path : path.substr(folder),
                     where.line());
}

}  // namespace

StackPool::~StackPool() {
  for (const Stack& stack : free_) munmap(stack.begin, Stack::bytes);
}

Stack StackPool::take() {
  if (!free_.empty()) {
    const Stack stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void* begin = mmap(nullptr, Stack::bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (begin == MAP_FAILED) throw std::bad_alloc();
  constexpr std::size_t step = 17 * 64, steps = 32;  // an odd number of cache lines
  return {static_cast<unsigned char*>(begin), Stack::bytes - count_++ % steps * step};
}

/// Readies what the grid's blocks have: threads that haven't begun, shared memory of NaN, where it
/// is read as a float.
void Block::begin(const cuda::Grid& grid) {
  const dim3& size = grid.threads;
  const std::size_t warps = (std::size_t{size.x} * size.y * size.z + warp_size - 1) / warp_size;
  threads_.resize(std::size_t{size.x} * size.y * size.z);
  std::size_t i = 0;
  for (unsigned z = 0; z < size.z; ++z) {
    for (unsigned y = 0; y < size.y; ++y) {
      for (unsigned x = 0; x < size.x; ++x, ++i) {
        Thread& thread = threads_[i];
        thread.indices = {dim3(x, y, z), index_, size, grid.blocks};
        thread.state = State::ready;
        thread.copies.clear();
        thread.copy_groups.clear();
      }
    }
  }
  exchanging_.assign(warps, 0);
  received_by_warp_.resize(warps);
  shared_.assign(grid.shared_bytes, 0xFF);
  written_.assign(grid.shared_bytes, 0);
  cancelled_ = false;
  error_.reset();
}

void Block::start(Thread& thread) {
  thread.stack = stacks_.take();
  thread.fiber = boost::context::fiber(
      std::allocator_arg, BorrowedStack{thread.stack},
      [this, &thread](boost::context::fiber&& scheduler) {
        __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack_, &scheduler_stack_bytes_);
        scheduler_ = std::move(scheduler);
        try {
          (*kernel_)();
        } catch (const Cancelled&) {
          // the error stands in error_
        } catch (const std::exception& error) {
          if (!error_) error_ = error.what();
        }
        thread.state = State::ended;
        __sanitizer_start_switch_fiber(nullptr, scheduler_stack_, scheduler_stack_bytes_);
        return std::move(scheduler_);
      });
}

void Block::resume(std::size_t index) {
  running_ = index;
  Thread& thread = threads_[index];
  if (!thread.fiber) start(thread);
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, thread.stack.begin, thread.stack.usable);
  thread.fiber = std::move(thread.fiber).resume();
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
  if (thread.state != State::ended) return;
  // The frames at the top never returned, and the sanitizer still guards what stood around their
  // variables. What an error unwound it has cleared.
  constexpr std::size_t frames = std::size_t{8} << 10;
  ASAN_UNPOISON_MEMORY_REGION(thread.stack.begin + thread.stack.usable - frames, frames);
  stacks_.give_back(thread.stack);
}

/// Called on a fiber: lets the others run until this one is ready again.
void Block::wait(State state, const Where& where) {
  const std::size_t own = running_;
  Thread& thread = threads_[own];
  thread.state = state;
  thread.where = where;
  __sanitizer_start_switch_fiber(&thread.fake_stack, scheduler_stack_, scheduler_stack_bytes_);
  scheduler_ = std::move(scheduler_).resume();
  __sanitizer_finish_switch_fiber(thread.fake_stack, &scheduler_stack_, &scheduler_stack_bytes_);
  if (cancelled_) throw Cancelled();
}

/// Gives a warp's threads turns until none is ready. Returns whether any was.
bool Block::run_warp(std::size_t first) {
  const std::size_t end = std::min(first + warp_size, threads_.size());
  bool moved = false;
  for (bool ready = true; ready;) {
    ready = false;
    for (std::size_t i = first; i < end; ++i) {
      if (threads_[i].state != State::ready) continue;
      resume(i);
      if (error_) return true;
      ready = moved = true;
    }
  }
  return moved;
}

void Block::run(const std::function<void()>& kernel, const cuda::Grid& grid, const char* name,
                dim3 block_index) {
  kernel_ = &kernel;
  name_ = name;
  index_ = block_index;
  begin(grid);
  current = this;
  const auto ended = [](const Thread& thread) { return thread.state == State::ended; };
  while (!error_) {
    bool moved = false;
    for (std::size_t first = 0; first < threads_.size() && !error_; first += warp_size) {
      if (run_warp(first)) moved = true;
    }
    if (error_ || std::all_of(threads_.begin(), threads_.end(), ended)) break;
    if (!moved) {
      try {
        release_barrier();
      } catch (const Error& error) {
        error_ = error.what();
      }
    }
  }
  cancel();
  current = nullptr;
  if (error_) throw Error(ErrorKind::internal, *error_);
}

/// Unwinds the threads that have begun and not ended, so that their stacks can be used again.
void Block::cancel() {
  cancelled_ = true;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    if (threads_[i].fiber) resume(i);
  }
}

void Block::sync_threads(const Where& where) {
  wait(State::at_barrier, where);
}

/// Called when no thread can go on: all must stand at one barrier.
void Block::release_barrier() {
  const Thread* first = nullptr;
  for (const Thread& thread : threads_) {
    if (thread.state == State::ended) continue;
    if (thread.state != State::at_barrier) report_deadlock();
    if (first == nullptr) first = &thread;
    if (!same(thread.where, first->where)) report_deadlock();
  }
  const bool all = std::none_of(threads_.begin(), threads_.end(),
                                [](const Thread& t) { return t.state == State::ended; });
  if (!all) report_deadlock();
  for (Thread& thread : threads_) thread.state = State::ready;
}

unsigned Block::lanes_of_warp(std::size_t first) const {
  const std::size_t lanes = threads_.size() - first;
  return lanes < warp_size ? (1u << lanes) - 1 : ~0u;
}

/// Returns where a thread finds what it receives from the lanes of a mask.
Block::WarpBits& Block::received(std::size_t thread, unsigned mask) {
  if (mask == ~0u) return received_by_warp_[thread / warp_size];
  if (received_by_thread_.size() < threads_.size()) received_by_thread_.resize(threads_.size());
  return received_by_thread_[thread];
}

const std::uint64_t* Block::exchange(unsigned mask, std::uint64_t bits, const Where& where) {
  const std::size_t own = running_, warp = own / warp_size, first = warp * warp_size;
  const unsigned lane = 1u << own % warp_size;
  Thread& thread = threads_[own];
  if ((mask & lane) == 0) {
    fault(fmt::format("is not in the mask {:08x} that it names at {}", mask, place(where)));
  }
  if (const unsigned missing = mask & ~lanes_of_warp(first); missing != 0) {
    fault(fmt::format("waits at {} for lane {}, which the block does not have", place(where),
                      std::countr_zero(missing)));
  }
  thread.mask = mask;
  thread.bits = bits;
  thread.where = where;
  unsigned& waiting = exchanging_[warp];
  bool complete = ((waiting | lane) & mask) == mask;
  for (std::size_t i = 0; i < warp_size && complete; ++i) {
    if ((mask >> i & 1) == 0) continue;
    const Thread& other = threads_[first + i];
    complete = other.mask == mask && same(other.where, where);
  }
  if (!complete) {
    waiting |= lane;
    wait(State::at_exchange, where);
    return received(own, mask).data();
  }
  WarpBits all{};
  for (std::size_t i = 0; i < warp_size; ++i) {
    if ((mask >> i & 1) == 0) continue;
    all[i] = threads_[first + i].bits;
    threads_[first + i].state = State::ready;
  }
  waiting &= ~mask;
  for (std::size_t i = 0; i < (mask == ~0u ? 1 : warp_size); ++i) {
    if (mask >> i & 1) received(first + i, mask) = all;
  }
  return received(own, mask).data();
}

void Block::queue_copy(const SharedCopy& copy) {
  std::fill_n(copy.target.written, copy.target.size, 0);
  threads_[running_].copies.push_back(copy);
}

void Block::commit_copies() {
  Thread& thread = threads_[running_];
  thread.copy_groups.push_back(thread.copies.size());
}

/// Lets the running thread's copies arrive, but for those of the last `pending` groups.
void Block::complete_copies(std::size_t pending) {
  Thread& thread = threads_[running_];
  if (thread.copy_groups.size() <= pending) return;
  const auto groups_end = thread.copy_groups.end() - static_cast<std::ptrdiff_t>(pending);
  const std::size_t arrived = groups_end[-1];
  for (std::size_t i = 0; i < arrived; ++i) {
    const SharedCopy& copy = thread.copies[i];
    std::copy(copy.values.begin(), copy.values.end(), copy.target.data);
    std::fill_n(copy.target.written, copy.target.size, 1);
  }
  thread.copies.erase(thread.copies.begin(),
                      thread.copies.begin() + static_cast<std::ptrdiff_t>(arrived));
  thread.copy_groups.erase(thread.copy_groups.begin(), groups_end);
  for (std::size_t& end : thread.copy_groups) end -= arrived;
}

std::string Block::waiting(const Thread& thread) const {
  const dim3& t = thread.indices.thread;
  const std::string who = fmt::format("thread ({}, {}, {})", t.x, t.y, t.z);
  switch (thread.state) {
    case State::ready:
      return who + " runs";
    case State::ended:
      return who + " has ended";
    case State::at_barrier:
      return fmt::format("{} waits for its block at {}", who, place(thread.where));
    case State::at_exchange:
      return fmt::format("{} waits for the lanes {:08x} at {}", who, thread.mask,
                         place(thread.where));
  }
  return who;
}

void Block::report_deadlock() const {
  const Thread& one = *std::find_if(threads_.begin(), threads_.end(),
                                    [](const Thread& t) { return t.state != State::ended; });
  const auto differs = [&](const Thread& t) {
    return t.state != one.state || t.where.line() != one.where.line() || t.mask != one.mask;
  };
  const auto other = std::find_if(threads_.begin(), threads_.end(), differs);
  fail(ErrorKind::internal, "{}: block ({}, {}, {}) is stuck: {}{}", name_, index_.x, index_.y,
       index_.z, waiting(one), other == threads_.end() ? "" : ", " + waiting(*other));
}

void Block::fault(const std::string& what) const {
  const dim3& t = indices().thread;
  fail(ErrorKind::internal, "{}: block ({}, {}, {}), thread ({}, {}, {}) {}", name_, index_.x,
       index_.y, index_.z, t.x, t.y, t.z, what);
}

const Indices& indices() {
  return current->indices();
}
unsigned lane() {
  return current->lane();
}
void sync_threads(const Where& where) {
  current->sync_threads(where);
}
const std::uint64_t* exchange(unsigned mask, std::uint64_t bits, const Where& where) {
  return current->exchange(mask, bits, where);
}
void queue_copy(const SharedCopy& copy) {
  current->queue_copy(copy);
}
void commit_copies() {
  current->commit_copies();
}
void complete_copies(std::size_t pending) {
  current->complete_copies(pending);
}
SharedBytes shared_bytes_of_block() {
  return current->shared();
}
void shared_memory_fault(const char* what, int index, int count) {
  current->fault(fmt::format("{}: {} of {}", what, index, count));
}

void run(const std::function<void()>& kernel, const cuda::Grid& grid, const char* name) {
  const std::int64_t blocks = std::int64_t{grid.blocks.x} * grid.blocks.y * grid.blocks.z;
  std::exception_ptr error;
  std::mutex guard;
#pragma omp parallel if (blocks > 1)
  {
    thread_local Block block;
#pragma omp for schedule(dynamic)
    for (std::int64_t i = 0; i < blocks; ++i) {
      const auto at = static_cast<unsigned>(i);
      const dim3 index(at % grid.blocks.x, at / grid.blocks.x % grid.blocks.y,
                       at / grid.blocks.x / grid.blocks.y);
      try {
        block.run(kernel, grid, name, index);
      } catch (...) {
        const std::lock_guard lock(guard);
        if (!error) error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace gist::emulation
