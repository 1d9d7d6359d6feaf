"""What `cmake --install` makes runs from wherever it is put: every library beside glibc and CUDA's
own lies in the bundle and is found there; programs find their files; it is small."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

GLIBC = re.compile(r"^(linux-vdso|ld-linux|lib(c|m|pthread|dl|rt|resolv|util|nsl|anl)\.so)")
CUDA = re.compile(r"^lib(cublas|cublasLt)\.so")
MOST_BYTES = 60_000_000
BUILD = None


def libraries(path):
    """name -> path (None where it is not found) of what the loader would take."""
    said = subprocess.run(["ldd", str(path)], capture_output=True, text=True, env={}).stdout
    found = {}
    for line in said.splitlines():
        name, _, rest = line.strip().partition(" => ")
        name = pathlib.Path(name.split(" (")[0]).name
        found[name] = None if rest.startswith("not found") else rest.split(" (")[0]
    return found


class Bundle(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        first = pathlib.Path(cls.temporary.name) / "first"
        subprocess.run(["cmake", "--install", BUILD, "--prefix", str(first)], check=True,
                       capture_output=True)
        cls.root = first.rename(first.parent / "moved")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def run_program(self, name, *args):
        return subprocess.run([str(self.root / "bin" / name), *args], capture_output=True,
                              encoding="utf-8", errors="replace",  # a byte may be half a letter
                              env={"PATH": "/usr/bin:/bin"}, cwd=self.temporary.name)

    def test_every_library_lies_inside(self):
        files = [p for d in ("bin", "lib") for p in (self.root / d).iterdir()]
        self.assertGreater(len(files), 12)
        for path in (self.root / "bin").iterdir():
            for name, where in libraries(path).items():
                if not GLIBC.match(name):
                    self.assertIsNotNone(where, f"{path.name} does not find {name}")
                    self.assertTrue(where.startswith(str(self.root)),
                                    f"{path.name} takes {name} from {where}")

    def test_the_backend_lacks_nothing_but_cuda(self):
        backend = self.root / "lib" / "libmspeckv_cuda.so"
        if not backend.exists():
            self.skipTest("built without nvcc")
        for name, where in libraries(backend).items():
            if not GLIBC.match(name) and not CUDA.match(name):
                self.assertIsNotNone(where, f"the backend does not find {name}")

    def test_it_is_small(self):
        # Names of libraries are links to them.
        size = sum(p.lstat().st_size for p in self.root.rglob("*") if not p.is_dir())
        self.assertLess(size, MOST_BYTES)

    def test_the_manual_and_completions_lie_where_they_are_sought(self):
        for path in ("man/man1/mspeckv.1", "bash-completion/completions/mspeckv",
                     "zsh/site-functions/_mspeckv"):
            self.assertTrue((self.root / "share" / path).is_file(), path)

    def test_programs_run_and_find_their_files(self):
        self.assertRegex(self.run_program("mspeckv", "version").stdout, r"^mspeckv \d")
        text = self.run_program("mspeckv", "dataset", "demo", "--tokens", "50")
        self.assertEqual(text.returncode, 0, text.stderr)
        model = self.run_program("mspeckv", "synth", "--arch", "custom", "--layers", "1", "--hidden",
                                 "64", "--heads", "2", "--intermediate", "64", "--vocab", "32000",
                                 "--out", "model")
        self.assertEqual(model.returncode, 0, model.stderr)
        here = str(self.root / "share" / "mspeckv" / "experiments" / "demo" / "target")
        out = self.run_program("mspeckv", "generate", "--target", here, "--prompt", "a b c",
                               "--gen-len", "4", "--method", "baseline")
        self.assertEqual(out.returncode, 0, out.stderr)


if __name__ == "__main__":
    BUILD = sys.argv.pop()
    unittest.main()
