#!/usr/bin/env python3
"""The documentation is true: its examples compile and run, its links lead somewhere, it shows what was measured.

A block of C++ in a page of the top folder or of docs/ whose first line is `// example: name` is an example: what defines a
type or a function at the left margin and #include lines stay outside of its function, the rest goes into it. The examples
of a page are one program, each in a namespace of its own; those that specialise a template are a program by themselves. A
block of Python in docs/format.md with `# example: name` is run as it is, in the order of the page.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

from build_program import SOURCE_DIR, Compiler

sys.path.insert(0, str(SOURCE_DIR / "docs"))
import overview

HEADERS = """
#include <array>
#include <cassert>
#include <chrono>
#include <complex>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>
#include <stele/stele.hpp>
"""
EIGEN = "#include <Eigen/Dense>\n#include <Eigen/SparseCore>\n#include <stele/eigen.hpp>\n"

SNAPPY = "#include <snappy-c.h>"

# What begins a definition at the left margin: a type, a template, a function.
DEFINITION = re.compile(r"(struct|class|enum|union|template|namespace)\b"
                        r"|(?!(for|if|while|switch|else|do|try)\b)[\w:<>&*, ]+ \w+\([^;=]*\) (const )?\{")


def pages():
    return [*sorted(SOURCE_DIR.glob("*.md")), *sorted((SOURCE_DIR / "docs").rglob("*.md"))]


def blocks(page, language, mark):
    """The named blocks of a page: (name, line number, text)."""
    text = page.read_text(encoding="utf-8")
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        first = match.group(1).split("\n", 1)[0]
        name = re.fullmatch(rf"{mark} example: (\w+)", first)
        if name:
            yield name.group(1), text.count("\n", 0, match.start()) + 2, match.group(1)


class Example:
    """A block of C++. Compilers name its page and line in their messages."""

    def __init__(self, page, name, line, text):
        self.name, self.text = name, text
        self.page = page.relative_to(SOURCE_DIR).as_posix()
        self.where = f"{self.page}:{line}: example {name}"
        self.includes, self.outside, self.inside = [], [], []
        defining = False
        for number, content in enumerate(text.split("\n"), line):
            begins = not defining and DEFINITION.match(content) is not None
            target = (self.includes if content.startswith("#include") else
                      self.outside if defining or begins else self.inside)
            target.append(f'#line {number} "{self.page}"\n{content}')
            code = content.split("//")[0].rstrip()
            defining = (defining or begins) and not (content.startswith("}") or (begins and code.endswith((";", "}"))))

    def is_alone(self):
        return "template <>" in self.text or "bool stele::" in self.text

    def namespace(self):
        body = "\n".join(self.outside) + "\nvoid run() {\n" + "\n".join(self.inside) + "\n}\n"
        return body if self.is_alone() else f"namespace example_{self.name} {{\n{body}}}\n"

    def call(self):
        return f'  if (name == "{self.name}") {"" if self.is_alone() else f"example_{self.name}::"}run();\n'


def program(examples):
    """A translation unit that runs the example it is given the name of."""
    includes = HEADERS + (EIGEN if any("Eigen::" in example.text for example in examples) else "")
    return (includes + "\n".join(line for example in examples for line in example.includes) + "\n"
            + "".join(example.namespace() for example in examples)
            + "int main(int, char** arguments) {\n  const std::string name = arguments[1];\n"
            + "".join(example.call() for example in examples) + "}\n")


def check_cpp(compiler, folder, title, examples):
    """Compiles examples to one program and runs each in a folder of its own. Returns what went wrong."""
    source = folder / f"{title}.cpp"
    source.write_text(program(examples), encoding="utf-8")
    errors = []
    try:
        libraries = ["-lsnappy"] if any(SNAPPY in example.text for example in examples) else []
        messages = compiler.compile(source, folder / title, libraries)
        if re.search(r"\bwarning:", messages):
            errors.append(messages)
    except RuntimeError as error:
        return [str(error)]
    for example in examples:
        place = folder / f"{title}_{example.name}"
        place.mkdir()
        ran = subprocess.run([folder / title, example.name], cwd=place, capture_output=True, text=True, timeout=120,
                             check=False)
        if ran.returncode != 0:
            errors.append(f"{example.where}: exit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
        else:
            print(f"{example.where}: ok")
    return errors


def cpp_examples(folder):
    compiler = Compiler()
    programs = {}
    count = 0
    for page in pages():
        for name, line, text in blocks(page, "cpp", "//"):
            count += 1
            if "Eigen::" in text and not compiler.has_eigen:
                continue
            if SNAPPY in text and not compiler.has_header("snappy-c.h"):
                print(f"{page.relative_to(SOURCE_DIR)}: example {name}: left out, as snappy was not found")
                continue
            example = Example(page, name, line, text)
            title = page.stem.replace("-", "_") + (f"_{name}" if example.is_alone() else "")
            programs.setdefault(title, []).append(example)
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(check_cpp, compiler, folder, title, examples) for title, examples in programs.items()]
        errors = [error for job in jobs for error in job.result()]
    if count < 10:
        errors.append(f"only {count} examples in C++ were found")
    return errors


def python_examples(folder):
    errors = []
    count = 0
    for page in pages():
        for name, line, text in blocks(page, "python", "#"):
            where = f"{page.relative_to(SOURCE_DIR)}:{line}: example {name}"
            ran = subprocess.run([sys.executable, "-B", "-c", text], cwd=folder, capture_output=True, text=True, timeout=120,
                                 check=False)
            count += 1
            if ran.returncode != 0 and "ModuleNotFoundError" in ran.stderr:
                print(f"{where}: left out, {ran.stderr.strip().splitlines()[-1]}")
            elif ran.returncode != 0:
                errors.append(f"{where}: {ran.stderr}")
            else:
                print(f"{where}: ok")
    if count < 2:
        errors.append(f"only {count} examples in Python were found")
    return errors


def check_file_written_by_hand(folder):
    """What the page's writer writes is an archive for the library: it loads, can be mapped and verifies."""
    if not (folder / "by_hand.stele").exists():
        return []
    source = folder / "check_by_hand.cpp"
    source.write_text(HEADERS + """
struct ByHand {
  std::string name;
  int epoch = 0;
  stele::Array<float> weights;
};
int main() {
  stele::open("by_hand.stele").verify();
  const auto read = stele::load<ByHand>("by_hand.stele", {.strict = true});
  const auto mapped = stele::load<ByHand>("by_hand.stele", {.map = stele::MapMode::read_only, .verify = stele::Verify::full});
  const bool good = read.name == "by hand" && read.epoch == 7 && read.weights.size() == 2000 && read.weights[1999] == 0.5F &&
                    mapped.weights == read.weights && !mapped.weights.writable();
  return good ? 0 : 1;
}
""", encoding="utf-8")
    try:
        Compiler().compile(source, folder / "check_by_hand")
    except RuntimeError as error:
        return [str(error)]
    ran = subprocess.run([folder / "check_by_hand"], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return [] if ran.returncode == 0 else [f"by_hand.stele: exit code {ran.returncode} {ran.stderr}"]


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def links():
    errors = []
    for page in pages():
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        text = re.sub(r"`[^`\n]*`", "", text)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            other = (page.parent / path).resolve() if path else page
            if not other.exists():
                errors.append(f"{page.relative_to(SOURCE_DIR)}: {target} leads nowhere")
            elif anchor and anchor not in anchors(other):
                errors.append(f"{page.relative_to(SOURCE_DIR)}: {target}: the page has no such heading")
    return errors


def measurements():
    """The picture and the figures of README.md are those of bench/results.md."""
    made = {overview.PICTURE: overview.picture(), overview.README: overview.readme()}
    return [f"{path.relative_to(SOURCE_DIR)}: not what docs/overview.py makes of bench/results.md"
            for path, text in made.items() if path.read_text(encoding="utf-8") != text]


def main():
    folder = pathlib.Path.cwd()
    errors = links() + measurements() + python_examples(folder)
    errors += check_file_written_by_hand(folder)
    errors += cpp_examples(folder)
    for error in errors:
        print(error, file=sys.stderr)
    print(f"{len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
