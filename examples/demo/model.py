"""Opens the model that examples/demo wrote in C++, and saves objects of Python beside it: model.py FOLDER."""

import pathlib
import sys

import numpy as np

import stele


def main(folder):
    path = folder / "model.stele"
    with stele.open(path) as file:
        print(f"{path.name} in Python:")
        print(file.tree())
    mapped = stele.load(path, mmap_mode="r")
    print(f"its parts: {', '.join(mapped)}")

    results = {"scores": np.linspace(0, 1, 100_000), "notes": ["from", ("Python", {"sets", "too"})], "model": mapped}
    stele.dump(results, folder / "results.stele.zst", metadata={"by": "examples/demo/model.py"})
    back = stele.load(folder / "results.stele.zst")
    assert (back["scores"] == results["scores"]).all() and back["notes"] == results["notes"]
    with stele.open(folder / "results.stele.zst") as file:
        print(f"results.stele.zst: rows 10 to 12 of scores are {file['scores'][10:13]}")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
