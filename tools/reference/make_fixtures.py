#!/usr/bin/env python3
"""Writes tests/fixtures: what today's torch and transformers give, as small files.

    python3 -m venv VENV && VENV/bin/pip install -r tools/reference/requirements.txt
    VENV/bin/python tools/reference/make_fixtures.py [--out DIR] [PART]...

Every byte follows from the seeds in these modules and the pinned versions: a second run must leave
the folder as it was. Parts: checkpoints, rotations, tokenizers, torch_bin.
"""

import argparse
import pathlib

import checkpoints
import rotations
import tokenizer_vectors
import torch_bin

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "tests" / "fixtures"
PARTS = {
    "checkpoints": checkpoints.make,
    "rotations": rotations.make,
    "tokenizers": tokenizer_vectors.make,
    "torch_bin": torch_bin.make,
}


def main():
    parser = argparse.ArgumentParser(description="writes tests/fixtures")
    parser.add_argument("--out", type=pathlib.Path, default=FIXTURES)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for part in args.parts or PARTS:
        PARTS[part](args.out / part)


if __name__ == "__main__":
    main()
