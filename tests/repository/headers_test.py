#!/usr/bin/env python3
"""Public headers include the standard library and each other, and nothing else: no header of a dependency. Each has a
test of its name.

The tests headers.* check that each compiles alone, see tests/CMakeLists.txt.
"""

import pathlib
import re
import sys

# Adapters may include what they adapt.
ADAPTERS = {"stele/eigen.hpp": re.compile(r"Eigen/\w+"), "stele/mpi.hpp": re.compile(r"mpi\.h")}

# Headers without a test of their name.
TESTED_ELSEWHERE = {
    "stele/eigen.hpp": "only includes",
    "stele/options.hpp": "tests of what the options control",
    "stele/remote.hpp": "remote/s3_test.cpp, remote/http_test.cpp",
    "stele/sharded_archive.hpp": "archive/sharded_test.cpp",
    "stele/reflect/count.hpp": "archive/reflect_test.cpp",
    "stele/reflect/fields.hpp": "archive/reflect_test.cpp",
    "stele/stele.hpp": "only includes",
    "stele/store/options.hpp": "tests of what the options control",
    "stele/version.hpp": "constants",
    "stele/visitor.hpp": "interfaces, which every test in walk/ goes through",
    "stele/walk.hpp": "only includes",
    "stele/walk/refused.hpp": "compile_fail/",
    "stele/walk/spelling.hpp": "compile_fail/inherited_visit*.cpp, walk/alike_test.cpp",
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]')
STANDARD = re.compile(r"[a-z_0-9]+")  # <vector>; a header of C, of POSIX or of a library has a dot or a slash


def check(include_dir):
    errors = []
    headers = sorted(path.relative_to(include_dir).as_posix() for path in include_dir.rglob("*") if path.is_file())
    for header in headers:
        lines = (include_dir / header).read_text(encoding="utf-8").splitlines()
        if "#pragma once" not in lines:
            errors.append(f"{header}: lacks #pragma once")
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            if match is None:
                continue
            quote, name = match.groups()
            if quote == '"':
                good = name.startswith("stele/") and name in headers
            else:
                adapted = ADAPTERS.get("stele/eigen.hpp" if header.startswith("stele/eigen/") else header)
                good = STANDARD.fullmatch(name) or (adapted is not None and adapted.fullmatch(name))
            if not good:
                errors.append(f"{header}:{number}: a public header must not have: {match.group().strip()}")
    return headers, errors


def check_tests(headers, tests_dir):
    """Each header has a test of its name: walk/keyed.hpp walk/keyed_test.cpp, hash.hpp archive/hash_test.cpp."""
    tests = {path.relative_to(tests_dir).as_posix() for path in tests_dir.glob("*/*_test.cpp")}
    names = {test.rpartition("/")[2] for test in tests}
    errors = []
    for header in headers:
        folder, _, stem = header.removeprefix("stele/").removesuffix(".hpp").rpartition("/")
        test = f"{stem}_test.cpp"
        found = f"{folder}/{test}" in tests if folder else test in names
        if found == (header in TESTED_ELSEWHERE):
            errors.append(f"{header}: {'is in TESTED_ELSEWHERE, but has a test' if found else 'has no test of its name'}")
    return errors


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    headers, errors = check(root / "include")
    errors += check_tests(headers, root / "tests")
    for error in errors:
        print(error, file=sys.stderr)
    print(f"{len(headers)} headers, {len(errors)} errors")
    return 1 if errors or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
