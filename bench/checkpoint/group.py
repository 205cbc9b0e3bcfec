"""The group `checkpoint`: a state of 1 GB, saved and restored."""

import importlib.metadata

PROGRAMS = {"rivals measure": 1}

WHO = ("stele", "Orbax", "torch", "safetensors", "joblib")
CASES = {
    "save": "save",
    "again": "save again, a tenth changed",
    "blocked": "blocked by a save in the background",
    "restore": "restore",
    "restore_into": "restore in place",
    "restore_mapped": "restore mapped",
    "restore_one": "restore one array of 100",
}


def versions():
    found = []
    for name in ("orbax-checkpoint", "jax", "torch", "safetensors", "joblib", "numpy"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def key(case, who):
    return f"checkpoint/{case}/{who}"


def bars(results):
    """Rows of (work, bar, measured, whether it is met)."""
    rows = []
    for case, words in CASES.items():
        rivals = [who for who in WHO[1:] if key(case, who) in results]
        if not rivals:
            continue
        best = min(rivals, key=lambda who: results.median(key(case, who)))
        times = results.median(key(case, best)) / results.median(key(case, "stele"))
        rows.append((words, f"ahead of the fastest, {best}", f"{times:.2f} times", times >= 1))
    blocked = results.median(key("blocked", "stele")) / results.median(key("blocked", "memory copy"))
    rows.append(("blocked by a save in the background", "at most 1.1 memory copies", f"{blocked:.2f}", blocked <= 1.1))
    again = results.median(key("again", "stele"))
    bar = results.median(key("save", "stele")) / 10 * 1.3
    rows.append(("save again, a tenth changed", f"at most {bar:.0f} ms (1.3 of a tenth's save) and a pass of hashing",
                 f"{again:.0f} ms", again <= bar + results.median(key("blocked", "memory copy"))))
    return rows


def tables(results, table):
    """Yields pairs of a title and what stands below it."""
    rows = []
    for case, words in CASES.items():
        rows.append([words, *(f"{results.median(key(case, who)):,.1f}" if key(case, who) in results else ""
                              for who in (*WHO, "memory copy"))])
    yield "Milliseconds", table(["", *WHO, "memory copy"], rows)
    rows = [[words, *(f"{results.median(key(case, who), 'peak_mib'):,.0f}" if key(case, who) in results else ""
                      for who in WHO)] for case, words in CASES.items()]
    yield "Peak of resident memory above the state, MiB", table(["", *WHO], rows)
    rows = [[CASES[case], *(f"{results.median(key(case, who), 'stored_mb'):,.0f}" if key(case, who) in results else ""
                            for who in WHO)] for case in ("save", "again")]
    yield "MB added on disk", table(["", *WHO], rows)
