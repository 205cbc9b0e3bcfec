#!/usr/bin/env python3
"""Public headers include the standard library and each other, and nothing else: no header of a dependency.

The tests headers.* check that each compiles alone, see tests/CMakeLists.txt.
"""

import pathlib
import re
import sys

# Adapters may include what they adapt.
ADAPTERS = {"stele/eigen.hpp": re.compile(r"Eigen/\w+")}

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


def main():
    headers, errors = check(pathlib.Path(__file__).resolve().parents[2] / "include")
    for error in errors:
        print(error, file=sys.stderr)
    print(f"{len(headers)} headers, {len(errors)} errors")
    return 1 if errors or not headers else 0


if __name__ == "__main__":
    sys.exit(main())
