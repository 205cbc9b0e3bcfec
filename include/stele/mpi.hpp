#pragma once
// Saving and loading by all ranks of an MPI communicator together: each writes its part of a sharded archive
// (stele/sharded_archive.hpp), rank 0 commits, and all ranks learn whether it succeeded. Header only; the component
// `mpi` brings MPI.
//
//   stele::mpi::save(MPI_COMM_WORLD, "model", [&](stele::ShardedWriter& out) {
//     out.put("weights", my_rows, {rows, columns}, {first_row, 0});
//   });
//   auto mine = stele::mpi::load(MPI_COMM_WORLD, "model", [&](const stele::File& file) {
//     return file.array<float, 2>("weights").rows(first_row, count);
//   });
//
// A rank that dies takes the others with it, as in any collective call: Open MPI ends the job. What was saved before is
// then still there, as nothing counts before the commit.

#include <mpi.h>

#include <climits>
#include <exception>
#include <optional>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "stele/sharded_archive.hpp"
#include "stele/storage.hpp"

namespace stele::mpi {

/// The number of a process in a communicator, and how many it has.
struct Position {
  unsigned rank = 0;
  unsigned ranks = 1;
};

/// Throws: Error(io) for what is not MPI_SUCCESS; only where MPI's own handler, which ends the job, was replaced.
inline void check(int result) {
  if (result != MPI_SUCCESS) {
    std::string text(MPI_MAX_ERROR_STRING, '\0');
    int length = 0;
    MPI_Error_string(result, text.data(), &length);
    text.resize(static_cast<std::size_t>(length));
    fail(Errc::io, "MPI: " + text);
  }
}

/// Of this process.
inline Position position(MPI_Comm comm) {
  int rank = 0;
  int ranks = 1;
  check(MPI_Comm_rank(comm, &rank));
  check(MPI_Comm_size(comm, &ranks));
  return {static_cast<unsigned>(rank), static_cast<unsigned>(ranks)};
}

/// Gives all ranks the text of `root`. Collective.
inline std::string broadcast(MPI_Comm comm, std::string text, int root = 0) {
  unsigned long long size = text.size();
  check(MPI_Bcast(&size, 1, MPI_UNSIGNED_LONG_LONG, root, comm));
  if (size > INT_MAX) {
    fail(Errc::limit_exceeded, "a text of more than 2 GiB between ranks");
  }
  text.resize(static_cast<std::size_t>(size));
  check(MPI_Bcast(text.data(), static_cast<int>(size), MPI_CHAR, root, comm));
  return text;
}

/// Runs `work` on every rank. If it throws on any, all throw: that rank its own exception, the others the Error of the
/// lowest such rank, with its number. Collective.
template <class Work>
void together(MPI_Comm comm, Work&& work) {
  const Position here = position(comm);
  std::exception_ptr own;
  std::optional<Error> error;
  try {
    std::forward<Work>(work)();
  } catch (const Error& thrown) {
    own = std::current_exception();
    error = thrown;
  } catch (const std::exception& thrown) {
    own = std::current_exception();
    error = Error(Errc::io, thrown.what());
  } catch (...) {
    own = std::current_exception();
    error = Error(Errc::io, "an exception of an unknown type");
  }
  int mine = own != nullptr ? static_cast<int>(here.rank) : INT_MAX;
  int first = INT_MAX;
  check(MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, comm));
  if (first == INT_MAX) {
    return;
  }
  int code = error ? static_cast<int>(error->code()) : 0;
  check(MPI_Bcast(&code, 1, MPI_INT, first, comm));
  const std::string message = broadcast(comm, error ? error->message() : "", first);
  const std::string path = broadcast(comm, error ? error->path() : "", first);
  const std::string file = broadcast(comm, error ? error->file() : "", first);
  if (own != nullptr) {
    std::rethrow_exception(own);
  }
  fail(static_cast<Errc>(code), "rank " + std::to_string(first) + ": " + message, {.path = path, .file = file});
}

/// Saves one archive: `write` is called with the ShardedWriter of each rank. options.attempt may stay empty: rank 0
/// chooses one. When it returns, on any rank, the archive is there and has replaced the one before; if it throws, all
/// ranks throw, and the one before is still there. Collective.
/// Throws: what `write` throws, what ShardedWriter and commit_sharded() throw.
template <class Write>
ShardedCommit save(MPI_Comm comm, const Path& place, Write&& write, ShardedOptions options = {}) {
  const Position here = position(comm);
  if (here.rank == 0 && options.attempt.empty()) {
    std::random_device random;
    options.attempt = "mpi";
    for (int i = 0; i < 4; ++i) {
      options.attempt += "-" + std::to_string(random());
    }
  }
  options.attempt = broadcast(comm, std::move(options.attempt));
  std::optional<ShardedWriter> out;
  try {
    together(comm, [&] {
      out.emplace(place, here.rank, here.ranks, options);
      std::forward<Write>(write)(*out);
      out->close();
    });
  } catch (...) {
    if (out) {
      out->discard();
    }
    throw;
  }
  ShardedCommit made;
  together(comm, [&] {
    if (here.rank == 0) {
      made = commit_sharded(place, here.ranks, options.attempt, options);
    }
  });
  unsigned long long numbers[] = {made.arrays, made.bytes};
  check(MPI_Bcast(numbers, 2, MPI_UNSIGNED_LONG_LONG, 0, comm));
  made.attempt = options.attempt;
  made.ranks = here.ranks;
  made.arrays = numbers[0];
  made.bytes = numbers[1];
  return made;
}

/// Opens an archive on all ranks and returns what `read` makes of the File on each. All ranks read the same archive,
/// also if it is replaced meanwhile. If it throws on one rank, all throw. Collective. Throws: what open() and `read`
/// throw; Error(busy) where the archive is replaced again and again.
template <class Read>
auto load(MPI_Comm comm, const Path& place, Read&& read, const LoadOptions& options = {})
    -> std::invoke_result_t<Read, const File&> {
  using Result = std::invoke_result_t<Read, const File&>;
  const Position here = position(comm);
  const auto state = [&] {  // of the manifest; nothing of an archive that is one file
    const auto found = open_storage(place)->find("manifest.stele");
    return found ? found->etag : std::string();
  };
  std::optional<File> file;
  constexpr int tries = 10;
  for (int left = tries;;) {
    std::string before;
    together(comm, [&] { before = here.rank == 0 ? state() : ""; });
    together(comm, [&] { file.emplace(open(place, options)); });
    int same = 1;
    together(comm, [&] { same = here.rank == 0 && state() != before ? 0 : 1; });
    check(MPI_Bcast(&same, 1, MPI_INT, 0, comm));
    if (same != 0) {
      break;
    }
    if (--left == 0) {
      fail(Errc::busy, "the archive was replaced each time it was opened", {.file = place.text()});
    }
  }
  if constexpr (std::is_void_v<Result>) {
    together(comm, [&] { std::forward<Read>(read)(std::as_const(*file)); });
  } else {
    std::optional<Result> result;
    together(comm, [&] { result.emplace(std::forward<Read>(read)(std::as_const(*file))); });
    return *std::move(result);
  }
}

}  // namespace stele::mpi
