#!/usr/bin/env python3
"""Checks the limits of a file (400 lines) and of a function (60 lines).

Over the limit usually means two nouns in one place. An exception stands in
EXCEPTIONS with its reason.
"""
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE_LINES = 400
FUNCTION_LINES = 60
# path, or path:function -> why it may be longer
EXCEPTIONS = {
    "draft_worker/main.c:options_parse": "one table of options, best read in one piece",
    "verify_worker/main.c:options_parse": "one table of options, best read in one piece",
}


def functions(lines):
    """(name line, length) of every function: braces stand alone in column 0."""
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            yield lines[start - 1], number - start + 1
            start = None


def main():
    wrong = []
    listed = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.cu", "*.cuh", "*.py", "*.sh"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        path = ROOT / name
        if not path.exists():
            continue
        lines = path.read_text().split("\n")
        if len(lines) - 1 > FILE_LINES and name not in EXCEPTIONS:
            wrong.append(f"{name}: {len(lines) - 1} lines, at most {FILE_LINES}")
        if not name.endswith((".c", ".h")):
            continue
        for head, length in functions(lines):
            if length > FUNCTION_LINES and f"{name}:{head.split('(')[0].split()[-1]}" not in EXCEPTIONS:
                wrong.append(f"{name}: {head.strip()} has {length} lines, at most {FUNCTION_LINES}")
    print("\n".join(wrong) or f"sizes: {len(listed)} files within the limits")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
