"""The page of gpu_check, judged from recorded lines of mspeckv-bench, and its phase sanitizer with a
stand-in for compute-sanitizer."""

import os
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "gpu"))

import bars  # noqa: E402
import page  # noqa: E402
import phases  # noqa: E402
import sanitizer  # noqa: E402

ATTENTION = """cuda:0 (NVIDIA H200): 4206.6 GB/s
kv     tokens  heads   dim   kv  rows         us     GB/s    of it
f16     32768     32 x 128   32     1      141.0     3806     0.90
f16     32768     32 x 128   32    33      283.9     1891     0.45
int8    32768     32 x 128   32     9      111.3     2945     0.70
int4    32768     32 x 128    8     1       32.6     1157     0.28
int4    32768     32 x 128   32     1       90.5     2523     0.60
int4     4096     32 x 128   32     9       43.5      434     0.10
"""
PRODUCTS = """cuda:0 (NVIDIA H200): 4194.9 GB/s read
type      in     out  rows         us     GB/s  of read   TFLOP/s
bf16    4096   12288     1       40.2     2507     0.60       2.5
bf16    4096   12288    16       48.9     2058     0.49      32.9
bf16    4096   12288    17       63.4     1589     0.38      27.0
f16     4096   12288     2       40.3       96     0.02       2.5
bf16    4096   32000     9       79.4     3423     0.82      26.4
bf16     768     768     8        6.9      172     0.04       1.4
"""


def part(**data):
    return {"title": "A title", "seconds": 3.0, "lines": [], "failed": False, "data": data}


def line_of(found, what):
    """(measured, wanted, judgement) of the line that begins with `what`."""
    for row in bars.judge(found):
        if row[0].startswith(what):
            return tuple(row[1:])
    raise AssertionError(f"no line of {what}")


class Page(unittest.TestCase):
    def setUp(self):
        self.found = {"speed": part(bars=bars.speed(ATTENTION, PRODUCTS)),
                      "ceilings": part(to_device_gbps=55.3),
                      "study": part(streamed_gbps=52.1, kv_quant_speedup=13.56),
                      "equal": part(speedup=8.01), "lengths": part(ratio=0.9)}

    def test_a_bar_is_reached_at_its_value_and_not_below(self):
        self.assertEqual(line_of(self.found, "attention, f16, 1 row,")[2], "reached")
        self.assertEqual(line_of(self.found, "offloaded layers"), ("94.2 %", "90.0 %", "reached"))
        self.assertEqual(line_of(self.found, "mspeckv_kv_quant over"), ("13.56x", "14.14x", "not reached"))
        self.assertEqual(line_of(self.found, "the same at equal")[2], "reached")
        self.assertEqual(line_of(self.found, "round at 8192")[2], "reached")

    def test_a_share_is_judged_before_it_is_rounded(self):
        # 2945 of 4206.6 is 70.009 %, 2523 of it 59.98 %: both print as their bar.
        self.assertEqual(line_of(self.found, "attention, int8, 9 rows")[2], "reached")
        self.assertEqual(line_of(self.found, "attention, int4, 1 row,"), ("60.0 %", "60.0 %", "not reached"))

    def test_other_rows_groups_and_lengths_have_no_bar(self):
        whats = [row[0] for row in bars.speed(ATTENTION, PRODUCTS)]
        self.assertEqual(len([w for w in whats if w.startswith("attention")]), 3)

    def test_a_product_is_judged_by_its_slowest_number_of_rows_up_to_16(self):
        self.assertEqual(line_of(self.found, "product 4096 x 12288"), ("49.1 %", "80.0 %", "not reached"))
        self.assertEqual(line_of(self.found, "product 4096 x 32000")[2], "reached")
        self.assertEqual(len([r for r in bars.judge(self.found) if r[0].startswith("product ")]), 2)

    def test_what_was_not_measured_or_failed_is_never_reached(self):
        for found in ({}, {n: {**p, "failed": True} for n, p in self.found.items()}):
            rows = bars.judge(found)
            self.assertGreaterEqual(len(rows), 8)
            self.assertEqual({row[3] for row in rows}, {"not measured"})
        del self.found["ceilings"]
        self.assertEqual(line_of(self.found, "offloaded layers")[2], "not measured")

    def test_a_table_without_its_ceiling_has_no_shares(self):
        for what, share, _ in bars.speed(ATTENTION.partition("\n")[2], PRODUCTS.partition("\n")[2]):
            self.assertIsNone(share, what)

    def test_the_page_says_what_is_wanted_and_what_did_not_run(self):
        text = page.render(self.found, [p.name for p in phases.ALL])
        self.assertIn("What is wanted of an H200-class GPU", text)
        self.assertIn("13.56x  14.14x  not reached", text)
        self.assertIn("not run yet: probe, kernels, sanitizer", text)


# Stands for compute-sanitizer: notes what it was asked, finds an error in test_bad, skips test_none.
FAKE = """#!/bin/sh
echo "$2 ${7##*/}" >> "$(dirname "$0")/asked"
case "$7" in
*test_bad) echo "========= COMPUTE-SANITIZER"; echo "========= Invalid __global__ write of size 4"
    echo "========= ERROR SUMMARY: 1 error"; exit "$4" ;;
*test_none) exit 77 ;;
esac
"""


class Sanitizer(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        (self.dir / "found").mkdir()
        self.fake = self.dir / "sanitizer"
        self.fake.write_text(FAKE)
        self.fake.chmod(0o755)
        self.check = phases.Check(None, self.dir, "cuda:0", None)
        self.check.found = {"probe": part(sanitizer=str(self.fake)),
                            "kernels": part(seconds={"test_a": 2.0, "test_b": 1.0})}

    def programs(self, *names):
        for name in names:
            (self.dir / name).touch()
        return [self.dir / name for name in names]

    def run_phase(self, tests, **more):
        result = {"lines": [], "data": {}, "failed": False}
        sanitizer.run(self.check, result, tests, **more)
        return result

    def asked(self):
        path = self.dir / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def test_every_tool_runs_over_every_program_the_fastest_first(self):
        result = self.run_phase(self.programs("test_a", "test_b", "test_c"))
        self.assertFalse(result["failed"])
        self.assertEqual(self.asked(), [f"{tool} test_{n}" for tool in sanitizer.TOOLS for n in "bac"])
        self.assertIn("no error in 3 of 3 programs", result["lines"][0])

    def test_an_error_and_a_skipped_program_are_not_clean(self):
        result = self.run_phase(self.programs("test_a", "test_bad", "test_none"))
        self.assertTrue(result["failed"])
        self.assertIn("    test_bad: Invalid __global__ write of size 4", result["lines"])
        self.assertTrue(any("test_none: skipped" in line for line in result["lines"]))
        self.assertEqual(result["data"]["memcheck"], {"clean": 1, "of": 3})

    def test_what_was_clean_is_not_run_again_until_it_is_built_anew(self):
        tests = self.programs("test_a", "test_bad")
        self.run_phase(tests)
        self.asked()
        self.run_phase(tests)
        self.assertEqual(self.asked(), [f"{tool} test_bad" for tool in sanitizer.TOOLS])
        os.utime(tests[0], ns=(1, 1))
        self.run_phase(tests)
        self.assertIn("memcheck test_a", self.asked())

    def test_a_phase_without_time_says_that_programs_wait(self):
        result = self.run_phase(self.programs("test_a"), phase_s=0)
        self.assertTrue(result["failed"])
        self.assertEqual(self.asked(), [])
        self.assertIn("1 wait: the phase's time is up", result["lines"][1])

    def test_without_a_sanitizer_the_phase_is_not_passed(self):
        self.check.found["probe"] = part(sanitizer=None)
        result = self.run_phase(self.programs("test_a"))
        self.assertTrue(result["failed"])
        self.assertIn("not run", result["lines"][0])


if __name__ == "__main__":
    unittest.main()
