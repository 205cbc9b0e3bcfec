"""Compiles small C++ programs against the library of a build folder, for tests that are scripts."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

SKIPPED = 77
SOURCE_DIR = pathlib.Path(os.environ.get("STELE_SOURCE_DIR") or pathlib.Path(__file__).resolve().parents[2])


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def build_dir():
    folder = os.environ.get("STELE_BUILD_DIR")
    if not folder or not (pathlib.Path(folder) / "CMakeCache.txt").is_file():
        skip("STELE_BUILD_DIR names no build folder")
    return pathlib.Path(folder)


def cache(folder):
    """The variables of CMakeCache.txt."""
    entries = re.findall(r"^([^#/\n:=]+):\w+=(.*)$", (folder / "CMakeCache.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return dict(entries)


class Compiler:
    """The compiler, the flags and the libraries of a build folder."""

    def __init__(self):
        folder = build_dir()
        variables = cache(folder)
        libraries = sorted(folder.glob("**/libstele.a")) or sorted(folder.glob("**/libstele.so"))
        if not libraries:
            skip(f"no libstele below {folder}")
        self.library = libraries[0]
        launcher = variables.get("STELE_CCACHE_PROGRAM", "") if variables.get("STELE_CCACHE") == "ON" else ""
        self.command = [launcher] if os.path.exists(launcher) else []
        self.command += [variables["CMAKE_CXX_COMPILER"], "-std=c++20", *shlex.split(variables.get("CMAKE_CXX_FLAGS", ""))]
        self.include = [f"-I{SOURCE_DIR / 'include'}"]
        eigen = pathlib.Path(variables.get("Eigen3_DIR", "")).parent.parent.parent / "include" / "eigen3"
        self.has_eigen = eigen.is_dir()
        if self.has_eigen:
            self.include += ["-isystem", str(eigen)]
        # Whatever the build found; what a program does not need is not linked.
        found = [value for name, value in variables.items()
                 if "_LIBRARY" in name and re.search(r"\.(so|a)$", value) and os.path.isfile(value)]
        components = sorted(map(str, self.library.parent.glob(f"libstele_*{self.library.suffix}")))
        self.link = [f"-Wl,-rpath,{self.library.parent}", "-Wl,--start-group", *components, "-Wl,--end-group",
                     str(self.library), "-Wl,--as-needed", *sorted(set(found)), "-pthread"]

    def has_header(self, name):
        preprocessed = subprocess.run([*self.command, *self.include, "-x", "c++", "-E", "-"], input=f"#include <{name}>\n",
                                      capture_output=True, text=True, check=False)
        return preprocessed.returncode == 0

    def compile(self, source, program, libraries=()):
        """Returns what the compiler said; raises RuntimeError with it where it failed."""
        compiled = subprocess.run(
            [*self.command, "-Wall", "-Wextra", *self.include, "-c", str(source), "-o", f"{program}.o"],
            capture_output=True, text=True, check=False)
        if compiled.returncode == 0:
            linked = subprocess.run([*self.command, f"{program}.o", "-o", str(program), *self.link, *libraries],
                                    capture_output=True, text=True, check=False)
            if linked.returncode == 0:
                return compiled.stderr
            compiled = linked
        raise RuntimeError(f"{source}:\n{compiled.stderr}")
