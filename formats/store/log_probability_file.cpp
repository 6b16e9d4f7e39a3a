#include "formats/store/log_probability_file.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/ranges.h>

#include "formats/files/durable.h"
#include "formats/model/safetensors.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* format_name = "gist-logprobs";
constexpr const char* format_version = "1.0";

/// The tensors, in the order in which they stand in the file.
enum TensorOf : std::size_t {
  key_tensor,
  label_end_tensor,
  labels_tensor,
  ids_tensor,
  log_p_tensor
};
constexpr std::array<const char*, 5> tensor_names = {"key", "label_end", "labels", "ids", "log_p"};
constexpr std::size_t value_bytes = 4;  // of each of them

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  fail(ErrorKind::data,
       "{}: no file of log-probabilities (gist evaluate --write-logprobs), or a damaged one: {}",
       path.string(), why);
}

std::string member_of(const TensorFile& file, const std::string& name) {
  const auto found = file.metadata.find(name);
  if (found == file.metadata.end()) {
    refuse(file.file.path(), fmt::format("its header lacks \"{}\"", name));
  }
  return found->second;
}

std::int64_t number_of(const TensorFile& file, const std::string& name) {
  const std::string text = member_of(file, name);
  std::int64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || stop != text.data() + text.size() || number < 1 ||
      number > std::numeric_limits<std::int32_t>::max()) {
    refuse(file.file.path(), fmt::format("its header's \"{}\" should be a number above 0", name));
  }
  return number;
}

const StoredTensor& tensor_of(const TensorFile& file, TensorOf which,
                              const std::vector<std::int64_t>& shape) {
  const char* name = tensor_names.at(which);
  const auto found = file.tensors.find(name);
  const char* dtype = which == log_p_tensor ? "F32" : "I32";
  if (found == file.tensors.end() || found->second.dtype != dtype || found->second.shape != shape) {
    refuse(file.file.path(),
           fmt::format("expected a tensor \"{}\" {} [{}]", name, dtype, fmt::join(shape, ", ")));
  }
  return found->second;
}

std::int64_t rows_of(const TensorFile& file, const char* name) {
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end() || found->second.shape.empty()) {
    refuse(file.file.path(), fmt::format("expected a tensor \"{}\"", name));
  }
  return found->second.shape[0];
}

std::vector<std::int32_t> integers_of(const StoredTensor& tensor) {
  std::vector<std::int32_t> values(tensor.bytes / value_bytes);
  std::memcpy(values.data(), tensor.data, tensor.bytes);
  return values;
}

LogProbabilityHeader header_in(const TensorFile& file) {
  if (member_of(file, "format") != format_name) refuse(file.file.path(), "it is of another format");
  const std::string version = member_of(file, "version");
  if (!version.starts_with("1.")) {
    fail(ErrorKind::data,
         "{}: log-probabilities of version {}; this gist reads 1.x: a newer gist "
         "has written it",
         file.file.path().string(), version);
  }
  LogProbabilityHeader header;
  header.k = static_cast<std::int32_t>(number_of(file, "k"));
  header.vocabulary = number_of(file, "vocabulary");
  header.vocabulary_sha256 = member_of(file, "vocabulary_sha256");
  header.model = member_of(file, "model");
  header.condition = member_of(file, "condition");
  header.model_sha256 = member_of(file, "model_sha256");
  return header;
}

}  // namespace

Sha256 record_key(std::string_view instruction, std::string_view input, std::string_view output) {
  Sha256Stream hash;
  for (const std::string_view text : {instruction, input, output}) {
    const std::uint64_t bytes = text.size();
    hash.update(std::as_bytes(std::span(&bytes, 1)));
    hash.update(text);
  }
  return hash.finish();
}

/// Where each tensor begins in the file, and how long its rows are.
struct LogProbabilityWriter::Layout {
  std::array<std::size_t, tensor_names.size()> begin{};
  std::int64_t k = 0;
};

LogProbabilityWriter::LogProbabilityWriter(const std::filesystem::path& path,
                                           const LogProbabilityHeader& header,
                                           std::span<const std::int32_t> labels)
    : layout_(std::make_unique<Layout>()), file_(path) {
  if (is_pipe_or_device(path)) {
    fail(ErrorKind::usage,
         "{}: is a pipe or a device, which can't hold log-probabilities: name a "
         "file",
         path.string());
  }
  std::int64_t sum = 0;
  for (const std::int32_t each : labels) sum += each;
  if (sum > std::numeric_limits<std::int32_t>::max()) {
    fail(ErrorKind::data,
         "{}: {} labels are too many for one file: write several, of fewer records "
         "each",
         path.string(), sum);
  }
  layout_->k = header.k;
  const std::int64_t records = std::ssize(labels);
  const std::array<Shape, tensor_names.size()> shapes{Shape{records, 8}, Shape{records}, Shape{sum},
                                                      Shape{sum, header.k}, Shape{sum, header.k}};
  std::vector<NamedTensor> tensors;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const Dtype dtype = i == log_p_tensor ? Dtype::f32 : Dtype::i32;
    tensors.push_back({tensor_names.at(i), {nullptr, dtype, shapes.at(i)}});
  }
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& each : tensors) order.push_back(&each);
  const std::string text =
      safetensors_header_text(order, {{"format", format_name},
                                      {"version", format_version},
                                      {"k", std::to_string(header.k)},
                                      {"vocabulary", std::to_string(header.vocabulary)},
                                      {"vocabulary_sha256", header.vocabulary_sha256},
                                      {"model", header.model},
                                      {"condition", header.condition},
                                      {"model_sha256", header.model_sha256}});
  const std::uint64_t header_bytes = text.size();
  std::size_t at = sizeof header_bytes + text.size();
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    layout_->begin.at(i) = at;
    at += static_cast<std::size_t>(shapes.at(i).elements()) * value_bytes;
  }
  write_bytes(0, &header_bytes, sizeof header_bytes);
  write_bytes(sizeof header_bytes, text.data(), text.size());
}

LogProbabilityWriter::~LogProbabilityWriter() = default;

void LogProbabilityWriter::write_bytes(std::size_t at, const void* bytes, std::size_t count) {
  const auto* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::pwrite(file_.descriptor(), next, count, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      fail(ErrorKind::io, "{}: can't be written: {}", file_.target().string(),
           write_error_text(errno));
    }
    next += written;
    at += static_cast<std::size_t>(written);
    count -= static_cast<std::size_t>(written);
  }
}

void LogProbabilityWriter::add(const Sha256& key, std::span<const std::int32_t> labels,
                               const TopPredictions& predictions) {
  const auto put = [&](TensorOf tensor, std::int64_t element, const void* values,
                       std::size_t count) {
    const auto at = static_cast<std::size_t>(element) * value_bytes;
    write_bytes(layout_->begin.at(tensor) + at, values, count * value_bytes);
  };
  put(key_tensor, records_ * 8, key.data(), 8);
  const auto end = static_cast<std::int32_t>(labels_ + std::ssize(labels));
  put(label_end_tensor, records_, &end, 1);
  put(labels_tensor, labels_, labels.data(), labels.size());
  put(ids_tensor, labels_ * layout_->k, predictions.ids.data(), predictions.ids.size());
  put(log_p_tensor, labels_ * layout_->k, predictions.log_p.data(), predictions.log_p.size());
  ++records_;
  labels_ = end;
}

void LogProbabilityWriter::publish(Existing existing) {
  file_.publish(existing);
}

std::size_t LogProbabilityFile::KeyHash::operator()(const Sha256& key) const {
  std::size_t value = 0;  // a hash is random as it is
  std::memcpy(&value, key.data(), sizeof value);
  return value;
}

LogProbabilityFile::LogProbabilityFile(const std::filesystem::path& path)
    : file_(read_safetensors(path)), header_(header_in(file_)) {
  const std::int64_t records = rows_of(file_, "label_end"), labels = rows_of(file_, "labels");
  label_end_ = integers_of(tensor_of(file_, label_end_tensor, {records}));
  labels_ = integers_of(tensor_of(file_, labels_tensor, {labels}));
  const std::byte* keys = tensor_of(file_, key_tensor, {records, 8}).data;
  ids_ = tensor_of(file_, ids_tensor, {labels, header_.k}).data;
  log_p_ = tensor_of(file_, log_p_tensor, {labels, header_.k}).data;
  std::int32_t before = 0;
  for (std::uint32_t i = 0; i < label_end_.size(); ++i) {
    if (label_end_[i] <= before || label_end_[i] > labels) {
      refuse(path, fmt::format("record {} has no labels of its own", i));
    }
    before = label_end_[i];
    Sha256 key;
    std::memcpy(key.data(), keys + i * key.size(), key.size());
    places_.emplace(key, i);
  }
  if (before != labels) refuse(path, "labels belong to no record");
}

std::optional<std::uint32_t> LogProbabilityFile::find(const Sha256& key) const {
  const auto found = places_.find(key);
  if (found == places_.end()) return std::nullopt;
  return found->second;
}

std::int32_t LogProbabilityFile::first_label(std::uint32_t record) const {
  return record == 0 ? 0 : label_end_[record - 1];
}

std::span<const std::int32_t> LogProbabilityFile::labels(std::uint32_t record) const {
  const std::int32_t begin = first_label(record);
  return std::span(labels_).subspan(static_cast<std::size_t>(begin),
                                    static_cast<std::size_t>(label_end_[record] - begin));
}

TopPredictions LogProbabilityFile::read(std::uint32_t record) const {
  const auto k = static_cast<std::size_t>(header_.k);
  const auto begin = static_cast<std::size_t>(first_label(record)) * k;
  TopPredictions result;
  result.ids.resize(labels(record).size() * k);
  result.log_p.resize(result.ids.size());
  const std::size_t bytes = result.ids.size() * value_bytes;
  std::memcpy(result.ids.data(), ids_ + begin * value_bytes, bytes);
  std::memcpy(result.log_p.data(), log_p_ + begin * value_bytes, bytes);
  for (std::size_t i = 0; i < result.ids.size(); ++i) {
    const std::int32_t id = result.ids[i];
    if (id == -1) continue;
    const auto row = result.ids.begin() + static_cast<std::ptrdiff_t>(i / k * k);
    const bool is_new = std::find(row, row + static_cast<std::ptrdiff_t>(i % k), id) ==
                        row + static_cast<std::ptrdiff_t>(i % k);
    // A rounded logarithm may be a little above 0.
    const bool is_log = std::isfinite(result.log_p[i]) && result.log_p[i] < 1e-3F;
    if (id < 0 || id >= header_.vocabulary || !is_new || !is_log) {
      refuse(path(), fmt::format("record {} has no likeliest tokens at label {}", record, i / k));
    }
  }
  return result;
}

std::string LogProbabilityFile::sha256() const {
  return to_hex(gist::sha256(file_.file.text()));
}

}  // namespace gist
