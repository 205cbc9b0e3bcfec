// FeatureStore::build(): threads take batches of a stream in turn. Bits are set atomically in any order. Each thread
// collects new features with the place of their first occurrence; at the end they are ordered by it.

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/threads/crew.hpp"
#include "base/threads/threads.hpp"
#include "services/features/pair.hpp"
#include "stele/features/feature_store.hpp"

namespace stele {

void FeatureBatch::add(KeyHash entity, const Feature& feature) {
  events_.push_back(
      {entity, feature.key(), feature.number(), text_.size(), feature.text().size(), feature.is_number()});
  text_ += feature.text();
}

void FeatureBatch::clear() noexcept {
  events_.clear();
  text_.clear();
}

class FeatureBuild {
 public:
  FeatureBuild(FeatureStore& store, const FeatureSource& source) : store_(store), source_(source) {
    (void)store_.filters_.front().own_words();
    store_.known_.prepare_marks();
  }
  FeatureBuild(const FeatureBuild&) = delete;
  FeatureBuild& operator=(const FeatureBuild&) = delete;

  void run(unsigned threads) {
    Crew crew(threads);
    crew.run([this] { work(); });
    add_found();
    if (error_ != nullptr) {
      std::rethrow_exception(error_);
    }
  }

 private:
  /// The place of a feature's first occurrence in the stream.
  struct Place {
    std::uint64_t batch;
    std::size_t event;
  };
  /// The new features that one thread found.
  struct Found {
    KnownFeatures features;
    std::vector<Place> places;  // one for each feature
  };

  void work() noexcept {
    Found found;
    try {
      FeatureBatch batch;
      std::vector<KeyHash> pairs;
      while (const auto number = take(batch)) {
        pairs.clear();
        for (std::size_t i = 0; i < batch.size(); ++i) {
          note(batch, i, *number, found);
          pairs.push_back(entity_with(batch.events_[i].entity, batch.events_[i].feature.hash()));
        }
        store_.filters_.front().add_many_atomic(pairs);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      stop(std::current_exception());
    }
    const std::lock_guard lock(mutex_);
    try {
      found_.push_back(std::move(found));
    } catch (...) {
      stop(std::current_exception());
    }
  }

  /// Fills the batch and returns its number; nothing at the end.
  std::optional<std::uint64_t> take(FeatureBatch& batch) {
    const std::lock_guard lock(mutex_);
    batch.clear();
    if (ended_) {
      return std::nullopt;
    }
    try {
      source_(batch);
    } catch (...) {
      stop(std::current_exception());  // the pairs already in the batch are added
    }
    ended_ = ended_ || batch.size() == 0;
    return batch.size() == 0 ? std::nullopt : std::optional(batches_++);
  }

  void stop(std::exception_ptr error) noexcept {
    ended_ = true;
    if (error_ == nullptr) {
      error_ = std::move(error);
    }
  }

  void note(const FeatureBatch& batch, std::size_t event_index, std::uint64_t batch_number, Found& found) {
    const FeatureBatch::Event& event = batch.events_[event_index];
    if (const auto index = store_.known_.find(event.feature)) {
      store_.known_.mark_atomic(*index, store_.rotations_);
    } else if (!found.features.find(event.feature)) {
      found.places.push_back({batch_number, event_index});
      found.features.add(event.is_number ? Feature(event.number)
                                         : Feature(std::string_view(batch.text_).substr(event.begin, event.length)));
    }
  }

  void add_found() {
    struct One {
      Place place;
      const KnownFeatures* features;
      std::uint32_t index;
    };
    std::vector<One> in_order;
    for (const Found& part : found_) {
      for (std::uint32_t i = 0; i < part.features.size(); ++i) {
        in_order.push_back({part.places[i], &part.features, i});
      }
    }
    std::sort(in_order.begin(), in_order.end(), [](const One& a, const One& b) {
      return std::pair(a.place.batch, a.place.event) < std::pair(b.place.batch, b.place.event);
    });
    for (const One& one : in_order) {
      const auto number = one.features->number(one.index);
      store_.known_.add(number ? Feature(*number) : Feature(one.features->name(one.index)), store_.rotations_);
    }
  }

  FeatureStore& store_;
  const FeatureSource& source_;
  std::mutex mutex_;
  std::vector<Found> found_;
  std::exception_ptr error_;
  std::uint64_t batches_ = 0;
  bool ended_ = false;
};

void FeatureStore::build(const FeatureSource& source, unsigned threads) {
  require_capacity();
  FeatureBuild(*this, source).run(thread_count(threads));
}

}  // namespace stele
