// The options by which records are read: --fields and --max-record-bytes.
#pragma once

#include <cstddef>
#include <vector>

#include "cli/options.h"
#include "formats/model/prompt_template.h"
#include "formats/records/record_reader.h"

namespace gist {

/// --fields and --max-record-bytes.
std::vector<OptionSpec> field_options();
/// Returns the map that --fields gives, an empty one without it. Throws Error(usage) where it maps
/// a name that neither gist nor the template reads: it would be misspelt.
FieldMap field_map(const Options& options, const PromptTemplate& prompt_template);

/// Returns what --max-record-bytes says; 0 stands for any length.
std::size_t max_record_bytes(const Options& options);

}  // namespace gist
