"""sanitizer - kernel tests under the tools of compute-sanitizer. A program that was clean stays
noted in OUT/found/sanitizer.clean.json, so that a phase whose time was up goes on from there."""
import json
import os
import subprocess
import time

# Out of bounds and misaligned; shared memory raced for; barriers misused; memory read before it
# is written.
TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
PHASE_S = 440    # a phase stays under eight minutes
PROGRAM_S = 150  # of one program under one tool
SANITIZER_EXIT = 9


class Clean:
    """What was clean: "TOOL PROGRAM" -> the program's age, so that a new build counts anew."""

    def __init__(self, path):
        self.path = path
        try:
            self.at = json.loads(path.read_text())
        except (OSError, ValueError):
            self.at = {}
        if not isinstance(self.at, dict):
            self.at = {}

    def holds(self, tool, test):
        return self.at.get(f"{tool} {test.name}") == test.stat().st_mtime_ns

    def add(self, tool, test):
        self.at[f"{tool} {test.name}"] = test.stat().st_mtime_ns
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.at, indent=1))
        os.replace(part, self.path)


def fastest_first(tests, seconds):
    """By the time that the phase `kernels` took for each; unknown ones last."""
    return sorted(tests, key=lambda test: (seconds.get(test.name, float("inf")), test.name))


def words_of(code, log):
    """What the sanitizer says of a run that was not clean."""
    if code == 77:
        return "skipped, so nothing was checked"
    text = log.read_text(errors="replace")
    told = [line.strip("= \n") for line in text.splitlines() if line.startswith("=========")]
    errors = [line for line in told if line and not line.startswith(("COMPUTE-SANITIZER", "ERROR SUMMARY"))]
    first = errors[0] if errors and code == SANITIZER_EXIT else None
    return first or f"exit {code}; see {log}"


def run_one(check, sanitizer, tool, test, limit_s):
    """None: clean; else what is wrong."""
    argv = [sanitizer, "--tool", tool, "--error-exitcode", SANITIZER_EXIT, "--target-processes", "all", test]
    try:
        code, _, log = check.run(argv, f"sanitizer-{tool}-{test.name}.log", limit_s)
    except subprocess.TimeoutExpired:
        return f"took more than {limit_s:.0f} s"
    return None if code == 0 else words_of(code, log)


def run_tool(check, sanitizer, tool, tests, until):
    """(wrong: [(program, words)], waiting: [program])."""
    clean = Clean(check.out / "found" / "sanitizer.clean.json")
    wrong, waiting = [], []
    for test in tests:
        if clean.holds(tool, test):
            continue
        left = until - time.monotonic()
        if left < 1:
            waiting.append(test.name)
            continue
        words = run_one(check, sanitizer, tool, test, min(PROGRAM_S, left))
        if words is None:
            clean.add(tool, test)
        elif left < PROGRAM_S and words.startswith("took"):
            waiting.append(test.name)
        else:
            wrong.append((test.name, words))
    return wrong, waiting


def run(check, result, tests, phase_s=PHASE_S):
    sanitizer = check.found.get("probe", {"data": {}})["data"].get("sanitizer")
    seconds = check.found.get("kernels", {"data": {}})["data"].get("seconds", {})
    lines = result["lines"]
    if not sanitizer:
        result["failed"] = True
        lines.append("  not run: the phase 'probe' found no working compute-sanitizer")
        return
    until = time.monotonic() + phase_s
    for tool in TOOLS:
        wrong, waiting = run_tool(check, sanitizer, tool, fastest_first(tests, seconds), until)
        n_clean = len(tests) - len(wrong) - len(waiting)
        lines.append(f"  {tool:10} no error in {n_clean} of {len(tests)} programs")
        lines += [f"    {name}: {words}" for name, words in wrong]
        result["data"][tool] = {"clean": n_clean, "of": len(tests)}
        if waiting:
            lines.append(f"    {len(waiting)} wait: the phase's time is up; run it again to go on")
        result["failed"] |= bool(wrong or waiting)
