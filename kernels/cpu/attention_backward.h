// The gradient of interval attention, by tiles of queries and blocks of keys from which the
// probabilities are computed again (Dao 2023, algorithm 2). A row and a key head are one piece of
// work, whose gradients belong to it alone: sums have the same order on any number of threads.
#pragma once

#include "kernels/backend.h"
#include "kernels/checks.h"
#include "kernels/cpu/attention_backward_plan.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/relative_bias.h"
#include "kernels/cpu/thread_pool.h"

namespace gist::cpu {

struct AttentionGradients {
  Tensor dq, dkeys, dvalues, dtable;
};

class AttentionBackward {
 public:
  AttentionBackward(ThreadPool& threads, MemoryAccount& account)
      : threads_(threads), bias_(account), bias_sums_(account), workspace_(account) {}

  /// The tensors have been checked.
  void run(const Tensor& q, const Tensor& keys, const Tensor& values, const AttentionKeys& visible,
           const AttentionSpec& spec, const checks::AttentionSizes& sizes, const Tensor& y,
           const Tensor& log_sum_exp, const Tensor& dy, const AttentionGradients& gradients);

 private:
  ThreadPool& threads_;
  AttentionBackwardPlan plan_;
  BiasTableMaker bias_;
  Scratch bias_sums_;  // [rows, kv_heads, buckets, group]
  Scratch workspace_;  // one BackwardWorkspace a thread
};

}  // namespace gist::cpu
