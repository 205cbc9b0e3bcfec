"""``python -m stele``: the command line of this installation."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig


def executable():
    """The path of the program, or None."""
    name = "stele.exe" if os.name == "nt" else "stele"
    candidates = []
    try:  # where the wheel put it
        from importlib.metadata import files

        candidates += [str(file.locate()) for file in files("stele") or () if file.name == name]
    except Exception:
        pass
    candidates.append(os.path.join(sysconfig.get_path("scripts"), name))
    user = f"{os.name}_user"
    if user in sysconfig.get_scheme_names():
        candidates.append(os.path.join(sysconfig.get_path("scripts", user), name))
    candidates.append(os.path.join(os.path.dirname(sys.executable), name))
    for candidate in candidates:
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            return os.path.realpath(candidate)
    return shutil.which(name)


def main():
    program = executable()
    if program is None:
        print("stele: the program stele is neither in this installation's folder of scripts nor on PATH; "
              "pip install --force-reinstall stele brings it back", file=sys.stderr)
        return 127
    sys.stdout.flush()
    arguments = ["stele", *sys.argv[1:]]
    if os.name == "posix":
        os.execv(program, arguments)
    import subprocess

    return subprocess.call([program, *arguments[1:]])


if __name__ == "__main__":
    sys.exit(main())
