#include "tests/cuda/emulation/block.h"

#include <fmt/format.h>
#include <omp.h>
#include <sys/mman.h>

#include <algorithm>
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
  unsigned char* stack;
  boost::context::stack_context allocate() const {
    boost::context::stack_context context;
    context.size = StackPool::stack_bytes;
    context.sp = stack + StackPool::stack_bytes;
    return context;
  }
  void deallocate(boost::context::stack_context& context) const { context.sp = nullptr; }
};

std::string place(const Where& where) {
  const std::string path = where.file_name();
  const std::size_t folder = path.rfind("kernels/");
  return fmt::format("{}:{}", folder == std::string::npos ? path : path.substr(folder),
                     where.line());
}

}  // namespace

StackPool::~StackPool() {
  for (unsigned char* stack : free_) munmap(stack, stack_bytes);
}

unsigned char* StackPool::take() {
  if (!free_.empty()) {
    unsigned char* stack = free_.back();
    free_.pop_back();
    ASAN_UNPOISON_MEMORY_REGION(stack, stack_bytes);
    return stack;
  }
  void* stack = mmap(nullptr, stack_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stack == MAP_FAILED) throw std::bad_alloc();
  return static_cast<unsigned char*>(stack);
}

Block::Block(const std::function<void()>& kernel, const cuda::Grid& grid, const char* name,
             dim3 block_index, StackPool& stacks)
    : kernel_(kernel),
      name_(name),
      index_(block_index),
      stacks_(stacks),
      threads_(std::size_t{grid.threads.x} * grid.threads.y * grid.threads.z),
      shared_(grid.shared_bytes, 0xFF),  // NaN, where it is read as a float
      written_(grid.shared_bytes) {
  std::size_t i = 0;
  for (unsigned z = 0; z < grid.threads.z; ++z) {
    for (unsigned y = 0; y < grid.threads.y; ++y) {
      for (unsigned x = 0; x < grid.threads.x; ++x, ++i) {
        threads_[i].indices = {dim3(x, y, z), block_index, grid.threads, grid.blocks};
        threads_[i].stack = stacks_.take();
        start(threads_[i]);
      }
    }
  }
}

Block::~Block() {
  for (Thread& thread : threads_) stacks_.give_back(thread.stack);
}

void Block::start(Thread& thread) {
  thread.fiber = boost::context::fiber(
      std::allocator_arg, BorrowedStack{thread.stack},
      [this, &thread](boost::context::fiber&& scheduler) {
        __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack_, &scheduler_stack_bytes_);
        scheduler_ = std::move(scheduler);
        try {
          kernel_();
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
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, thread.stack, StackPool::stack_bytes);
  thread.fiber = std::move(thread.fiber).resume();
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
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

void Block::run() {
  current = this;
  while (true) {
    bool moved = false;
    bool ended = true;
    for (std::size_t i = 0; i < threads_.size() && !error_; ++i) {
      if (threads_[i].state == State::ready) {
        resume(i);
        moved = true;
      }
      ended = ended && threads_[i].state == State::ended;
    }
    if (error_) break;
    if (ended) break;
    if (!moved) {
      try {
        release_barrier();
      } catch (const Error& error) {
        error_ = error.what();
        break;
      }
    }
  }
  cancelled_ = true;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    if (threads_[i].state != State::ended) resume(i);
  }
  current = nullptr;
  if (error_) throw Error(ErrorKind::internal, *error_);
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
    if (thread.where.line() != first->where.line() ||
        std::string_view(thread.where.file_name()) != first->where.file_name()) {
      report_deadlock();
    }
  }
  const bool all = std::none_of(threads_.begin(), threads_.end(),
                                [](const Thread& t) { return t.state == State::ended; });
  if (!all) report_deadlock();
  for (Thread& thread : threads_) thread.state = State::ready;
}

const std::uint64_t* Block::exchange(unsigned mask, std::uint64_t bits, const Where& where) {
  const std::size_t own = running_;
  const std::size_t first = own / 32 * 32;
  Thread& thread = threads_[own];
  if ((mask >> (own % 32) & 1) == 0) {
    fault(fmt::format("is not in the mask {:08x} that it names at {}", mask, place(where)));
  }
  thread.mask = mask;
  thread.bits = bits;
  thread.where = where;
  bool complete = true;
  for (std::size_t i = 0; i < 32; ++i) {
    if ((mask >> i & 1) == 0 || first + i == own) continue;
    if (first + i >= threads_.size()) {
      fault(fmt::format("waits at {} for lane {}, which the block does not have", place(where), i));
    }
    const Thread& other = threads_[first + i];
    complete = complete && other.state == State::at_exchange && other.mask == mask &&
               other.where.line() == where.line() &&
               std::string_view(other.where.file_name()) == where.file_name();
  }
  if (!complete) {
    wait(State::at_exchange, where);
    return thread.received.data();
  }
  std::array<std::uint64_t, 32> all{};
  for (std::size_t i = 0; i < 32; ++i) {
    if (mask >> i & 1) all[i] = threads_[first + i].bits;
  }
  for (std::size_t i = 0; i < 32; ++i) {
    if ((mask >> i & 1) == 0) continue;
    threads_[first + i].received = all;
    threads_[first + i].state = State::ready;
  }
  return thread.received.data();
}

void Block::queue_copy(const SharedCopy& copy) {
  std::fill_n(copy.target.written, copy.target.size, 0);
  threads_[running_].copies.push_back(copy);
}

void Block::commit_copies() {
  Thread& thread = threads_[running_];
  thread.copy_groups.push_back(std::exchange(thread.copies, {}));
}

void Block::complete_copies(std::size_t pending) {
  std::deque<std::vector<SharedCopy>>& groups = threads_[running_].copy_groups;
  for (; groups.size() > pending; groups.pop_front()) {
    for (const SharedCopy& copy : groups.front()) {
      std::copy(copy.values.begin(), copy.values.end(), copy.target.data);
      std::fill_n(copy.target.written, copy.target.size, 1);
    }
  }
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
    thread_local StackPool stacks;
#pragma omp for schedule(dynamic)
    for (std::int64_t i = 0; i < blocks; ++i) {
      const auto at = static_cast<unsigned>(i);
      const dim3 index(at % grid.blocks.x, at / grid.blocks.x % grid.blocks.y,
                       at / grid.blocks.x / grid.blocks.y);
      try {
        Block(kernel, grid, name, index, stacks).run();
      } catch (...) {
        const std::lock_guard lock(guard);
        if (!error) error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace gist::emulation
