// The ids of words that came before: words come again.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace gist {

/// Each call borrows one of the tables, so that threads don't wait for each other: there are as many
/// as calls have run at once.
class WordCache {
 private:
  /// Two lines of the processor's cache. A word has one place, which the last that came there has.
  struct Slot {
    std::uint8_t word_bytes = 0, ids = 0;
    std::array<char, 70> word;
    std::array<std::int32_t, 14> id;
  };
  static_assert(sizeof(Slot) == 128);
  using Table = std::vector<Slot>;
  static constexpr std::size_t slots = std::size_t{1} << 14;

 public:
  /// Gives the table back at its end.
  class Lease {
   public:
    explicit Lease(WordCache& cache) : cache_(&cache), table_(cache.borrow()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { cache_->give_back(std::move(table_)); }

    /// Appends the ids of a word that isn't empty; encode(word, ids) does so where they aren't known.
    template <typename Encode>
    void append(std::string_view word, std::vector<std::int32_t>& ids, Encode&& encode) {
      if (word.size() > std::tuple_size_v<decltype(Slot::word)>) return encode(word, ids);
      Slot& slot = (*table_)[std::hash<std::string_view>{}(word) % slots];
      if (std::string_view(slot.word.data(), slot.word_bytes) == word) {
        ids.insert(ids.end(), slot.id.begin(), slot.id.begin() + slot.ids);
        return;
      }
      const std::size_t before = ids.size();
      encode(word, ids);
      const std::size_t count = ids.size() - before;
      if (count > slot.id.size()) return;
      slot.word_bytes = static_cast<std::uint8_t>(word.size());
      slot.ids = static_cast<std::uint8_t>(count);
      std::copy(word.begin(), word.end(), slot.word.begin());
      std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(before), count, slot.id.begin());
    }

   private:
    WordCache* cache_;
    std::unique_ptr<Table> table_;
  };

 private:
  std::unique_ptr<Table> borrow() {
    const std::lock_guard lock(mutex_);
    idle_.reserve(idle_.size() + ++leases_);  // so that giving back can't fail
    if (idle_.empty()) return std::make_unique<Table>(slots);
    std::unique_ptr<Table> table = std::move(idle_.back());
    idle_.pop_back();
    return table;
  }
  void give_back(std::unique_ptr<Table> table) {
    const std::lock_guard lock(mutex_);
    --leases_;
    idle_.push_back(std::move(table));
  }

  std::mutex mutex_;
  std::size_t leases_ = 0;
  std::vector<std::unique_ptr<Table>> idle_;
};

}  // namespace gist
