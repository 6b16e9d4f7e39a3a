// The gradient of interval attention, by tiles of queries and blocks of keys from which the
// probabilities are computed again (Dao 2023, algorithm 2). A row and a key head are one piece of
// work, whose gradients belong to it alone: sums have the same order on any number of threads.
#pragma once

#include "kernels/cpu/attention_backward_plan.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/relative_bias.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/ops/attention.h"

namespace gist::cpu {

class AttentionBackward {
 public:
  AttentionBackward(ThreadPool& threads, MemoryAccount& account)
      : threads_(threads), bias_(account), bias_sums_(account), workspace_(account) {}

  void run(const ops::AttentionBackward& op);

 private:
  ThreadPool& threads_;
  AttentionBackwardPlan plan_;
  BiasTableMaker bias_;
  Scratch bias_sums_;  // [rows, kv_heads, buckets, group]
  Scratch workspace_;  // one BackwardWorkspace a thread
};

}  // namespace gist::cpu
