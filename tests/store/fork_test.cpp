// Stores in the children of fork().

#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "store/support.hpp"

namespace stele {
namespace {

using test::error_of;
using test::fresh;

TEST(StoreFork, AChildDoesNotKeepTheLockThatItsParentGaveUp) {
  const std::string path = fresh("fork_lock");
  Store store = Store::open(path);
  store.put("a", 1);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[1]);
    char byte;
    [[maybe_unused]] const auto got = ::read(ends[0], &byte, 1);
    std::_Exit(0);
  }
  ::close(ends[0]);
  store.close();
  EXPECT_NO_THROW(Store::open(path).put("b", 2));
  ::close(ends[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
}

TEST(StoreFork, AChildThatLeavesItsCopyOfAStoreHarmsNothing) {
  const std::string path = fresh("fork_leave");
  std::map<int, std::string> model;
  auto store = std::make_unique<Store>(Store::open(path));
  for (int i = 0; i < 1000; ++i) {
    store->put(i, model[i] = std::to_string(i));
  }
  store->commit();
  store->put(1000, model[1000] = "not committed");
  auto range = std::make_unique<StoreItems>(store->items());
  auto it = range->begin();
  EXPECT_EQ(in_child([&] {
              range.reset();
              store.reset();
              return fine;
            }),
            fine);
  EXPECT_EQ(error_of([&] { Store::open(path).put("x", 1); }).code(), Errc::busy);
  for (int round = 0; round < 20; ++round) {  // pages that the range reads would be used again if it had lost its hold
    for (int i = 0; i < 1000; i += 3) {
      store->put(i, "round " + std::to_string(round));
    }
    store->commit();
  }
  std::size_t count = 0;
  for (; it != range->end(); ++it, ++count) {
    ASSERT_EQ(it->value.text(), model[static_cast<int>(it->key.integer())]);
  }
  EXPECT_EQ(count, model.size());
  range.reset();
  for (int i = 0; i < 1000; ++i) {
    if (i % 3 == 0) {
      model[i] = "round 19";
    }
    ASSERT_EQ(store->get<std::string>(i), model[i]);
  }
  store.reset();
  expect_whole(path, model);
}

TEST(StoreFork, AChildThatLeavesItsCopyOfABatchUndoesNothing) {
  const std::string path = fresh("fork_batch");
  std::map<int, std::string> model;
  auto store = std::make_unique<Store>(Store::open(path));
  auto batch = std::make_unique<StoreBatch>(store->batch());
  for (int i = 0; i < 1000; ++i) {
    batch->put(i, model[i] = std::string(10'000, 'x'));  // beyond the buffer
  }
  for (const bool batch_first : {true, false}) {
    EXPECT_EQ(in_child([&] {
                if (batch_first) {
                  batch.reset();
                }
                store.reset();
                return fine;
              }),
              fine);
  }
  batch->commit();
  store.reset();
  expect_whole(path, model);
}

TEST(StoreFork, AChildGetsAnErrorAndCanReopenTheStore) {
  const std::string path = fresh("fork_use");
  Store store = Store::open(path);
  store.put("a", 1);
  store.commit();
  store.put("b", std::string(2000, 'b'));  // in the buffer
  EXPECT_EQ(in_child([&] {
              const auto refused = [](auto&& action) {
                try {
                  action();
                } catch (const Error& error) {
                  return std::string_view(error.what()).find("after fork()") != std::string_view::npos;
                }
                return false;
              };
              const bool all = refused([&] { static_cast<void>(store.get<int>("a")); }) &&
                               refused([&] { static_cast<void>(store.view("b")); }) &&
                               refused([&] { store.put("c", std::string(1 << 20, 'c')); }) &&
                               refused([&] { store.commit(); }) && refused([&] { store.close(); }) &&
                               refused([&] { static_cast<void>(store.contains("x")); }) &&
                               refused([&] { static_cast<void>(store.items()); });
              const Store anew = Store::open(path, StoreMode::read_only);
              return all && anew.get<int>("a") == 1 && !anew.contains("b") ? fine : wrong;
            }),
            fine);
  EXPECT_EQ(store.get<std::string>("b"), std::string(2000, 'b'));
  store.close();
  EXPECT_EQ(Store::open(path).size(), 2U);
}

}  // namespace
}  // namespace stele
