#!/usr/bin/env python3
"""Layers point down: a file of include/ and src/ includes its own layer and lower ones.

The table below is that of docs/design.md, section 2. A file without a row is an error, and so is an include in quotes
without a file.
"""

import fnmatch
import os
import pathlib
import re
import sys

# Layer, and the files that belong to it.
LAYERS = [
    (0, "include/stele/version.hpp include/stele/error.hpp src/base/*"),
    (1, "include/stele/dtype.hpp include/stele/array.hpp include/stele/io.hpp include/stele/storage.hpp src/array/* src/io/*"),
    (2, "include/stele/codec.hpp include/stele/block_codec.hpp src/encoding/* src/codec/*"),
    (3, "include/stele/visitor.hpp include/stele/reflect* include/stele/walk* include/stele/types.hpp "
        "include/stele/metadata.hpp include/stele/random.hpp src/format/*"),
    (4, "include/stele/archive.hpp include/stele/lazy_array.hpp include/stele/options.hpp include/stele/hash.hpp "
        "include/stele/appender.hpp include/stele/appended_array.hpp include/stele/describe.hpp "
        "include/stele/value.hpp include/stele/sharded_archive.hpp src/archive/*"),
    # The contents page: it may include all of the above, which do not include it.
    (4.5, "include/stele/stele.hpp"),
    (5, "include/stele/interop.hpp src/interop/*"),
    (5, "include/stele/remote.hpp src/remote/*"),
    (6, "include/stele/cache.hpp include/stele/checkpoint.hpp include/stele/sharded.hpp include/stele/store.hpp "
        "include/stele/store/* include/stele/token_counts.hpp include/stele/filters/* include/stele/features/* "
        "include/stele/state_text.hpp src/services/*"),
    (6, "include/stele/eigen.hpp include/stele/eigen/* include/stele/mpi.hpp"),
    (7, "src/cli/* python/*"),
]

FOLDERS = ["include", "src", "python"]
SUFFIXES = {".hpp", ".h", ".cpp"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def layer_of(file):
    """The layer of a file, given from the top of the repository, or None."""
    for layer, patterns in LAYERS:
        if any(fnmatch.fnmatchcase(file, pattern) for pattern in patterns.split()):
            return layer
    return None


def resolve(root, file, name):
    """The file that an include means, from the top of the repository, or None for one of another project."""
    own = ["python/src"] if file.startswith("python/") else []
    for folder in ["include", *own, "src", "", os.path.dirname(file)]:
        candidate = os.path.normpath(os.path.join(folder, name))
        if (root / candidate).is_file():
            return candidate.replace(os.sep, "/")
    return None


def check(root):
    errors = []
    files = sorted(path.relative_to(root).as_posix() for folder in FOLDERS for path in (root / folder).rglob("*")
                   if path.suffix in SUFFIXES)
    for file in files:
        layer = layer_of(file)
        if layer is None:
            errors.append(f"{file}: belongs to no layer; give it a layer in tests/repository/layers_test.py")
            continue
        text = (root / file).read_text(encoding="utf-8")
        for match in INCLUDE.finditer(text):
            quote, name = match.groups()
            where = f"{file}:{text.count(chr(10), 0, match.start()) + 1}"
            target = resolve(root, file, name)
            if target is None:
                if quote == '"' or name.startswith("stele/"):
                    errors.append(f"{where}: includes {name}, which does not exist")
                continue
            target_layer = layer_of(target)  # None is reported where the file itself is checked
            if target_layer is not None and target_layer > layer:
                errors.append(f"{where}: layer {layer:g} includes {target} of layer {target_layer:g}")
    return files, errors


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    files, errors = check(root)
    for error in errors:
        print(error, file=sys.stderr)
    print(f"{len(files)} files, {len(errors)} errors")
    return 1 if errors or not files else 0


if __name__ == "__main__":
    sys.exit(main())
