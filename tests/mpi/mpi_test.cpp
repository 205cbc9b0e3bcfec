// Saving and loading by the ranks of a communicator: run alone, and by mpirun_test.py with several.

#include "stele/mpi.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

#include "support/test_support.hpp"

namespace stele {
namespace {

class Mpi : public testing::Environment {
 public:
  void SetUp() override { MPI_Init(nullptr, nullptr); }
  void TearDown() override { MPI_Finalize(); }
};
const testing::Environment* const mpi_used = testing::AddGlobalTestEnvironment(new Mpi);

/// A folder that all ranks have.
class CommonFolder {
 public:
  CommonFolder() : path_(mpi::broadcast(MPI_COMM_WORLD, folder_.path().string())) {}
  ~CommonFolder() { MPI_Barrier(MPI_COMM_WORLD); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  test::Folder folder_;
  const std::string path_;
};

void put_rows(ShardedWriter& out, int first, std::uint64_t total) {
  const auto [rank, ranks] = mpi::position(MPI_COMM_WORLD);
  Array<int, 2> part({10, 3});
  std::iota(part.mutable_data(), part.mutable_data() + part.size(), first + static_cast<int>(rank) * 30);
  out.put("rows", part, {total, 3}, {rank * std::uint64_t{10}, 0});
  out.put_value("first", first);
}

TEST(MpiArchive, IsSavedAndLoadedByAll) {
  const CommonFolder folder;
  const std::uint64_t total = mpi::position(MPI_COMM_WORLD).ranks * std::uint64_t{10};
  for (const int first : {5, 7}) {  // the second replaces the first
    const ShardedCommit made =
        mpi::save(MPI_COMM_WORLD, folder / "a", [&](ShardedWriter& out) { put_rows(out, first, total); });
    EXPECT_EQ(made.arrays, 1);
    EXPECT_GT(made.bytes, total * 12);
    const auto whole =
        mpi::load(MPI_COMM_WORLD, folder / "a", [](const File& file) { return file.load<Array<int, 2>>("rows"); });
    EXPECT_EQ(whole(total - 1, 2), first + static_cast<int>(total) * 3 - 1);
    mpi::load(MPI_COMM_WORLD, folder / "a", [&](const File& file) { EXPECT_EQ(file.load<int>("first"), first); });
  }
}

TEST(MpiArchive, AllThrowOrNone) {
  const CommonFolder folder;
  const auto [rank, ranks] = mpi::position(MPI_COMM_WORLD);
  const unsigned last = ranks - 1;
  const std::uint64_t total = ranks * std::uint64_t{10};
  const auto save = [&](const auto& write) { mpi::save(MPI_COMM_WORLD, folder / "a", write); };
  save([&](ShardedWriter& out) { put_rows(out, 1, total); });
  const std::string who = "rank " + std::to_string(last);
  EXPECT_ERROR(save([&](ShardedWriter& out) {
                 put_rows(out, 2, total);
                 if (rank == last) {
                   fail(Errc::out_of_range, "no more", {.path = "x"});
                 }
               }),
               Errc::out_of_range, rank == last ? "no more" : who + ": no more");
  try {
    save([&](ShardedWriter& out) {
      put_rows(out, 2, total);
      if (rank == last) {
        throw std::runtime_error("its own");
      }
    });
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(rank, last);
    EXPECT_NE(std::string(error.what()).find(who + ": its own"), std::string::npos) << error.what();
  } catch (const std::runtime_error&) {
    EXPECT_EQ(rank, last);
  }
  EXPECT_ERROR(save([&](ShardedWriter& out) { put_rows(out, 2, total + 1); }), Errc::invalid_argument, "gap");
  const auto file = open(folder / "a");
  EXPECT_EQ(file.load<int>("first"), 1);
  EXPECT_EQ((file.load<Array<int, 2>>("rows")(total - 1, 2)), static_cast<int>(total) * 3);
  EXPECT_ERROR(mpi::load(MPI_COMM_WORLD, folder / "none", [](const File&) {}), Errc::not_found, "none");
  MPI_Barrier(MPI_COMM_WORLD);
  // The parts of attempts that were given up before the commit are gone; those of the one that left a gap wait.
  EXPECT_EQ(open_storage(folder / "a")->list("shards/").size(), 2 * ranks);
}

}  // namespace
}  // namespace stele
