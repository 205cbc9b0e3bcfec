#!/usr/bin/env python3
"""Draws docs/overview.svg, the picture of README.md, and writes README.md's table of figures, from bench/results.md.

scripts/bench runs it after it has changed the results. Both show what each library takes, in units of stele's: time, or
the size of the file.
"""

import pathlib
import re

DOCS = pathlib.Path(__file__).resolve().parent
PICTURE = DOCS / "overview.svg"
README = DOCS.parent / "README.md"
RESULTS = DOCS.parent / "bench" / "results.md"
TABLE = re.compile(r"(?<=<!-- figures: docs/overview\.py writes them -->\n).*?(?=<!-- end of figures -->)", re.DOTALL)

LIBRARIES = ["stele", "joblib", "npz", "safetensors", "HDF5", "cereal"]


def in_column(column, **rows):
    """Where each library's figure stands, if it has a row of its own."""
    return {name: (row, column) for name, row in rows.items()}


def in_row(row, **columns):
    return {name: (row, column) for name, column in columns.items()}


# The words of the table, title and detail of the picture (or none), heading in the results, whether more is better, and
# where each library's figure stands.
PLAIN = {"joblib": "joblib", "safetensors": "safetensors, X alone"}
WEIGHTS = "weights of a sentence transformer"
GZIP = {"stele": "stele: gzip 3 auto", "HDF5": "h5py: gzip 4 shuffle", "joblib": "joblib: gzip 3",
        "npz": "numpy: savez_compressed"}
OBJECTS = "A million small objects"
WORKS = [
    ("save 200 MiB of arrays, plain", ("Save", "200 MiB, not compressed"), "Plain save of 200 MiB", False,
     in_column("ms", stele="stele", **PLAIN)),
    ("load them", ("Load", "the same, into stele::Array"), "Plain load of the same", False,
     in_column("ms", stele="stele::Array", **PLAIN)),
    ("map 1 GiB and read an element", ("Map", "1 GiB, read one element"), "Mapping a file", False,
     in_row("1024 MiB", stele="stele", safetensors="safetensors", NumPy="numpy", joblib="joblib")),
    ("save a model's weights (87 MiB), gzip", ("Save, gzip", "model weights, 87 MiB"), WEIGHTS, True,
     in_column("save MB/s", **GZIP)),
    ("load them", ("Load, gzip", "the same files"), WEIGHTS, True, in_column("load MB/s", **GZIP)),
    ("size of their file", None, WEIGHTS, True, in_column("ratio", **GZIP)),
    ("save a map of a million strings", None, OBJECTS, False,
     in_row("save map<string, uint32>", stele="stele", cereal="cereal")),
    ("load it", None, OBJECTS, False, in_row("load map<string, uint32>", stele="stele", cereal="cereal")),
]

CELL_WIDTH, CELL_HEIGHT, COLUMNS = 290, 158, 3
BAR_LEFT, BAR_WIDTH, BAR_STEP = 84, 140, 25


def table(heading):
    """The first table below a heading that begins with these words: {row: {column: number}}."""
    text = RESULTS.read_text(encoding="utf-8")
    part = re.search(rf"^### {re.escape(heading)}.*?$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL).group(1)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.split("\n") if line.startswith("|")]
    columns = lines[0][1:]
    return {line[0]: dict(zip(columns, line[1:])) for line in lines[2:]}


def measured(heading, more_is_better, places):
    """What each library takes, in units of stele's."""
    cells = table(heading)
    values = {name: float(cells[row][column].replace(",", "")) for name, (row, column) in places.items()}
    own = values["stele"]
    return {name: own / value if more_is_better else value / own for name, value in values.items()}


def figures():
    """The lines of README.md's table."""
    out = ["| | " + " | ".join(LIBRARIES) + " |\n", "|---" + "|---:" * len(LIBRARIES) + "|\n"]
    for words, _, *source in WORKS:
        values = measured(*source)
        cells = [f"{values[name]:.3g}" if name in values else "" for name in LIBRARIES]
        out.append(f"| {words} | " + " | ".join(cells) + " |\n")
    return "".join(out)


def readme():
    """README.md with its figures."""
    return TABLE.sub(lambda _: figures(), README.read_text(encoding="utf-8"))


def panel(x, y, title, detail, values):
    longest = max(values.values())
    out = [f'<text x="{x}" y="{y}" font-size="17" font-weight="600">{title}</text>',
           f'<text x="{x}" y="{y + 18}" fill="#57606a">{detail}</text>']
    for i, (name, value) in enumerate(values.items()):
        top = y + 30 + i * BAR_STEP
        width = max(2, BAR_WIDTH * value / longest)
        color, weight = ("#d9480f", "600") if name == "stele" else ("#adb5bd", "400")
        out.append(f'<text x="{x + BAR_LEFT - 8}" y="{top + 14}" text-anchor="end" font-weight="{weight}">{name}</text>')
        out.append(f'<rect x="{x + BAR_LEFT}" y="{top}" width="{width:.1f}" height="18" rx="2" fill="{color}"/>')
        out.append(f'<text x="{x + BAR_LEFT + width + 6:.1f}" y="{top + 14}" font-weight="{weight}">{value:.3g}×</text>')
    return out


def picture():
    width, height = COLUMNS * CELL_WIDTH + 20, 2 * CELL_HEIGHT + 20
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
           'font-family="system-ui, sans-serif" font-size="13" fill="#1f2328">',
           f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>']
    panels = [(*drawn, measured(*source)) for _, drawn, *source in WORKS if drawn]
    for i, (title, detail, values) in enumerate(panels):
        x, y = 20 + i % COLUMNS * CELL_WIDTH, 32 + i // COLUMNS * CELL_HEIGHT
        out += panel(x, y, title, detail, values)
    x, y = 20 + 2 * CELL_WIDTH, 32 + CELL_HEIGHT
    for i, line in enumerate(["Time taken, stele = 1.", "Shorter is better."]):
        out.append(f'<text x="{x}" y="{y + 24 * i}" font-size="17" font-weight="600">{line}</text>')
    for i, line in enumerate(["2 cores, files in the page cache;", "medians of bench/results.md"]):
        out.append(f'<text x="{x}" y="{y + 52 + 20 * i}" fill="#57606a">{line}</text>')
    return "\n".join([*out, "</svg>", ""])


def main():
    PICTURE.write_text(picture(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")


if __name__ == "__main__":
    main()
