#!/usr/bin/env python3
"""`stele checkpoints`: every command, and the other commands on the files of checkpoints.

Runs in an empty folder; STELE_BIN names the program. A small C++ program saves the checkpoints.
"""

import json
import os
import pathlib
import shutil
import subprocess
import unittest
import xml.etree.ElementTree

from build_program import Compiler

STELE = os.environ.get("STELE_BIN", "")
SAVER = """
#include <stele/checkpoint.hpp>
#include <stele/sharded.hpp>
#include <stele/stele.hpp>
#include <cmath>
struct State { int step = 0; std::map<std::string, std::vector<float>> weights; std::vector<double> bias; };
int main() {
  stele::Checkpoints kept = stele::Checkpoints::open("kept", {.sync = stele::Sync::none});
  State state;
  state.weights["same"].assign(300'000, 1);
  state.weights["<changed>"].assign(100'000, 2);
  for (int step = 10; step <= 50; step += 10) {
    state.step = step;
    state.weights["<changed>"][7] = 2.0F + step / 10;
    state.bias.assign(1000 + step / 50, 0.5);
    kept.save(step, state, {.metrics = {{"loss", 5.0 / step}, {"accuracy", step == 30 ? NAN : step / 100.0}},
                            .metadata = {{"run", "seven"}}});
  }
  for (int step = 1; step <= 2; ++step) {
    for (unsigned rank = 0; rank < 2; ++rank) {
      stele::ShardWriter part("sharded", {static_cast<std::uint64_t>(step), rank, 2, "a"});
      stele::Array<float, 2> rows({50, 30});
      rows.mutable_at(7, 7) = step * (1.0F + rank);
      part.put("rows", rows, {100, 30}, {50 * rank, 0});
      part.put("same", stele::Array<float, 2>({50, 30}), {100, 30}, {50 * rank, 0});
      part.close();
    }
    stele::commit_shards("sharded", {static_cast<std::uint64_t>(step), 0, 2, "a"});
  }
}
"""


def setUpModule():
    pathlib.Path("saver.cpp").write_text(SAVER, encoding="utf-8")
    Compiler().compile("saver.cpp", pathlib.Path("saver").resolve())
    subprocess.run([pathlib.Path("saver").resolve()], check=True)
    os.rename("kept", "original")


def path_of(step, folder="kept"):
    return f"{folder}/step-{step:012}.stele"


class Case(unittest.TestCase):
    def setUp(self):
        shutil.rmtree("kept", ignore_errors=True)
        shutil.copytree("original", "kept")

    def run_stele(self, *args):
        return subprocess.run([STELE, *map(str, args)], capture_output=True, text=True, timeout=120, check=False)

    def ok(self, *args):
        done = self.run_stele(*args)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def json(self, *args):
        return json.loads(self.ok(*args, "--json"))

    def fails(self, code, *args, says=""):
        done = self.run_stele(*args)
        self.assertEqual(done.returncode, code, (done.stdout, done.stderr))
        self.assertTrue(done.stderr.startswith("stele: "), done.stderr)
        self.assertIn(says, done.stderr)
        return done

    def steps(self):
        return [entry["step"] for entry in self.json("checkpoints", "ls", "kept")["checkpoints"]]

    def damage(self, step, at=None):
        with open(path_of(step), "r+b") as file:
            file.seek(os.path.getsize(path_of(step)) // 2 if at is None else at)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))


class Looking(Case):
    def test_ls(self):
        lines = self.ok("checkpoints", "ls", "kept").splitlines()
        self.assertEqual(lines[0].split(), ["step", "saved", "size", "written", "metrics"])
        self.assertEqual(len(lines), 6)
        self.assertRegex(lines[1], r"^ +10  \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ +1.5 MiB +1.5 MiB  accuracy 0.1, loss 0.5$")
        self.assertIn("accuracy nan", lines[3])
        listed = self.json("checkpoints", "ls", "kept")
        self.assertEqual(listed["folder"], "kept")
        first, second = listed["checkpoints"][:2]
        self.assertEqual((first["step"], first["metrics"], first["metadata"]["run"], first["referred"]),
                         (10, {"accuracy": 0.1, "loss": 0.5}, "seven", 0))
        self.assertEqual(first["written"], first["bytes"])
        self.assertGreaterEqual(second["referred"], 1_200_000)
        self.assertLess(second["written"], 500_000)
        self.assertEqual(listed["checkpoints"][2]["metrics"]["accuracy"], "NaN")

    def test_ls_tells_what_cannot_be_read(self):
        os.truncate(path_of(30), 1000)
        done = self.fails(1, "checkpoints", "ls", "kept", says="step 30")
        self.assertEqual(len(done.stdout.splitlines()), 5)

    def test_show(self):
        text = self.ok("checkpoints", "show", "kept", 20)
        self.assertRegex(text, r"step +20\n")
        self.assertRegex(text, r"refers to +step-000000000010.stele, 1.1 MiB")
        self.assertIn("loss 0.25", text)
        self.assertIn("run", text)
        self.assertIn("float32[300000]", text)
        shown = self.json("checkpoints", "show", "kept")
        self.assertEqual(shown["step"], 50)
        self.assertEqual([array["path"] for array in shown["arrays"]], ["weights/<changed>", "weights/same", "bias"])
        self.assertEqual(shown["arrays"][1]["shape"], [300_000])
        self.assertEqual(sum(file["bytes"] for file in shown["refers_to"]), shown["referred"])
        self.fails(3, "checkpoints", "show", "kept", 21, says="no checkpoint of step 21")

    def test_stat(self):
        stats = self.json("checkpoints", "stat", "kept")
        self.assertEqual((stats["checkpoints"], stats["parts"]), (5, 0))
        self.assertEqual(stats["saved"], stats["bytes"] - stats["stored"])
        self.assertGreater(stats["saved"], 4_700_000)
        self.assertRegex(self.ok("checkpoints", "stat", "kept"), r"saved +4\.\d MiB")

    def test_folders_that_are_none(self):
        for command in (["ls"], ["show"], ["stat"], ["verify"], ["prune"], ["rm"], ["export"], ["diff"]):
            rest = {"rm": ["1"], "export": ["1", "x.stele"], "diff": ["1", "2"]}.get(command[0], [])
            self.fails(3, "checkpoints", *command, "nowhere", *rest, says="no folder of checkpoints")
            self.assertFalse(os.path.exists("nowhere"))
        os.makedirs("empty", exist_ok=True)
        self.assertEqual(self.json("checkpoints", "ls", "empty")["checkpoints"], [])
        self.fails(3, "checkpoints", "show", "empty", says="there is no checkpoint")
        self.assertEqual(os.listdir("empty"), [])

    def test_verify(self):
        self.assertEqual(self.ok("checkpoints", "verify", "kept"), "kept: ok (5 checkpoints)\n")
        self.damage(10, 1_000_000)
        done = self.fails(1, "checkpoints", "verify", "kept", says="step 50: ")
        self.assertEqual(done.stdout, "kept: damaged (5 checkpoints)\n")
        done = self.run_stele("checkpoints", "verify", "kept", "--step", 20, "--json")
        self.assertEqual(done.returncode, 1)
        report = json.loads(done.stdout)
        self.assertEqual((report["ok"], report["checked"], report["damaged"][0]["step"]), (False, 1, 20))

    def test_diff(self):
        lines = self.ok("checkpoints", "diff", "kept", 10, 50).splitlines()
        self.assertEqual(lines[0].split(), ["array", "size", "relative", "largest"])
        self.assertEqual([line.split()[:2] for line in lines[1:]],
                         [["bias", "reshaped"], ["weights/<changed>", "changed"]])
        self.assertEqual(lines[2].split()[-1], "4")
        changes = self.json("checkpoints", "diff", "kept", 10, 50)["arrays"]
        self.assertEqual(changes[1]["largest"], 4)
        self.assertAlmostEqual(changes[1]["relative"], 4 / (4 * 100_000 + 5) ** 0.5, delta=1e-7)
        self.assertEqual(self.json("checkpoints", "diff", "kept", 10, 10)["arrays"], [])
        self.fails(2, "checkpoints", "diff", "kept", 10)
        self.fails(2, "checkpoints", "diff", "kept", 10, "x")

    def test_plot(self):
        for command, marks in ((["diff", "kept", 20, 40], 3 + 2 + 2), (["ls", "kept"], 5 + 4 + 4)):
            self.ok("checkpoints", *command, "--plot", "plot.svg")
            picture = xml.etree.ElementTree.parse("plot.svg").getroot()
            name = "{http://www.w3.org/2000/svg}"
            self.assertEqual(picture.tag, name + "svg")
            self.assertEqual(len(picture.findall(name + "circle")), marks)
            texts = " ".join(text.text for text in picture.findall(name + "text"))
            self.assertIn("weights/<changed>: ", texts)
            self.assertIn("loss: ", texts)
            for path in picture.findall(name + "path"):
                self.assertNotIn("nan", path.get("d"))
            os.remove("plot.svg")


class Sharded(Case):
    def test_sharded_checkpoints(self):
        self.assertIn("(sharded)", self.ok("checkpoints", "ls", "sharded"))
        self.assertIn("float32[100, 30]", self.ok("checkpoints", "show", "sharded"))
        shown = self.json("checkpoints", "show", "sharded", 1)
        self.assertEqual([array["path"] for array in shown["arrays"]], ["rows", "same"])
        self.assertEqual(self.ok("checkpoints", "verify", "sharded"), "sharded: ok (2 checkpoints)\n")
        self.ok("checkpoints", "export", "sharded", 2, "whole.stele")
        self.assertIn("float32[100, 30]", self.ok("ls", "whole.stele"))
        changes = self.json("checkpoints", "diff", "sharded", 1, 2)["arrays"]
        self.assertEqual([(change["path"], change["largest"], change["relative"]) for change in changes],
                         [("rows", 2, 1)])


class Removing(Case):
    def test_prune(self):
        would = self.json("checkpoints", "prune", "kept", "--keep-last", 1, "--keep-every", 20, "--dry-run")
        self.assertEqual((would["removed"], would["checkpoints"], would["dry_run"]), ([10, 30], 3, True))
        self.assertEqual(self.steps(), [10, 20, 30, 40, 50])
        self.assertEqual(self.ok("checkpoints", "prune", "kept", "--keep-last", 1, "--keep-every", 20),
                         "removed step 10\nremoved step 30\nkept: 3 checkpoints left\n")
        self.assertEqual(self.steps(), [20, 40, 50])
        self.assertEqual(self.json("checkpoints", "stat", "kept")["parts"], 1)
        self.ok("checkpoints", "verify", "kept")

    def test_prune_by_metrics_and_time(self):
        for options, left in ((["--keep-best", "accuracy:max:2"], [40, 50]),
                              (["--keep-best", "accuracy"], [10, 50]),
                              (["--keep-best", "loss:max", "--keep-best", "accuracy:min:2"], [10, 20, 50]),
                              (["--keep-interval", 1e6], [10, 50]),
                              (["--keep-age", 1e6], [10, 20, 30, 40, 50]),
                              ([], [10, 20, 30, 40, 50])):
            self.setUp()
            self.ok("checkpoints", "prune", "kept", *options)
            self.assertEqual(self.steps(), left, options)
        self.fails(2, "checkpoints", "prune", "kept", "--keep-last", "-1")

    def test_rm(self):
        self.assertEqual(self.ok("checkpoints", "rm", "kept", 10, 30), "kept: 3 checkpoints left\n")
        self.assertEqual(self.steps(), [20, 40, 50])
        self.ok("checkpoints", "verify", "kept")
        self.fails(3, "checkpoints", "rm", "kept", 10, says="no checkpoint of step 10")


class Exporting(Case):
    def test_export(self):
        for name, codec in (("one.stele", "plain"), ("one.stele.gz", "gzip"), ("other", "zlib")):
            chosen = ["--codec", codec] if "." not in name else []
            self.ok("checkpoints", "export", "kept", 40, name, *chosen)
            shutil.rmtree("kept")
            self.assertEqual(self.json("info", name)["codec"], codec)
            self.ok("verify", name)
            self.assertEqual(self.ok("show", name, "step"), "40\n")
            self.setUp()
        self.damage(10, 1_000_000)
        self.fails(1, "checkpoints", "export", "kept", 40, "none.stele")
        self.assertFalse(os.path.exists("none.stele"))

    def test_other_commands_take_the_file_of_a_checkpoint(self):
        linked = path_of(40)
        self.ok("checkpoints", "export", "kept", 40, "whole.stele")
        info = self.json("info", linked)
        self.assertEqual(info["codec"], "linked")
        self.assertEqual(info["plain_bytes"], os.path.getsize("whole.stele"))
        self.assertEqual(self.ok("ls", linked, "--arrays"), self.ok("ls", "whole.stele", "--arrays"))
        self.assertEqual(self.ok("show", linked, "weights/same[5:7]"), self.ok("show", "whole.stele", "weights/same[5:7]"))
        self.assertEqual(self.ok("verify", linked), f"{linked}: ok\n")
        self.ok("extract", linked, "bias", "-o", "bias.stele")
        self.assertEqual(self.ok("show", "bias.stele"), self.ok("show", "whole.stele", "bias"))
        self.ok("convert", linked, "copy.stele")
        self.assertEqual(pathlib.Path("copy.stele").read_bytes(), pathlib.Path("whole.stele").read_bytes())
        self.ok("convert", linked, "copy.npz")
        self.damage(10, 1_000_000)
        self.fails(1, "verify", linked)
        os.remove(path_of(10))
        for command in (["ls", linked], ["show", linked], ["verify", linked], ["convert", linked, "x.stele"]):
            self.fails(3, *command, says="refers to a file step-000000000010.stele")

    def test_a_linked_file_is_no_stream(self):
        with open(path_of(40), "rb") as file:
            done = subprocess.run([STELE, "show", "-"], stdin=file, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 5)
        self.assertIn("opened by its path", done.stderr)


if __name__ == "__main__":
    unittest.main()
