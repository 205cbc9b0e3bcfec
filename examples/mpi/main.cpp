// A matrix whose rows are spread over the ranks of MPI: saved by any number of them, loaded by any other.
//
//   mpirun -n 4 mpi save matrix
//   mpirun -n 3 mpi load matrix
//
// Without arguments it does both. `save` takes a number that the elements begin with.

#include <mpi.h>
#include <stele/mpi.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

constexpr std::uint64_t rows = 1003;
constexpr std::uint64_t columns = 257;

/// The rows of one rank.
struct Share {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
Share share_of(stele::mpi::Position here) {
  const std::uint64_t first = rows * here.rank / here.ranks;
  return {first, rows * (here.rank + 1) / here.ranks - first};
}

double element(double begin, std::uint64_t row, std::uint64_t column) {
  return begin + static_cast<double>(row * columns + column);
}

void save(const std::string& place, double begin) {
  const Share mine = share_of(stele::mpi::position(MPI_COMM_WORLD));
  stele::Array<double, 2> part({mine.count, columns});
  for (std::uint64_t row = 0; row < mine.count; ++row) {
    for (std::uint64_t column = 0; column < columns; ++column) {
      part.mutable_at(row, column) = element(begin, mine.first + row, column);
    }
  }
  stele::mpi::save(MPI_COMM_WORLD, place, [&](stele::ShardedWriter& out) {
    out.put("model/matrix", part, {rows, columns}, {mine.first, 0});
    out.put_value("model/begin", begin);
  });
}

void load(const std::string& place) {
  const stele::mpi::Position here = stele::mpi::position(MPI_COMM_WORLD);
  const Share mine = share_of(here);
  double begin = 0;
  const auto part = stele::mpi::load(MPI_COMM_WORLD, place, [&](const stele::File& file) {
    begin = file.load<double>("model/begin");
    return file.array<double, 2>("model/matrix").rows(mine.first, mine.count);
  });
  for (std::uint64_t row = 0; row < mine.count; ++row) {
    for (std::uint64_t column = 0; column < columns; ++column) {
      if (part(row, column) != element(begin, mine.first + row, column)) {
        stele::fail(stele::Errc::damaged, "another element than was saved");
      }
    }
  }
  if (here.rank == 0) {
    std::printf("%u ranks loaded %llu rows that begin with %g\n", here.ranks, static_cast<unsigned long long>(rows),
                begin);
  }
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const std::string what = argc > 1 ? argv[1] : "both";
  const std::string place = argc > 2 ? argv[2] : "matrix";
  int result = 0;
  try {
    if (what != "load") {
      save(place, argc > 3 ? std::atof(argv[3]) : 0.5);
    }
    if (what != "save") {
      load(place);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    result = 1;
  }
  MPI_Finalize();
  return result;
}
