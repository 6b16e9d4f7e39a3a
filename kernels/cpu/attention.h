// Interval attention: softmax(scale q k^T + bias) v over visible keys, by tiles of queries and
// blocks of keys with an online softmax (Dao 2023).
#pragma once

#include "kernels/cpu/attention_plan.h"
#include "kernels/cpu/memory.h"
#include "kernels/cpu/relative_bias.h"
#include "kernels/cpu/thread_pool.h"
#include "kernels/ops/attention.h"

namespace gist::cpu {

class Attention {
 public:
  Attention(ThreadPool& threads, MemoryAccount& account)
      : threads_(threads), bias_(account), workspace_(account), partials_(account) {}

  void run(const ops::Attention& op);

 private:
  ThreadPool& threads_;
  AttentionPlan plan_;
  BiasTableMaker bias_;
  Scratch workspace_;  // one AttentionWorkspace a thread
  Scratch partials_;   // [partial_columns, 2 + value_dim]: maximum, sum, weighted values
};

}  // namespace gist::cpu
