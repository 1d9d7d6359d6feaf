"""phases - what is checked and measured, in order. Every phase fills result["lines"] for the page
and result["data"] for the phases behind it."""
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import bars
import mps
import page
import sanitizer
import study
from places import Missing

LIMIT_S = 460  # of one command: a phase stays under eight minutes


class Check:
    """What all phases share."""

    def __init__(self, places, out, device, weights):
        self.places, self.out, self.device = places, out, device
        self.weights = weights or out / "weights"
        self.found = {}

    def run(self, argv, log, limit_s=LIMIT_S, **kwargs):
        """Runs a program in a process group of its own; its words go to OUT/logs/LOG."""
        path = self.out / "logs" / log
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w") as words:
            child = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=words,
                                     text=True, start_new_session=True, **kwargs)
            try:
                out, _ = child.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                stop(child)
                raise
            except KeyboardInterrupt:
                stop(child)
                raise
        with open(path, "a") as words:
            words.write(out)
        return child.returncode, out, path

    def prompt(self):
        """A text of the demo generator, long enough for the exactness runs."""
        path = self.out / "prompt.txt"
        if not path.exists():
            code, out, log = self.run(
                [self.places.program("mspeckv"), "dataset", "demo", "--tokens", 1200], "dataset.log")
            if code != 0:
                raise Missing(self.last_words(log))
            path.write_text(out)
        return path

    def last_words(self, path):
        lines = [line for line in path.read_text().splitlines() if line.strip()]
        return lines[-1][:page.WIDTH - 4] if lines else "it said nothing"

    def ceiling(self, key):
        part = self.found.get("ceilings")
        return part["data"].get(key) if part and not part["failed"] else None


def stop(child):
    for sig, wait_s in ((signal.SIGINT, 5), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(child.pid, sig)
            child.wait(timeout=wait_s)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


class Phase:
    name = title = help = ""

    def run(self, check, result):
        raise NotImplementedError


class Probe(Phase):
    name, title = "probe", "What this machine allows"
    help = "driver, sharing between processes, host registration, sanitizer, counters"

    def run(self, check, result):
        bench = check.places.program("mspeckv-bench")
        code, out, log = check.run([bench, "probe", "--device", check.device], "probe.log")
        if code != 0:
            raise Missing(check.last_words(log))
        for probe in json_lines(out):
            words = probe["words"] if probe["words"] else ("yes" if probe["ok"] else "no")
            result["lines"].append(f"  {probe['probe']:16} {words}")
            result["data"][probe["probe"]] = probe["ok"]
        tools = (("sanitizer", "compute-sanitizer", []),
                 ("counters", "ncu", ["--metrics", "sm__cycles_elapsed.max", "--clock-control", "none",
                                      "--launch-count", "1"]))
        for what, tool, options in tools:
            path = shutil.which(tool) or shutil.which(tool, path="/usr/local/cuda/bin")
            if path is None:
                result["lines"].append(f"  {what:16} no: {tool} is not on this machine")
                result["data"][what] = None
                continue
            code, _, log = check.run([path, *options, bench, "ceilings", "--device", check.device],
                                     f"{tool}.log")
            result["data"][what] = path if code == 0 else None
            result["lines"].append(f"  {what:16} " +
                                   ("yes" if code == 0 else f"no: {check.last_words(log)}"))


class Ceilings(Phase):
    name, title = "ceilings", "Ceilings"
    help = "device copy, pinned copies both ways, large products"

    def run(self, check, result):
        bench = check.places.program("mspeckv-bench")
        code, out, log = check.run([bench, "ceilings", "--device", check.device], "ceilings.log")
        if code != 0:
            raise Missing(check.last_words(log))
        data = result["data"] = json_lines(out)[-1]
        result["lines"] += [
            f"  device copy, bytes read and written   {data['copy_gbps']:8.0f} GB/s",
            f"  pinned host memory to the device      {data['to_device_gbps']:8.1f} GB/s",
            f"  device to pinned host memory          {data['from_device_gbps']:8.1f} GB/s",
            f"  bf16 product of side 4096 by cuBLAS at f32 accuracy "
            f"(three products)  {data['product_tflops']:.0f} TFLOP/s",
        ]


def tests_of(check):
    tests = check.places.kernel_tests()
    if not tests:
        raise Missing(f"no kernel tests in {check.places.bin}")
    return tests


class Kernels(Phase):
    name, title = "kernels", "Operations against their plain references"
    help = "every operation against its plain reference"

    def run(self, check, result):
        skipped = 0
        tests = tests_of(check)
        seconds = result["data"]["seconds"] = {}
        for test in tests:
            begin = time.monotonic()
            code, _, log = check.run([test], f"{self.name}-{test.name}.log", 300)
            seconds[test.name] = time.monotonic() - begin
            if code == 77:
                skipped += 1
            if code != 0:
                result["failed"] = True
                word = "skipped" if code == 77 else "FAILED"
                result["lines"].append(f"  {test.name:32} {word}: {check.last_words(log)}")
        result["lines"].append(f"  {len(tests)} test programs, {skipped} skipped")


class Sanitizer(Phase):
    name, title = "sanitizer", "Kernel tests under compute-sanitizer"
    help = "the kernel tests under compute-sanitizer's " + ", ".join(sanitizer.TOOLS)

    def run(self, check, result):
        sanitizer.run(check, result, tests_of(check))


class Exactness(Phase):
    name, title = "exactness", "Tokens of all methods against the baseline's"
    help = "all methods give the baseline's tokens on the demo model"

    def run(self, check, result):
        for acceptance, temperature in (("rejection", 0), ("coupled", 0.6)):
            for kv_format in ("f16", "int8", "int4"):
                same, compared = study.exactness(check, acceptance, temperature, kv_format)
                word = "the same" if same == compared and compared else "DIFFERENT"
                result["failed"] |= word != "the same"
                law = "greedy" if temperature == 0 else f"coupled at {temperature}"
                result["lines"].append(
                    f"  {law:16} {kv_format:5} {same} of {compared} methods: {word}")


class Speed(Phase):
    name, title = "speed", "Bandwidth of attention and of small-batch products"
    help = "attention over 32768 and 4096 tokens, products of the 7B shapes, against the device's copy"

    def run(self, check, result):
        bench = check.places.program("mspeckv-bench")
        tables = {}
        for what, options in (("attention", []), ("attention", ["--heads", 8, "--group", 4]),
                              ("matmul", [])):
            code, out, log = check.run([bench, what, "--device", check.device, *options],
                                       f"bench-{what}{len(options)}.log")
            if code != 0:
                raise Missing(check.last_words(log))
            tables.setdefault(what, out)  # without groups
            result["lines"] += [f"  {line}" for line in out.splitlines()] + [""]
        result["data"]["bars"] = bars.speed(tables["attention"], tables["matmul"])


class Weights(Phase):
    name, title = "weights", "Random weights of Llama-2-7B's shape"
    help = "13.6 GB by mspeckv synth; random weights, so acceptance means nothing"

    def run(self, check, result):
        synth = check.places.program("mspeckv-synth")
        check.weights.mkdir(parents=True, exist_ok=True)
        for arch, kind in (("llama-7B-128K", "target"), ("llama-68m", "draft")):
            out = check.weights / kind
            if (out / "config.json").exists():
                result["lines"].append(f"  {kind}: there already")
                continue
            code, _, log = check.run([synth, "--arch", arch, "--out", out, "--tokenizer",
                                        check.places.share / "experiments" / "demo" / "target"], f"synth-{kind}.log")
            if code != 0:
                raise Missing(check.last_words(log))
            size = sum(f.stat().st_size for f in Path(out).iterdir())
            result["lines"].append(f"  {kind}: {arch}, {size / 1e9:.2f} GB")


class Study(Phase):
    name, title = "study", "a1 at Llama-2-7B's shape"
    help = "a1 at 32768 tokens, replayed acceptance"

    def run(self, check, result):
        study.a1(check, result)


class Equal(Phase):
    name, title = "equal", "The same at equal device KV"
    help = "mspeckv_kv_quant in what the baseline's on-chip layers hold"

    def run(self, check, result):
        study.equal(check, result)


class Roof(Phase):
    name, title = "roof", "The same with all KV on the chip"
    help = "how fast it would be if nothing were offloaded"

    def run(self, check, result):
        study.roof(check, result)


class Lengths(Phase):
    name, title = "lengths", "Round time at 8192 and at 32768 tokens"
    help = "round time at 8192 tokens over that at 32768; acceptance as measured"

    def run(self, check, result):
        study.lengths(check, result)


class Mps(Phase):
    name, title = "mps", "Two processes on one GPU, with and without MPS"
    help = "the replayed study with NVIDIA's Multi-Process Service and without it"

    def run(self, check, result):
        mps.run(check, result)


ALL = [Probe(), Ceilings(), Kernels(), Sanitizer(), Exactness(), Speed(), Weights(), Study(),
       Equal(), Roof(), Lengths(), Mps()]
