#include "kernels/cpu/thread_pool.h"

#include <linux/futex.h>
#include <omp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <csignal>
#include <system_error>

#include "kernels/error.h"

namespace gist::cpu {
namespace {

/// How long a thread waits actively. Longer than what usually lies between two operations of a
/// layer; short beside what a scheduler gives another program.
constexpr std::chrono::microseconds active_wait{30};

constexpr std::uint32_t open = 1U << 31;     // of the gate: workers may enter
constexpr std::uint32_t awaited = 1U << 30;  // somebody sleeps until nobody is inside
constexpr std::uint32_t inside = awaited - 1;

/// Tells the processor that the thread only waits.
void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Waits actively until `done`, for as long as that pays; whether it is.
template <typename Done>
bool wait_actively(Done done) {
  const auto begun = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 16; ++i) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() - begun < active_wait);
  return done();
}

/// Sleeps while the word has this value, or returns early.
void sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake_from(std::atomic<std::uint32_t>& word, int sleepers) {
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0);
}

/// The signals of the process are not a worker's: they are for the threads that expect them. Its
/// own faults are: one that is blocked where it occurs ends the process, and no handler says why.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
      sigdelset(&blocked, fault);
    }
    pthread_sigmask(SIG_BLOCK, &blocked, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

ThreadPool::ThreadPool(int count) : shares_(static_cast<std::size_t>(count)) {
  static_assert(sizeof gate_ == sizeof(std::uint32_t), "a futex is a word");
  const SignalsBlocked blocked;
  workers_.reserve(static_cast<std::size_t>(count - 1));
  try {
    for (int thread = 1; thread < count; ++thread) {
      workers_.emplace_back([this, thread] { wait_for_work(thread); });
    }
  } catch (const std::system_error& error) {
    const int started = this->count();
    end();
    fail(ErrorKind::unavailable,
         "thread {} of {} can't be started: {}; compute on {} (--threads), or raise the limit of "
         "processes (ulimit -u) or of memory",
         started + 1, count, error.code().message(), started);
  }
}

ThreadPool::~ThreadPool() {
  end();
}

void ThreadPool::end() {
  ending_ = true;
  ++runs_;
  wake_from(runs_, INT_MAX);
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(std::int64_t items, int threads, Work work) {
  threads = static_cast<int>(std::min<std::int64_t>({threads, count(), items}));
  if (threads <= 1) {
    for (std::int64_t item = 0; item < items; ++item) work.call(work.callee, item, 0);
    return;
  }
  work_ = work;
  threads_ = threads;
  for (int i = 0; i < threads; ++i) {
    Share& share = shares_[static_cast<std::size_t>(i)];
    share.next.store(items * i / threads, std::memory_order_relaxed);
    share.end = items * (i + 1) / threads;
  }
  gate_.store(open, std::memory_order_release);
  ++runs_;
  wake(threads - 1);
  take_items(0);
  close_and_wait();
}

/// Wakes as many workers as are wanted beyond those that wait actively.
void ThreadPool::wake(int wanted) {
  const int sleepers = sleepers_;
  if (sleepers == 0) return;
  const int awake = static_cast<int>(workers_.size()) - sleepers;
  if (wanted > awake) wake_from(runs_, wanted - awake);
}

/// A thread's own share first, then what the others have left.
void ThreadPool::take_items(int thread) {
  for (int i = 0; i < threads_; ++i) {
    Share& share = shares_[static_cast<std::size_t>((thread + i) % threads_)];
    for (;;) {
      const std::int64_t item = share.next.fetch_add(1, std::memory_order_relaxed);
      if (item >= share.end) break;
      work_.call(work_.callee, item, thread);
    }
  }
}

void ThreadPool::wait_for_work(int thread) {
  omp_set_num_threads(1);  // of the libraries that this thread calls
  std::uint32_t seen = 0;
  while (!ending_) {
    const auto changed = [&] { return runs_.load(std::memory_order_acquire) != seen; };
    if (!wait_actively(changed)) {
      ++sleepers_;
      if (!changed()) sleep_on(runs_, seen);
      --sleepers_;
    }
    if (!changed()) continue;
    seen = runs_;
    if (!enter()) continue;
    take_items(thread);
    leave();
  }
}

/// False where the work is done already, or has all the threads that it feeds.
bool ThreadPool::enter() {
  std::uint32_t gate = gate_.load(std::memory_order_relaxed);
  do {
    if ((gate & open) == 0) return false;
  } while (!gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire,
                                        std::memory_order_relaxed));
  // The work can be looked at only from inside, where it doesn't change.
  if (static_cast<int>(gate & inside) + 1 < threads_) return true;
  leave();
  return false;
}

void ThreadPool::leave() {
  if (gate_.fetch_sub(1, std::memory_order_acq_rel) == (awaited | 1)) wake_from(gate_, 1);
}

/// Nobody may enter any more; waits for those inside to leave.
void ThreadPool::close_and_wait() {
  gate_.fetch_and(~open, std::memory_order_acq_rel);
  if (wait_actively([this] { return gate_.load(std::memory_order_acquire) == 0; })) return;
  std::uint32_t gate = gate_.fetch_or(awaited, std::memory_order_acq_rel) | awaited;
  while ((gate & inside) != 0) {
    sleep_on(gate_, gate);
    gate = gate_.load(std::memory_order_acquire);
  }
}

}  // namespace gist::cpu
