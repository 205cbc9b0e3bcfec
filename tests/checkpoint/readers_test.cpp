// All ways to read a linked archive agree, over random steps of an object with values of every kind.

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <numeric>
#include <set>

#include "stele/checkpoint.hpp"
#include "stele/value.hpp"
#include "support/test_support.hpp"

namespace stele {
namespace {

using test::content;
using test::Folder;

struct Row {
  std::int32_t id = 0;
  float score = 0;
};
struct Node {
  std::shared_ptr<Node> next;
  std::vector<std::int64_t> numbers;
};
struct Layer {
  std::string name;
  Array<float, 2> weights;
  std::optional<Array<double, 1>> bias;
};

struct Everything {
  std::uint64_t step = 0;
  std::string text;  // up to some MiB, before the arrays: all of them move
  std::vector<Layer> layers;
  std::vector<Array<float, 2>> views;  // of one buffer
  Array<std::int16_t, 3> columns;      // column-major
  std::vector<bool> bits;
  std::vector<Row> rows;
  std::shared_ptr<Node> ring;
  std::shared_ptr<Node> chain;  // deep enough to be stored in sequence
  std::deque<std::uint32_t> queue;
  std::map<std::string, std::vector<double>> history;
  std::vector<std::string> notes;
};

class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {
    value.ring = std::make_shared<Node>();
    value.ring->next = value.ring;
    value.ring->numbers.assign(20'000, 3);
    for (int i = 0; i < 150; ++i) {
      const auto next = std::make_shared<Node>();
      next->next = value.chain;
      next->numbers.assign(i % 50 == 0 ? 12'000 : 3, i);
      value.chain = next;
    }
    view_anew();
    value.columns = Array<std::int16_t, 3>({40, 30, 50}, Order::column_major);
    value.bits.assign(550'000, true);
    value.rows.resize(20'000);
    value.queue.assign(30'000, 5);
    value.text = "begin";
    for (int i = 0; i < 3; ++i) {
      add_layer();
    }
  }
  ~Model() { value.ring->next.reset(); }

  /// One to three changes.
  void change() {
    ++value.step;
    for (std::uint64_t n = random_() % 3 + 1; n > 0; --n) {
      switch (random_() % 14) {
        case 0:
          add_layer();
          break;
        case 1:
          value.layers.erase(value.layers.begin() + static_cast<std::ptrdiff_t>(random_() % value.layers.size()));
          if (value.layers.empty()) {
            add_layer();
          }
          break;
        case 2: {  // one element: one piece of it
          Array<float, 2>& weights = value.layers[random_() % value.layers.size()].weights;
          weights.mutable_data()[random_() % weights.size()] += 1;
          break;
        }
        case 3:
          std::swap(value.layers.front(), value.layers.back());
          break;
        case 4:
          value.text.resize(random_() % 5 == 0 ? random_() % 2'000'000 : random_() % 300, 'x');
          break;
        case 5:
          view_anew();
          break;
        case 6:
          value.columns.mutable_data()[random_() % value.columns.size()] = static_cast<std::int16_t>(random_());
          break;
        case 7: {
          const std::size_t at = random_() % value.bits.size();
          value.bits[at] = !value.bits[at];
          break;
        }
        case 8:
          value.rows.resize(9'000 + random_() % 20'000, {7, 0.5F});
          break;
        case 9:
          value.ring->numbers[random_() % value.ring->numbers.size()] ^= 1;
          break;
        case 10:
          value.chain->next->next->numbers.resize(random_() % 30'000);
          break;
        case 11:
          value.queue.push_back(static_cast<std::uint32_t>(random_()));
          break;
        case 12:
          value.history["loss"].resize(value.history["loss"].size() + random_() % 9'000, 0.25);
          break;
        default:
          value.notes.push_back(std::string(random_() % 70, 'n'));
      }
    }
  }
  std::uint64_t number() { return random_(); }
  Everything value;

 private:
  void add_layer() {
    const std::uint64_t columns = 1 + random_() % 700;
    Layer& layer = value.layers.emplace_back();
    layer.name = "layer " + std::to_string(random_());
    layer.weights = Array<float, 2>({60 + random_() % 900, columns});
    std::iota(layer.weights.mutable_data(), layer.weights.mutable_data() + layer.weights.size(),
              static_cast<float>(random_() % 100));
    if (random_() % 2 == 0) {
      layer.bias = Array<double, 1>({columns});
    }
  }
  void view_anew() {
    Array<float, 2> whole({400, 300});
    whole.mutable_at(3, 4) = static_cast<float>(random_() % 1000);
    value.views = {whole, Array<float, 2>(whole.buffer(), whole.data() + 30 * 300, {200, 300}, {300, 1}),
                   Array<float, 2>(whole.buffer(), whole.data() + 1, {400, 100}, {300, 3})};
  }
  std::mt19937_64 random_;
};

/// Parts of an open file are those of the object.
void check_parts(const File& file, const Everything& wanted, Model& model) {
  ASSERT_EQ(file.load<std::uint64_t>("step"), wanted.step);
  const std::size_t i = model.number() % wanted.layers.size();
  const std::string path = "layers/" + std::to_string(i) + "/weights";
  const Array<float, 2>& weights = wanted.layers[i].weights;
  ASSERT_EQ((file.load<Array<float, 2>>(path)), weights);
  const LazyArray<float, 2> lazy = file.array<float, 2>(path);
  const std::uint64_t rows = weights.shape()[0];
  const std::uint64_t first = model.number() % rows;
  const Array<float, 2> some = lazy.rows(first, rows - first);
  ASSERT_TRUE(std::equal(some.data(), some.data() + some.size(), weights.data() + first * weights.shape()[1]));
  const std::vector<std::uint64_t> picked{rows - 1, first, 0};
  const Array<float, 2> gathered = lazy.gather(picked);
  for (std::size_t row = 0; row < picked.size(); ++row) {
    ASSERT_EQ(gathered(row, 0), weights(picked[row], 0));
  }
  std::uint64_t at = 0;
  for (const Array<float, 2>& batch : lazy.batches(100)) {
    ASSERT_EQ(batch(0, 0), weights(at, 0));
    at += batch.shape()[0];
  }
  ASSERT_EQ(at, rows);
  ASSERT_EQ((file.load<Array<std::int16_t, 3>>("columns")), wanted.columns);
  ASSERT_EQ((file.array<std::int16_t, 3>("columns").rows(7, 2)(1, 5, 6)), wanted.columns(8, 5, 6));
  ASSERT_EQ((file.load<Array<float, 2>>("views/2")), wanted.views[2]);
  ASSERT_EQ(file.load<std::vector<bool>>("bits"), wanted.bits);
}

/// STELE_STEPS makes it longer.
TEST(LinkedArchive, IsTheSameToAllReaders) {
  const Folder place;
  const std::string path = place / "kept";
  const char* const wanted = std::getenv("STELE_STEPS");
  const int steps = wanted != nullptr ? std::atoi(wanted) : test::sanitized ? 15 : 50;
  Model model(static_cast<unsigned>(steps));
  std::map<std::uint64_t, std::vector<std::byte>> saved;  // as ordinary archives
  std::uint64_t referred = 0;
  std::size_t most_files = 0;
  Checkpoints kept = Checkpoints::open(path, {.keep_last = 6, .sync = Sync::none, .threads = 2});
  const auto check = [&](std::uint64_t step, const Everything* whole) {
    const Verify verify[] = {Verify::automatic, Verify::none, Verify::directory, Verify::full};
    CheckpointRestore what{.step = step, .verify = verify[model.number() % 4]};
    const MapMode map[] = {MapMode::none, MapMode::read_only, MapMode::copy_on_write};
    what.map = map[model.number() % 3];
    Everything found = kept.restore<Everything>(what);
    EXPECT_TRUE(to_bytes(found) == saved.at(step)) << step;
    found.ring->next.reset();
    const std::string file = kept.info(step).file;
    const LoadOptions loading{.map = what.map, .verify = what.verify, .threads = model.number() % 2 == 0 ? 1U : 4U};
    found = load<Everything>(file, loading);
    EXPECT_TRUE(to_bytes(found) == saved.at(step)) << step;
    found.ring->next.reset();
    if (whole != nullptr) {
      check_parts(open(file, loading), *whole, model);
    }
  };
  for (int i = 0; i < steps; ++i) {
    model.change();
    const std::uint64_t step = model.value.step;
    saved[step] = to_bytes(model.value);
    if (model.number() % 3 == 0) {
      kept.save_later(step, model.value);
      kept.wait();
    } else {
      kept.save(step, model.value);
    }
    if (model.number() % 9 == 0) {
      const std::vector<std::uint64_t> all = kept.steps();
      kept.remove(all[model.number() % (all.size() - 1)]);
    }
    if (model.number() % 9 == 0) {
      model.change();
      --model.value.step;  // another object of the same step
      saved[step] = to_bytes(model.value);
      kept.save(step, model.value, {.overwrite = true});
    }
    referred += kept.info(step).referred;
    check(step, &model.value);
    const std::vector<std::uint64_t> all = kept.steps();
    check(all[model.number() % all.size()], nullptr);
    if (model.number() % 10 == 0) {
      kept.open_step(step).verify();
      kept.export_to(step, place / "exported.stele");
      Everything found = load<Everything>(place / "exported.stele");
      EXPECT_TRUE(to_bytes(found) == saved.at(step));
      found.ring->next.reset();
      // byte for byte what its readers see
      EXPECT_EQ(std::filesystem::file_size(place / "exported.stele"), kept.info(step).bytes);
    }
    most_files = std::max(most_files, static_cast<std::size_t>(kept.stats().parts));
    ASSERT_FALSE(HasFailure()) << "step " << step;
  }
  EXPECT_EQ(kept.verify().damaged.size(), 0);
  EXPECT_GT(referred, static_cast<std::uint64_t>(steps) << 20);
  EXPECT_LT(most_files, 80);
}

}  // namespace
}  // namespace stele
