#!/usr/bin/env python3
"""Prints "N passed, N failed, N skipped" from JUnit files of ctest, and what failed or was skipped.

Exit status 1 if anything failed or nothing ran.
"""
import sys
import xml.etree.ElementTree as tree


def main():
    passed, failed, skipped = 0, [], []
    for path in sys.argv[1:]:
        for case in tree.parse(path).getroot().iter("testcase"):
            if case.find("failure") is not None or case.get("status") == "fail":
                failed.append(case.get("name"))
            elif case.find("skipped") is not None:
                skipped.append(case.get("name"))
            else:
                passed += 1
    for name in skipped:
        print(f"skipped: {name}")
    for name in failed:
        print(f"failed: {name}")
    print(f"{passed} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
