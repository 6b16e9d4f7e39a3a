#include "cli/compress_plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/line_writer.h"
#include "kernels/error.h"

namespace gist {
namespace {

double gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

}  // namespace

void print_compress_plan(const CompressPlan& plan, std::size_t left_out, bool with_checks,
                         std::size_t available) {
  const std::size_t peak = plan.memory_bytes;
  const std::size_t activations = peak - std::min(peak, plan.weight_bytes);
  nlohmann::ordered_json lines{{"records", plan.records},
                               {"left_out", left_out},
                               {"rows", plan.rows},
                               {"tokens", plan.tokens},
                               {"batches", plan.batches},
                               {"flops", plan.flops},
                               {"weight_bytes", plan.weight_bytes},
                               {"activation_bytes", activations},
                               {"memory_bytes", peak},
                               {"available_bytes", available},
                               {"store_bytes", plan.store_bytes}};
  if (with_checks) lines["checks"] = plan.checks;
  LineWriter out = standard_output();
  out.line(lines.dump(2));
  out.flush();
  if (peak > available) {
    fail(ErrorKind::unavailable,
         "this needs {:.2f} GiB of memory ({:.2f} for weights, {:.2f} for a batch), and {:.2f} are "
         "available; --dtype bf16 halves the weights, a smaller --batch-tokens the batch",
         gib(peak), gib(plan.weight_bytes), gib(activations), gib(available));
  }
}

}  // namespace gist
