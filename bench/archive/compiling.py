"""Seconds that the compiler takes for a file that includes the library, and for one of two standard headers."""

import os
import pathlib
import subprocess
import tempfile
import time

from bench.rivals import run

STANDARD = "#include <string>\n#include <vector>\n"
SOURCES = {
    "compile/vector and string": STANDARD,
    "compile/stele.hpp": STANDARD + "#include <stele/stele.hpp>\n",
    "compile/stele.hpp, a struct saved and loaded": STANDARD
    + "#include <stele/stele.hpp>\n"
    + "struct S { std::string name; std::vector<float> values; int n; };\n"
    + 'S f(const S& s) { stele::save(s, "f"); return stele::load<S>("f"); }\n',
}


def compile_sources(repetitions):
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repetitions):
            for name, text in SOURCES.items():
                source = pathlib.Path(folder) / "source.cpp"
                source.write_text(text)
                begin = time.perf_counter()
                subprocess.run([os.environ.get("CXX", "c++"), "-std=c++20", "-I", "include", "-c", source, "-o",
                                f"{folder}/o"], check=True)
                runs.append({"run_name": name, "real_time": time.perf_counter() - begin, "time_unit": "s"})
    return runs


if __name__ == "__main__":
    run(compile=compile_sources)
