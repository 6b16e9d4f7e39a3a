#include "formats/store/store_digest.h"

#include <span>

#include "formats/store/store_header_json.h"

namespace gist {

Sha256 store_digest(const GistStore& store) {
  StoreHeader header = store.header();
  header.creator.clear();
  Sha256Stream hash;
  hash.update(to_json(header).dump());
  for (std::uint64_t index = 0; index < store.rows(); ++index) {
    const StoreRow row = store.row(index);
    const std::uint64_t length = row.id.size();
    hash.update(std::as_bytes(std::span(&length, 1)));
    hash.update(row.id);
    hash.update(std::as_bytes(std::span(row.prompt_sha256)));
  }
  return hash.finish();
}

}  // namespace gist
