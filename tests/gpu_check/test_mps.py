"""The phase mps of gpu_check, with stand-ins for the daemon's control program and for mspeckv."""

import os
import pathlib
import stat
import sys
import tempfile
import unittest
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "gpu"))

import mps  # noqa: E402
import phases  # noqa: E402
from places import Missing  # noqa: E402

# The daemon lives until it is told to quit and holds what it was started with open, as a real one
# may; a client makes the server's file beside its own.
CONTROL = """#!/bin/sh
dir=${CUDA_MPS_PIPE_DIRECTORY:-/nonexistent}
echo "$1 $dir" >>"$NOTES/calls"
if [ "$1" = -d ]; then
    [ -e "$NOTES/refuse" ] && { echo "the GPU is in a mode that refuses" >&2; exit 1; }
    mkfifo "$dir/daemon"
    (read quit <"$dir/daemon"; echo ended >>"$NOTES/calls") &
    exit 0
fi
[ -e "$dir/daemon" ] || { echo "no daemon"; exit 1; }
read command rest
echo "$command" >>"$NOTES/calls"
case $command in
get_server_list) [ -e "$dir/server" ] && echo 4711 ;;
quit) echo quit >"$dir/daemon"; rm "$dir/daemon" ;;
esac
exit 0
"""

MSPECKV = """#!{python}
import json, os, pathlib, sys
notes = pathlib.Path(os.environ["NOTES"])
pipe = pathlib.Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"])
joined = (pipe / "daemon").exists()
if joined and (notes / "fails").exists():
    sys.exit("mspeckv: the worker ended")
if joined and not (notes / "alone").exists():
    (pipe / "server").touch()
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
out.mkdir(parents=True)
ids = [1, 2, 4] if joined and (notes / "differs").exists() else [1, 2, 3]
with open(out / "results.jsonl", "w") as to:
    for method in ("mspeckv", "mspeckv_kv_quant"):
        print(json.dumps({{"status": "ok", "method": method, "document": 0, "seed": 1, "tokens": ids,
                          "decode_s": 0.5 if joined else 1.0, "rounds": 10, "draft_s": 0.1,
                          "middle_s": 0.2, "verify_s": 0.1}}), file=to)
"""


def program(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


class StandIns:
    """As Places."""

    def __init__(self, folder):
        self.folder = folder

    def program(self, name):
        return str(self.folder / name)

    def experiment(self, name):
        return str(self.folder / name)


class Mps(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)
        program(self.folder / mps.CONTROL, CONTROL)
        program(self.folder / "mspeckv", MSPECKV.format(python=sys.executable))
        self.check = phases.Check(StandIns(self.folder), self.folder / "out", "cuda:0", None)
        target = self.check.weights / "target"
        target.mkdir(parents=True)
        (target / "config.json").write_text("{}")
        seen = {"PATH": f"{self.folder}:/usr/bin:/bin", "NOTES": str(self.folder)}
        self.enterContext(mock.patch.dict(os.environ, seen))
        os.environ.pop("CUDA_MPS_PIPE_DIRECTORY", None)
        self.result = {"lines": [], "data": {}, "failed": False}

    def run_phase(self):
        mps.run(self.check, self.result)
        return "\n".join(self.result["lines"])

    def calls(self):
        return (self.folder / "calls").read_text().split("\n")

    def assert_nothing_is_left(self):
        started = [call.split()[1] for call in self.calls() if call.startswith("-d ")]
        self.assertEqual(len(started), 1)
        self.assertFalse(pathlib.Path(started[0]).exists())
        self.assertNotIn("CUDA_MPS_PIPE_DIRECTORY", os.environ)
        self.assertNotIn("CUDA_MPS_LOG_DIRECTORY", os.environ)

    def test_the_run_without_and_the_run_with_the_daemon_are_told_apart(self):
        words = self.run_phase()
        self.assertFalse(self.result["failed"], words)
        self.assertEqual(self.result["data"], {"without_ms": 100.0, "with_ms": 50.0})
        self.assertIn("takes 0.500 of its time without", words)
        self.assertIn("the other phases run without MPS", words)

    def test_the_daemon_is_ended_and_its_folder_gone(self):
        self.run_phase()
        self.assertIn("quit", self.calls())
        self.assert_nothing_is_left()

    def test_a_run_that_fails_ends_the_daemon_too_and_keeps_what_was_measured_without(self):
        (self.folder / "fails").touch()
        words = self.run_phase()
        self.assertTrue(self.result["failed"])
        self.assertIn("the worker ended", words)
        self.assertRegex(words, r"mspeckv_kv_quant +no +3\.00")
        self.assertIn("quit", self.calls())
        self.assert_nothing_is_left()

    def test_a_daemon_that_does_not_start_is_told_in_its_own_words(self):
        (self.folder / "refuse").touch()
        self.assertIn("the GPU is in a mode that refuses", self.run_phase())
        self.assertTrue(self.result["failed"])

    def test_figures_of_clients_that_did_not_use_the_daemon_are_refused(self):
        (self.folder / "alone").touch()
        self.assertIn("no process used the daemon", self.run_phase())
        self.assertTrue(self.result["failed"])
        self.assertEqual(self.result["data"], {})

    def test_tokens_that_differ_fail_the_phase(self):
        (self.folder / "differs").touch()
        self.assertIn("TOKENS DIFFER", self.run_phase())
        self.assertTrue(self.result["failed"])

    def test_without_weights_the_phase_before_is_named(self):
        (self.check.weights / "target" / "config.json").unlink()
        with self.assertRaisesRegex(Missing, "needs the phase 'weights' first"):
            self.run_phase()

    def test_a_machine_without_the_daemon_is_passed_over_with_words(self):
        (self.folder / mps.CONTROL).unlink()
        with mock.patch.object(mps.shutil, "which", return_value=None):
            self.assertIn("is not on this machine", self.run_phase())
        self.assertFalse(self.result["failed"])


if __name__ == "__main__":
    unittest.main()
