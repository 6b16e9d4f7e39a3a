#include "kernels/cuda/matmul.h"

#include <cublasLt.h>

#include <map>
#include <tuple>

#include "kernels/cuda/handle.h"
#include "kernels/error.h"

namespace gist::cuda {
namespace {

constexpr std::size_t workspace_bytes = std::size_t{32} << 20;
/// Ragged batches have ever new numbers of rows: beyond this many shapes, all are picked anew.
constexpr std::size_t most_shapes = 4096;

void check(cublasStatus_t status, const char* call, const Product& p) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail(ErrorKind::unavailable, "{} of a matrix product [{}, {}] [{}, {}] in {} failed: {}", call,
       p.m, p.k, p.k, p.n, name_of(p.dtype), cublasLtGetStatusString(status));
}

using Handle = Owned<cublasLtHandle_t, cublasLtDestroy>;
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

using Key = std::tuple<std::int64_t, std::int64_t, std::int64_t, bool, bool, Dtype, bool, bool,
                       std::uint32_t>;

/// Returns what all of a product's matrices are aligned to, in bytes: rows of a batch begin
/// anywhere.
std::uint32_t alignment_of(const Product& p) {
  const auto bits = reinterpret_cast<std::uintptr_t>(p.a.data) |
                    reinterpret_cast<std::uintptr_t>(p.b.data) |
                    reinterpret_cast<std::uintptr_t>(p.y) | 256U;
  return static_cast<std::uint32_t>(bits & -bits);
}

/// Row-major matrices are the transposes of column-major ones, which cuBLASLt computes with: y^T =
/// b^T a^T.
struct Plan {
  Description description;
  Layout a, b, y;
  cublasLtMatmulAlgo_t algorithm{};
};

Layout layout_of(const Operand& operand, std::int64_t rows, std::int64_t columns,
                 cudaDataType_t type, const Product& p) {
  const std::int64_t stored_rows = operand.transposed ? columns : rows;
  const std::int64_t stored_columns = operand.transposed ? rows : columns;
  cublasLtMatrixLayout_t layout = nullptr;
  check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(stored_columns),
                                   static_cast<std::uint64_t>(stored_rows), stored_columns),
        "cublasLtMatrixLayoutCreate", p);
  return Layout(layout);
}

}  // namespace

struct Matmul::State {
  Device& device;
  bool allow_tf32;
  Handle handle;
  Scratch workspace;
  std::map<Key, Plan> plans;

  const Plan& plan(const Product& p);
};

Matmul::Matmul(Device& device, bool allow_tf32)
    : state_(new State{device, allow_tf32, nullptr, Scratch(device), {}}) {
  cublasLtHandle_t handle = nullptr;
  check(cublasLtCreate(&handle), "cublasLtCreate", {});
  state_->handle.reset(handle);
}

Matmul::~Matmul() = default;

const Plan& Matmul::State::plan(const Product& p) {
  const Key key{p.m,
                p.n,
                p.k,
                p.a.transposed,
                p.b.transposed,
                p.dtype,
                p.bias != nullptr,
                p.accumulate,
                alignment_of(p)};
  if (const auto known = plans.find(key); known != plans.end()) return known->second;
  if (plans.size() >= most_shapes) plans.clear();

  const cudaDataType_t type = p.dtype == Dtype::bf16 ? CUDA_R_16BF : CUDA_R_32F;
  const cublasComputeType_t compute =
      p.dtype == Dtype::f32 && allow_tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  Plan plan;
  cublasLtMatmulDesc_t description = nullptr;
  check(cublasLtMatmulDescCreate(&description, compute, CUDA_R_32F), "cublasLtMatmulDescCreate", p);
  plan.description.reset(description);
  const auto set = [&](cublasLtMatmulDescAttributes_t attribute, auto value) {
    check(cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute", p);
  };
  set(CUBLASLT_MATMUL_DESC_TRANSA, p.b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, p.a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (p.bias != nullptr) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  }
  plan.a = layout_of(p.a, p.m, p.k, type, p);
  plan.b = layout_of(p.b, p.k, p.n, type, p);
  plan.y = layout_of({p.y}, p.m, p.n, CUDA_R_32F, p);

  cublasLtMatmulPreference_t preference = nullptr;
  check(cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate", p);
  const Preference owner(preference);
  const std::size_t most = workspace_bytes;
  check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                             &most, sizeof most),
        "cublasLtMatmulPreferenceSetAttribute", p);
  const std::uint32_t alignment = alignment_of(p);
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &alignment, sizeof alignment),
          "cublasLtMatmulPreferenceSetAttribute", p);
  }
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  check(cublasLtMatmulAlgoGetHeuristic(handle.get(), description, plan.b.get(), plan.a.get(),
                                       plan.y.get(), plan.y.get(), preference, 1, &result, &found),
        "cublasLtMatmulAlgoGetHeuristic", p);
  if (found == 0) check(CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmulAlgoGetHeuristic", p);
  plan.algorithm = result.algo;
  return plans.emplace(key, std::move(plan)).first->second;
}

void Matmul::run(const Product& p) {
  const Plan& plan = state_->plan(p);
  if (p.bias != nullptr) {  // the plan may have been made for another one
    check(cublasLtMatmulDescSetAttribute(plan.description.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                         &p.bias, sizeof p.bias),
          "cublasLtMatmulDescSetAttribute", p);
  }
  const float one = 1;
  const float kept = p.accumulate ? 1 : 0;
  void* workspace = state_->workspace.reserve(workspace_bytes);
  check(cublasLtMatmul(state_->handle.get(), plan.description.get(), &one, p.b.data, plan.b.get(),
                       p.a.data, plan.a.get(), &kept, p.y, plan.y.get(), p.y, plan.y.get(),
                       &plan.algorithm, workspace, workspace_bytes, state_->device.stream()),
        "cublasLtMatmul", p);
}

}  // namespace gist::cuda
