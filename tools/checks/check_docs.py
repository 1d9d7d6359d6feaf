#!/usr/bin/env python3
"""Checks that every path the documents name exists.

A path is anything in backquotes that holds a slash and names a file or folder
of the repository; the map of ARCHITECTURE.md must name every folder.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "FORMATS.md"]
QUOTED = re.compile(r"`([A-Za-z0-9_.*{},-]+/[A-Za-z0-9_./*{},-]*)`")
# first words that are not paths of the repository
NOT_PATHS = ("build/", "runs/", "plots/", "dev/", "pair/", "logs/", "model/config/")


def expand(pattern):
    """a/{b,c}.h -> a/b.h, a/c.h"""
    match = re.search(r"\{([^}]*)\}", pattern)
    if match is None:
        return [pattern]
    return [path for word in match.group(1).split(",")
            for path in expand(pattern[:match.start()] + word + pattern[match.end():])]


def main():
    wrong = []
    folders = {pathlib.PurePath(f).parts[0] for f in subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n") if "/" in f}
    docs = [d for d in DOCS if (ROOT / d).exists()] + [
        str(p.relative_to(ROOT)) for p in sorted((ROOT / "docs").glob("*.md"))]
    for doc in docs:
        text = (ROOT / doc).read_text()
        for quoted in QUOTED.findall(text):
            if quoted.startswith(NOT_PATHS) or quoted.split("/")[0] not in folders:
                continue
            for path in expand(quoted):
                if not list(ROOT.glob(path.rstrip("/"))):
                    wrong.append(f"{doc}: {path} does not exist")
    architecture = ROOT / "ARCHITECTURE.md"
    text = architecture.read_text() if architecture.exists() else ""
    for folder in sorted(folders):
        if f"`{folder}/" not in text and not folder.startswith("."):
            wrong.append(f"ARCHITECTURE.md: the map does not name {folder}/")
    print("\n".join(wrong) or f"docs: every path in {len(docs)} documents exists")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
