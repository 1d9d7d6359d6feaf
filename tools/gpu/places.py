"""places - where programs, tests and experiments lie: in an installed bundle or in a built source tree."""
import subprocess
from pathlib import Path


class Missing(Exception):
    """Something that a phase needs is not there; the text says what would help."""


class Places:
    """root/bin in a bundle, root/build/bin in a source tree; the same names below either."""

    def __init__(self, root):
        self.root = Path(root)
        self.is_bundle = (self.root / "bin" / "mspeckv").exists()
        self.bin = self.root / "bin" if self.is_bundle else self.root / "build" / "bin"
        self.lib = self.bin.parent / "lib"
        self.share = self.root / "share" / "mspeckv" if self.is_bundle else self.root

    def prepare(self):
        """Builds a source tree that was not built yet; a bundle is ready as it is."""
        if self.is_bundle:
            return
        if not (self.bin / "mspeckv").exists() or not (self.bin / "cuda_test_attention").exists():
            subprocess.run([str(self.root / "mspeckv"), "build", "--tests"], check=True)
        if not (self.lib / "libmspeckv_cuda.so").exists():
            raise Missing("this build has no CUDA backend: nvcc was not found when it was configured")

    def program(self, name):
        path = self.bin / name
        if not path.exists():
            raise Missing(f"{path} is not there: build with tests, or use a whole bundle")
        return str(path)

    def experiment(self, name):
        path = self.share / "experiments" / name
        if not path.exists():
            raise Missing(f"{path} is not there")
        return str(path)

    def kernel_tests(self):
        return sorted(p for p in self.bin.glob("cuda_test_*") if p.is_file())
