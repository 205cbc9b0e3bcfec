#!/usr/bin/env python3
"""Python's gzip, zlib and lz4 modules read archives compressed by stele, and stele reads the files that they write.

joblib uses the same file names for compressed files as stele and reads them with its own classes.
"""

import gzip
import os
import pathlib
import subprocess
import sys
import zlib

STELE = os.environ.get("STELE_BIN")
if not STELE:
    print("skipped: no command line")
    sys.exit(77)

try:
    import lz4.frame
except ImportError:
    lz4 = None
try:
    from joblib.compressor import BinaryGzipFile, BinaryZlibFile
except ImportError:
    BinaryGzipFile = BinaryZlibFile = None


def stele(*arguments):
    subprocess.run([STELE, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def through(file_class, path):
    with file_class(path, "rb") as file:
        return file.read()


def check(archive):
    plain = archive.read_bytes()
    done = []

    def expect(name, data):
        if data != plain:
            sys.exit(f"{name}: {len(data)} bytes that are not the archive of {len(plain)}")
        done.append(name)

    def expect_back(name, path, data):
        path.write_bytes(data)
        stele("convert", path, "back.stele")
        expect(name, pathlib.Path("back.stele").read_bytes())

    for level in (1, 2, 6, 12):
        stele("convert", "--level", level, archive, "a.gz")
        expect("gzip.open", gzip.open("a.gz").read())
        expect("gzip.decompress", gzip.decompress(pathlib.Path("a.gz").read_bytes()))
    for level in (1, 3, 6, 9):
        stele("convert", "--level", level, archive, "a.z")
        expect("zlib.decompress", zlib.decompress(pathlib.Path("a.z").read_bytes()))
        if BinaryZlibFile:
            expect("joblib BinaryZlibFile", through(BinaryZlibFile, "a.z"))
    expect_back("gzip.compress", pathlib.Path("b.gz"), gzip.compress(plain))
    expect_back("zlib.compress", pathlib.Path("b.z"), zlib.compress(plain))
    if BinaryZlibFile:
        for file_class, name in ((BinaryZlibFile, "c.z"), (BinaryGzipFile, "c.gz")):
            with file_class(name, "wb", compresslevel=3) as file:
                file.write(plain)
            expect_back(f"joblib {file_class.__name__}", pathlib.Path(name), pathlib.Path(name).read_bytes())
    has_lz4 = "lz4" in subprocess.run([STELE, "codecs"], capture_output=True, text=True, check=True).stdout
    if lz4 and has_lz4:
        for level in (1, 9):
            stele("convert", "--level", level, archive, "a.lz4")
            expect("lz4.frame.decompress", lz4.frame.decompress(pathlib.Path("a.lz4").read_bytes()))
            expect("LZ4FrameFile", through(lz4.frame.LZ4FrameFile, "a.lz4"))
        for options in ({}, {"store_size": False}, {"block_linked": False},
                        {"block_checksum": True, "content_checksum": True}):
            expect_back(f"lz4.frame.compress {options}", pathlib.Path("b.lz4"), lz4.frame.compress(plain, **options))
    return sorted(set(done))


def main():
    source = pathlib.Path(os.environ["STELE_SOURCE_DIR"])
    archives = sorted(path for path in (source / "tests" / "golden").glob("*.stele")
                      if not path.name.startswith(("encoded", "columns")))  # becoming plain, these are decoded
    if not archives:
        sys.exit("no archives in tests/golden")
    large = pathlib.Path("large.stele")
    names = check(archives[0])
    # Larger than a block: archives behind one another are a file of archives.
    sizes = [path.stat().st_size for path in archives]
    first = archives[sizes.index(max(sizes))].read_bytes()
    large.write_bytes(first * (3_000_000 // len(first) + 1))
    names = sorted({*names, *check(large)})
    print("\n".join(names))


if __name__ == "__main__":
    main()
