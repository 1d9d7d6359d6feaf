#!/usr/bin/env python3
"""Checks that every #include goes down the layers that CMakeLists.txt names.

The build file is the architecture: add_layer(NAME USES ...) lines, lowest
first. A layer may include itself, the layers it uses, and single headers that
its line names; nothing else.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAYER = re.compile(r"^add_layer\((\w+)\s+([^)]*)\)", re.M)
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def read_layers():
    """name -> set of layers and headers it may include, itself among them."""
    layers = {}
    for name, rest in LAYER.findall((ROOT / "CMakeLists.txt").read_text()):
        words = re.split(r"\bLIBS\b", rest)[0].split()
        uses = set(words[1:]) if words[:1] == ["USES"] else set()
        later = {u for u in uses if u.split("/")[0] not in layers}
        if later:
            sys.exit(f"CMakeLists.txt: {name} uses {', '.join(sorted(later))}, "
                     "which no line above it adds")
        layers[name] = uses | {name}
    return layers


def main():
    layers = read_layers()
    wrong = []
    for name, uses in layers.items():
        for path in sorted((ROOT / name).glob("*.[ch]")):
            for target in INCLUDE.findall(path.read_text()):
                folder = target.split("/")[0]
                if not (ROOT / target).is_file():
                    wrong.append(f"{path.relative_to(ROOT)}: {target} is not a path from the root")
                elif folder not in uses and target not in uses:
                    wrong.append(f"{path.relative_to(ROOT)}: {name} may not include {target}")
    print("\n".join(wrong) or f"layers: {len(layers)} layers, every include goes down")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
