// The options by which records are read: --fields and --max-record-bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "formats/model/prompt_template.h"
#include "formats/records/record_reader.h"

namespace gist {

/// --fields and --max-record-bytes.
std::vector<OptionSpec> field_options();
/// RecordRequest holds what those options say.
struct RecordRequest {
  std::optional<std::string> fields;  // without it each has its own name
  std::size_t most_bytes = 0;         // of a record; 0: any length
};
RecordRequest record_request(const Options& options);

/// Returns the map that --fields gives. Throws Error(usage) where it maps a name that neither gist
/// nor the template reads: it would be misspelt.
FieldMap field_map(const RecordRequest& request, const PromptTemplate& prompt_template);

}  // namespace gist
