// What a model expects at each label of given answers, its k likeliest next tokens, in a file: so
// that a teacher runs once, elsewhere.
//
// The file is in the format safetensors (formats/model/safetensors.h), with N records that have S
// labels in all:
//
//     __metadata__  format="gist-logprobs" version="1.0" k vocabulary (rows of the model's head)
//                   vocabulary_sha256 (formats/model/fingerprint.h) model condition model_sha256
//     key           I32 [N, 8]  the 32 bytes of each record's key: see record_key
//     label_end     I32 [N]     record r has the labels [label_end[r-1], label_end[r])
//     labels        I32 [S]     token ids of the answers, with what ends them
//     ids           I32 [S, k]  the likeliest first; -1: there are no more
//     log_p         F32 [S, k]  natural logarithms of their probabilities, of the softmax over the
//                               vocabulary without gist tokens; NaN never stands there
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/top_predictions.h"
#include "formats/files/output_file.h"
#include "formats/files/sha256.h"
#include "formats/model/tensor_file.h"

namespace gist {

/// What the file says of the model and how it was asked.
struct LogProbabilityHeader {
  std::int32_t k = 20;
  std::int64_t vocabulary = 0;
  std::string vocabulary_sha256;
  std::string model;  // its name, for people
  std::string condition;
  std::string model_sha256;
};

/// Finds a record again in other data: the hash of its instruction, input and output, each with its
/// length before it (8 bytes, little-endian). A text that is missing is empty.
Sha256 record_key(std::string_view instruction, std::string_view input, std::string_view output);

/// Writes a file record by record; it appears whole, or not at all.
class LogProbabilityWriter {
 public:
  /// `labels` are the numbers of the records' labels: all that will come. Throws Error(usage) where
  /// the path is a pipe or a device, Error(data) where there are 2^31 labels or more, and as
  /// TemporaryFile.
  LogProbabilityWriter(const std::filesystem::path& path, const LogProbabilityHeader& header,
                       std::span<const std::int32_t> labels);
  ~LogProbabilityWriter();

  /// The next record. Throws Error(io).
  void add(const Sha256& key, std::span<const std::int32_t> labels,
           const TopPredictions& predictions);
  /// Throws as TemporaryFile::publish does.
  void publish(Existing existing);

 private:
  struct Layout;
  void write_bytes(std::size_t at, const void* bytes, std::size_t count);

  std::unique_ptr<Layout> layout_;
  TemporaryFile file_;
  std::int64_t records_ = 0, labels_ = 0;  // written
};

/// A file of a writer's, mapped.
class LogProbabilityFile {
 public:
  /// Checks sizes. Throws as read_safetensors, and Error(data) for what is no such file, or one of
  /// a newer version.
  explicit LogProbabilityFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return file_.file.path(); }
  const LogProbabilityHeader& header() const { return header_; }
  std::size_t records() const { return label_end_.size(); }
  /// The first record with this key.
  std::optional<std::uint32_t> find(const Sha256& key) const;
  std::span<const std::int32_t> labels(std::uint32_t record) const;
  /// Throws Error(data) where what stands there are no likeliest ids and their logarithms.
  TopPredictions read(std::uint32_t record) const;
  /// The hash of all bytes, in lower-case hex.
  std::string sha256() const;

 private:
  struct KeyHash {
    std::size_t operator()(const Sha256& key) const;
  };

  std::int32_t first_label(std::uint32_t record) const;

  TensorFile file_;
  LogProbabilityHeader header_;
  std::vector<std::int32_t> label_end_, labels_;
  std::unordered_map<Sha256, std::uint32_t, KeyHash> places_;
  const std::byte* ids_ = nullptr;    // [S, k], perhaps unaligned
  const std::byte* log_p_ = nullptr;  // likewise
};

}  // namespace gist
