#include <algorithm>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/factor.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/logits.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {
namespace {

struct Choices {
  std::int64_t count;
  const std::int32_t* excluded;
  std::int64_t excluded_count;
  float rate;  // 1 / temperature
};

/// What is computed of the labels, and what the gradient takes.
struct StudentLoss {
  const std::int32_t* labels;  // null: there are none, and no gradient is wanted
  float* loss;
  float of_label, of_each;      // what a label's target gives to it, and to each id besides
  float of_labels, of_teacher;  // the parts of the gradient, with its factor
};

/// The largest of `values` among the choices, which are where the teacher's logit is a number.
__device__ Largest largest_choice(const float* teacher, const float* values, std::int64_t choices,
                                  SharedArray<float> parts, SharedArray<int> places) {
  Largest largest{-INFINITY, 0x7FFFFFFF};
  for (std::int64_t i = threadIdx.x; i < choices; i += blockDim.x) {
    if (teacher[i] == -INFINITY) continue;
    largest = larger(largest, {values[i], static_cast<int>(i)});
  }
  return largest_of_block(largest, parts, places);
}

/// exp(-x) - 1 + x for small x, where the difference would lose most of it: by its series.
__device__ float small_excess(float x) {
  const float series =
      0.5F + x * (-1.0F / 6 + x * (1.0F / 24 + x * (-1.0F / 120 + x * (1.0F / 720 - x / 5040))));
  return x * x * series;
}

/// A block a row of both models' logits. Writes the divergence, the losses of labels where there
/// are some, and the best choices where they are wanted; with labels, leaves the gradient in the
/// place of the student's logits.
__global__ void divergence_kernel(LogitRows teachers, LogitRows students, Choices choices,
                                  StudentLoss loss, IndexCheck check, float* divergence,
                                  std::int32_t* teacher_best, std::int32_t* student_best) {
  SharedMemory memory;
  const SharedArray<float> parts = memory.take<float>(warp_size);
  const SharedArray<int> places = memory.take<int>(warp_size);
  const std::int64_t row = blockIdx.x;
  float* t = teachers.logits + row * teachers.vocabulary;
  float* z = students.logits + row * students.vocabulary;
  const bool labelled = loss.labels != nullptr;
  if (labelled && !check.passes(static_cast<int>(row), loss.labels[row])) return;
  const float spoilt = cap_row(t, teachers, parts) + cap_row(z, students, parts);
  for (std::int64_t i = threadIdx.x; i < choices.excluded_count; i += blockDim.x) {
    const std::int32_t id = choices.excluded[i];
    if (id >= 0 && id < choices.count) t[id] = -INFINITY;
  }
  __syncthreads();
  const Largest t_peak = largest_choice(t, t, choices.count, parts, places);
  const Largest z_peak = largest_choice(t, z, choices.count, parts, places);
  float t_sum = 0, z_sum = 0;
  for (std::int64_t i = threadIdx.x; i < choices.count; i += blockDim.x) {
    if (t[i] == -INFINITY) continue;
    t_sum += expf((t[i] - t_peak.value) * choices.rate);
    z_sum += expf((z[i] - z_peak.value) * choices.rate);
  }
  const float t_log_sum = logf(reduce_block<Sum>(t_sum, parts));
  const float z_log_sum = logf(reduce_block<Sum>(z_sum, parts));

  std::int32_t label = -1;
  float wanted = 0, log_sum = 0;
  if (labelled) {
    label = loss.labels[row];
    wanted = z[label];
    Largest own{-INFINITY, 0x7FFFFFFF};
    float total = 0;
    for (std::int64_t i = threadIdx.x; i < students.vocabulary; i += blockDim.x) {
      own = larger(own, {z[i], static_cast<int>(i)});
      total += z[i];
    }
    const Largest peak = largest_of_block(own, parts, places);
    float sum = 0;
    for (std::int64_t i = threadIdx.x; i < students.vocabulary; i += blockDim.x) {
      sum += expf(z[i] - peak.value);
    }
    log_sum = peak.value + logf(reduce_block<Sum>(sum, parts));
    total = reduce_block<Sum>(total, parts);
    if (threadIdx.x == 0) {
      loss.loss[row] = log_sum - loss.of_label * wanted - loss.of_each * total + spoilt;
    }
    __syncthreads();  // all have read `wanted`
  }

  float sum = 0;
  const std::int64_t ids = labelled ? students.vocabulary : choices.count;
  for (std::int64_t i = threadIdx.x; i < ids; i += blockDim.x) {
    const float own = z[i];
    float difference = 0;  // q - p
    if (i < choices.count && t[i] != -INFINITY) {
      const float log_p = (t[i] - t_peak.value) * choices.rate - t_log_sum;
      const float log_q = (own - z_peak.value) * choices.rate - z_log_sum;
      const float p = expf(log_p), q = expf(log_q), log_ratio = log_p - log_q;
      // p (exp(-log_ratio) - 1 + log_ratio), in which p exp(-log_ratio) is q.
      sum += fabsf(log_ratio) < 0.25F ? p * small_excess(log_ratio) : p * (log_ratio - 1) + q;
      difference = q - p;
    }
    if (!labelled) continue;
    float d =
        loss.of_labels * (expf(own - log_sum) - loss.of_each - (i == label ? loss.of_label : 0.0F));
    d = (d + loss.of_teacher * difference) * students.scale;
    if (students.soft_cap > 0) d *= 1 - own / students.soft_cap * (own / students.soft_cap);
    z[i] = d;
  }
  sum = reduce_block<Sum>(sum, parts);
  if (threadIdx.x != 0) return;
  divergence[row] = sum + spoilt;
  if (teacher_best == nullptr) return;
  teacher_best[row] = t_peak.place == 0x7FFFFFFF ? 0 : t_peak.place;
  student_best[row] = z_peak.place == 0x7FFFFFFF ? 0 : z_peak.place;
}

Choices choices_of(const DivergenceSpec& spec) {
  const bool excludes = spec.excluded.data != nullptr;
  return {spec.choices, data_of<const std::int32_t>(spec.excluded),
          excludes ? spec.excluded.shape[0] : 0, 1 / spec.temperature};
}

/// What a chunk of rows is computed from, and where its results go.
struct Chunk {
  LogitRows teachers, students;
  std::int64_t rows;
  Tensor divergence, teacher_best, student_best;
};

void diverge(Device& device, const Chunk& chunk, const DivergenceSpec& spec,
             const StudentLoss& loss) {
  const Grid grid{dim3(static_cast<unsigned>(chunk.rows)), dim3(elementwise_threads),
                  shared_bytes<float>(warp_size) + shared_bytes<int>(warp_size)};
  launch(device, grid, divergence_kernel, chunk.teachers, chunk.students, choices_of(spec), loss,
         IndexCheck(device, "distillation_gradient: expected labels", chunk.students.vocabulary),
         data_of<float>(chunk.divergence), data_of<std::int32_t>(chunk.teacher_best),
         data_of<std::int32_t>(chunk.student_best));
}

/// Queues the logits of rows [first, end) of a head that is a factor of products.
LogitRows logit_rows(Context& context, const HeadInput& input, const Tensor& head,
                     std::int64_t first, std::int64_t end, float* logits) {
  gemm(context, input.hidden.rows(first, end), head, input.bias,
       {logits, Dtype::f32, {end - first, head.shape[0]}});
  return {logits, head.shape[0], input.scale, input.soft_cap};
}

}  // namespace

void compute(const ops::LinearDivergence& op, Context& context) {
  if (!context.begin(op.name, op.divergence)) return;
  const Tensor& teacher = weight_of(*op.teacher.head);
  const Tensor& student = weight_of(*op.student.head);
  const std::int64_t m = op.student.hidden.shape[0];
  const std::int64_t chunk = chunk_rows(m, teacher.shape[0] + student.shape[0]);
  ScratchPieces pieces;
  const auto teachers = pieces.add<float>(chunk * teacher.shape[0]);
  const auto students = pieces.add<float>(chunk * student.shape[0]);
  const FactorMemory teacher_memory(context, teacher, pieces),
      student_memory(context, student, pieces);
  std::byte* memory = context.scratch.reserve(pieces.bytes());
  const Tensor teacher_head = teacher_memory.make(context.device, teacher, memory);
  const Tensor student_head = student_memory.make(context.device, student, memory);
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t end = std::min(first + chunk, m);
    const Chunk rows{logit_rows(context, op.teacher, teacher_head, first, end, teachers.in(memory)),
                     logit_rows(context, op.student, student_head, first, end, students.in(memory)),
                     end - first,
                     op.divergence.rows(first, end),
                     op.teacher_best.rows(first, end),
                     op.student_best.rows(first, end)};
    diverge(context.device, rows, op.spec, {});
  }
}

void compute(const ops::DistillationGradient& op, Context& context) {
  if (!context.begin(op.name, op.loss)) return;
  const Tensor& teacher = weight_of(*op.teacher.head);
  const std::int64_t m = op.hidden.shape[0], vocabulary = op.head.shape[0];
  const std::int64_t chunk = chunk_rows(m, teacher.shape[0] + vocabulary);
  ScratchPieces pieces;
  const auto teachers = pieces.add<float>(chunk * teacher.shape[0]);
  const auto students = pieces.add<float>(chunk * vocabulary);
  // Each of the student's is a factor of two products.
  const FactorMemory teacher_memory(context, teacher, pieces),
      head_memory(context, op.head, pieces), hidden_memory(context, op.hidden, pieces),
      dlogits_memory(context, {nullptr, Dtype::f32, {chunk, vocabulary}}, pieces);
  std::byte* memory = context.scratch.reserve(pieces.bytes());
  Device& device = context.device;
  const Tensor teacher_head = teacher_memory.make(device, teacher, memory);
  const Tensor weight = head_memory.make(device, op.head, memory);
  const Tensor states = hidden_memory.make(device, op.hidden, memory);
  const CrossEntropySpec& spec = op.cross_entropy;
  const HeadInput student{states, nullptr, op.bias, spec.scale, spec.soft_cap};
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t end = std::min(first + chunk, m);
    const Chunk rows{logit_rows(context, op.teacher, teacher_head, first, end, teachers.in(memory)),
                     logit_rows(context, student, weight, first, end, students.in(memory)),
                     end - first,
                     op.divergence.rows(first, end),
                     {},
                     {}};
    diverge(device, rows, op.spec,
            {data_of<const std::int32_t>(op.labels.rows(first, end)),
             data_of<float>(op.loss.rows(first, end)), 1 - spec.label_smoothing,
             spec.label_smoothing / static_cast<float>(vocabulary), spec.factor * (1 - op.weight),
             spec.factor * op.weight * op.spec.temperature});
    const Tensor values{students.in(memory), Dtype::f32, {end - first, vocabulary}};
    const Tensor dlogits = dlogits_memory.make(device, values, memory);
    input_gradient(context, {.dy = dlogits, .w = weight, .dx = op.dhidden.rows(first, end)});
    if (op.dhead.data == nullptr) continue;
    weight_gradient(context, {.dy = dlogits, .x = states.rows(first, end), .dw = op.dhead});
    if (op.dbias.data == nullptr) continue;
    add_rows(context, data_of<const float>(values), end - first, vocabulary,
             data_of<float>(op.dbias));
  }
}

}  // namespace gist::cuda
