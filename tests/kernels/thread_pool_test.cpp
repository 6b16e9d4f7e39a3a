#include "kernels/cpu/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/process_limits.h"
#include "kernels/error.h"

namespace gist::cpu {
namespace {

using Counts = std::vector<std::atomic<int>>;

bool all_are(const Counts& counts, int expected) {
  for (const std::atomic<int>& each : counts) {
    if (each != expected) return false;
  }
  return true;
}

TEST(ThreadPool, TakesEachItemOnceWhateverRunsBeforeAndAfter) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.count(), threads);
    for (const std::int64_t items : {0, 1, 2, 7, 100}) {
      Counts taken(static_cast<std::size_t>(items));
      for (int run = 1; run <= 300; ++run) {
        pool.run(items, 1 + run % threads, [&](std::int64_t item, int thread) {
          EXPECT_GE(thread, 0);
          EXPECT_LT(thread, threads);
          ++taken[static_cast<std::size_t>(item)];
        });
        ASSERT_TRUE(all_are(taken, run)) << items << " items on " << threads << " threads";
      }
    }
  }
}

TEST(ThreadPool, WhatThreadsWriteIsSeenAfterwards) {
  ThreadPool pool(4);
  std::vector<std::int64_t> values(1000);
  for (std::int64_t run = 0; run < 500; ++run) {
    pool.run(1000, 4,
             [&](std::int64_t item, int) { values[static_cast<std::size_t>(item)] += item; });
    EXPECT_EQ(std::accumulate(values.begin(), values.end(), std::int64_t{0}),
              (run + 1) * 1000 * 999 / 2);
  }
}

TEST(ThreadPool, UsesNoMoreThreadsThanAreAskedFor) {
  ThreadPool pool(8);
  for (int run = 0; run < 100; ++run) {
    std::vector<std::atomic<bool>> working(8);
    pool.run(64, 3, [&](std::int64_t, int thread) {
      working[static_cast<std::size_t>(thread)] = true;
      std::this_thread::yield();
    });
    int used = 0;
    for (const std::atomic<bool>& each : working) used += each ? 1 : 0;
    EXPECT_LE(used, 3);
  }
}

TEST(ThreadPool, WakesThreadsThatSleep) {
  ThreadPool pool(2);
  for (int run = 0; run < 5; ++run) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> here = 0;
    // Neither item ends before both threads have one.
    pool.run(2, 2, [&](std::int64_t, int) {
      ++here;
      while (here < 2) std::this_thread::yield();
    });
    EXPECT_EQ(here, 2);
  }
}

// A fault that its own thread blocks ends the process, whatever handler there is.
TEST(ThreadPool, ThreadsLeaveSignalsToOthersButFaultsToHandlers) {
  ThreadPool pool(2);
  std::vector<sigset_t> blocked(2);
  std::atomic<int> here = 0;
  pool.run(2, 2, [&](std::int64_t, int thread) {
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked[static_cast<std::size_t>(thread)]);
    ++here;
    while (here < 2) std::this_thread::yield();
  });
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) EXPECT_EQ(sigismember(&blocked[1], signal), 1);
  for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT}) {
    EXPECT_EQ(sigismember(&blocked[1], fault), 0) << strsignal(fault);
  }
}

/// Ends the process with 7 where the error is the right one.
void start_more_threads_than_there_is_memory_for() {
  rlimit memory{};
  getrlimit(RLIMIT_AS, &memory);
  memory.rlim_cur = std::size_t{1} << 30;
  setrlimit(RLIMIT_AS, &memory);
  try {
    const ThreadPool pool(4000);
  } catch (const Error& error) {
    const std::string message = error.what();
    const bool named = message.find("of 4000 can't be started") != std::string::npos;
    std::exit(error.kind() == ErrorKind::unavailable && named ? 7 : 1);
  }
  std::exit(2);
}

TEST(ThreadPool, SaysWhichThreadCanNotBeStarted) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer itself needs the address space";
#endif
  ASSERT_EXIT(start_more_threads_than_there_is_memory_for(), testing::ExitedWithCode(7), "");
}

TEST(ParallelRanges, CoverAllAndGiveEachThreadItsGrain) {
  ThreadPool pool(4);
  for (const std::int64_t n : {0, 1, 99, 100, 199, 200, 1000, 100000}) {
    Counts taken(static_cast<std::size_t>(n));
    std::atomic<std::int64_t> shortest = n;
    parallel_ranges(pool, n, 100, [&](std::int64_t begin, std::int64_t end) {
      std::int64_t before = shortest;
      while (end - begin < before && !shortest.compare_exchange_weak(before, end - begin)) {
      }
      for (std::int64_t i = begin; i < end; ++i) ++taken[static_cast<std::size_t>(i)];
    });
    EXPECT_TRUE(all_are(taken, 1)) << n;
    EXPECT_GE(shortest, std::min<std::int64_t>(n, 100));
  }
}

TEST(UsableThreads, AreThoseOfTheAffinity) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  EXPECT_EQ(usable_threads(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof before, &before), 0);
  EXPECT_GE(usable_threads(), 1);
  EXPECT_LE(usable_threads(), CPU_COUNT(&before));
}

}  // namespace
}  // namespace gist::cpu
