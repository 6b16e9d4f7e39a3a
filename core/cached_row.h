// A row whose keys stand in the cache from pass to pass: which keys it still sees, and in which
// slots.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/batch.h"
#include "core/gist_activations.h"
#include "core/key_value_cache.h"
#include "core/pass.h"

namespace gist {

struct CachedRow {
  std::vector<std::int32_t> slot, position, begin, end;  // of each key that is kept, as in KeyList
  std::vector<std::int32_t> blocks;                      // of the cache, held by the row
  std::int32_t free_in_last = 0;                         // unused slots of the last block
  std::int32_t queries = 0;         // tokens that went through the model so far
  std::int32_t first_position = 0;  // of query 0: behind the stored gist, if any
};

/// A pass over cached rows, while it is put together.
struct CachedBatch {
  Batch batch;
  PassOptions options;
  void clear();
};

/// Blocks that `keys` keys take.
std::int32_t blocks_for(std::int32_t keys);

/// Puts a stored gist in front of an empty row. Its first token stands at `position`; everything in
/// the row sees it. The pass over `batch` writes its keys: until then `gist` must live.
void place_gist(CachedRow& row, const GistActivations& gist, std::int32_t position,
                KeyValueCache& cache, CachedBatch& batch);
/// Adds the row's next tokens to the batch, as queries and as keys. `gists` are theirs; tokens
/// after a gist of the row (generated ones, or an input behind a stored gist) have none and come
/// under pos. In a bidirectional stack they must be all that there are.
void extend_row(CachedRow& row, std::span<const std::int32_t> ids, std::span<const Interval> gists,
                Condition condition, StackKind stack, KeyValueCache& cache, CachedBatch& batch);
/// Adds a row that is read in this pass alone: behind its stored gist (null: none), as place_gist
/// does, through the cache that the batch's options name. Where they name none, no row has a gist.
void add_whole_row(const Sequence& sequence, Condition condition, const GistActivations* stored,
                   std::int32_t stored_position, StackKind stack, CachedBatch& batch);
/// Gives a row slots for `count` rows of the encoder's output, at positions 0 .. count - 1, which
/// all its queries see, and has the pass write their keys there.
void read_encoder(CachedRow& row, std::int32_t count, KeyValueCache& cache, CachedBatch& batch);
/// Adds the keys of a row's cross-attention, for the queries that the batch's last row has.
void attend_encoder(const CachedRow& row, CachedBatch& batch);
/// Forgets keys that no later query sees, and gives back blocks that hold none that is kept.
void drop_hidden_keys(CachedRow& row, KeyValueCache& cache);
/// Gives back everything.
void release_row(CachedRow& row, KeyValueCache& cache);

}  // namespace gist
