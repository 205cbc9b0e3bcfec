#!/usr/bin/env python3
"""Draws docs/overview.svg, the picture of README.md, from the tables of bench/results.md.

    docs/overview.py [FILE]        writes FILE instead; scripts/bench runs it after it has changed the tables

Each panel is one kind of work: the time that each library takes, in units of stele's time.
"""

import pathlib
import re
import sys

DOCS = pathlib.Path(__file__).resolve().parent
RESULTS = DOCS.parent / "bench" / "results.md"

# Title, what was measured, heading of the table, its column, whether more is better, and a row for each library.
WEIGHTS = "weights of a sentence transformer"
PANELS = [
    ("Save", "200 MiB, not compressed", "Plain save of 200 MiB", "ms", False,
     {"stele": "stele", "safetensors": "safetensors, X alone", "joblib": "joblib"}),
    ("Load", "the same, into stele::Array", "Plain load of the same", "ms", False,
     {"stele": "stele::Array", "joblib": "joblib", "safetensors": "safetensors, X alone"}),
    ("Map", "1 GiB, read one element", "Mapping a file", None, False,
     {"stele": "stele", "safetensors": "safetensors", "NumPy": "numpy", "joblib": "joblib"}),
    ("Save, gzip", "model weights, 87 MiB", WEIGHTS, "save MB/s", True,
     {"stele": "stele: gzip 3 auto", "HDF5": "h5py: gzip 4 shuffle", "joblib": "joblib: gzip 3",
      "npz": "numpy: savez_compressed"}),
    ("Load, gzip", "the same files", WEIGHTS, "load MB/s", True,
     {"stele": "stele: gzip 3 auto", "HDF5": "h5py: gzip 4 shuffle", "joblib": "joblib: gzip 3",
      "npz": "numpy: savez_compressed"}),
]
MAPPED_ROW = "1024 MiB"  # the table of mapping has a row for each size and a column for each library

CELL_WIDTH, CELL_HEIGHT, COLUMNS = 290, 158, 3
BAR_LEFT, BAR_WIDTH, BAR_STEP = 84, 140, 25


def table(heading):
    """The first table below a heading that begins with these words: {row: {column: number}}."""
    text = RESULTS.read_text(encoding="utf-8")
    part = re.search(rf"^### {re.escape(heading)}.*?$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL).group(1)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in part.split("\n") if line.startswith("|")]
    columns = lines[0][1:]
    return {line[0]: dict(zip(columns, line[1:])) for line in lines[2:]}


def times(heading, column, more_is_better, rows):
    """The time of each library, in units of stele's."""
    cells = table(heading)
    if column is None:
        values = {name: float(cells[MAPPED_ROW][row]) for name, row in rows.items()}
    else:
        values = {name: float(cells[row][column].replace(",", "")) for name, row in rows.items()}
    own = values["stele"]
    return {name: own / value if more_is_better else value / own for name, value in values.items()}


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


def main():
    width, height = COLUMNS * CELL_WIDTH + 20, 2 * CELL_HEIGHT + 20
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
           'font-family="system-ui, sans-serif" font-size="13" fill="#1f2328">',
           f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>']
    for i, (title, detail, *source) in enumerate(PANELS):
        x, y = 20 + i % COLUMNS * CELL_WIDTH, 32 + i // COLUMNS * CELL_HEIGHT
        out += panel(x, y, title, detail, times(*source))
    x, y = 20 + 2 * CELL_WIDTH, 32 + CELL_HEIGHT
    for i, line in enumerate(["Time taken, stele = 1.", "Shorter is better."]):
        out.append(f'<text x="{x}" y="{y + 24 * i}" font-size="17" font-weight="600">{line}</text>')
    for i, line in enumerate(["2 cores, files in the page cache;", "medians of bench/results.md"]):
        out.append(f'<text x="{x}" y="{y + 52 + 20 * i}" fill="#57606a">{line}</text>')
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "overview.svg"
    path.write_text("\n".join([*out, "</svg>", ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
