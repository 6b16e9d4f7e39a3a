// The ids of words that came before: words come again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gist {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

/// Each call borrows one of the dictionaries, so that threads don't wait for each other: there are
/// as many as calls have run at once.
class WordCache {
 public:
  using Words =
      std::unordered_map<std::string, std::vector<std::int32_t>, TextHash, std::equal_to<>>;
  static constexpr std::size_t longest_word = 256;  // bytes; longer ones are seldom words
  static constexpr std::size_t most_words = std::size_t{1} << 16;

  /// Gives the dictionary back at its end.
  class Lease {
   public:
    explicit Lease(WordCache& cache) : cache_(&cache), words_(cache.borrow()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { cache_->give_back(std::move(words_)); }

    /// Appends the ids of the word; encode(word, ids) appends them where they aren't known.
    template <typename Encode>
    void append(std::string_view word, std::vector<std::int32_t>& ids, Encode&& encode) {
      if (word.size() > longest_word) return encode(word, ids);
      const auto known = words_->find(word);
      if (known != words_->end()) {
        ids.insert(ids.end(), known->second.begin(), known->second.end());
        return;
      }
      const std::size_t before = ids.size();
      encode(word, ids);
      if (words_->size() >= most_words) words_->clear();
      words_->try_emplace(std::string(word), ids.begin() + static_cast<std::ptrdiff_t>(before),
                          ids.end());
    }

   private:
    WordCache* cache_;
    std::unique_ptr<Words> words_;
  };

 private:
  std::unique_ptr<Words> borrow() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Words>();
    std::unique_ptr<Words> words = std::move(idle_.back());
    idle_.pop_back();
    return words;
  }
  void give_back(std::unique_ptr<Words> words) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(words));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Words>> idle_;
};

}  // namespace gist
