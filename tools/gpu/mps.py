"""mps - draft and verify on one GPU with NVIDIA's Multi-Process Service and without it: two
processes take turns on a GPU unless a daemon of it joins their work. The daemon is this phase's
own, with private folders, and has ended when the phase ends."""
import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import page
import study
from places import Missing

CONTROL = "nvidia-cuda-mps-control"
ANSWER_S = 20  # of the daemon; a `quit` waits for its servers
METHODS = ["mspeckv", "mspeckv_kv_quant"]
HEADS = ["", "MPS", "tok/s", "round ms", "draft", "middle", "verify"]


@contextlib.contextmanager
def environment(**more):
    """Programs that are started inside see these variables."""
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def private_folder():
    """A daemon's sockets lie in a folder of their own: a short path, since a socket's is at most 107
    bytes long, and no client of another finds it. Without a daemon in it no client uses MPS."""
    folder = tempfile.mkdtemp(prefix="mspeckv-mps-")
    try:
        with environment(CUDA_MPS_PIPE_DIRECTORY=folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tell(control, command):
    """(did a daemon answer, what it said)."""
    try:
        done = subprocess.run([control], input=command + "\n", capture_output=True, text=True,
                              timeout=ANSWER_S)
    except (subprocess.TimeoutExpired, OSError) as error:
        return False, str(error)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def start(check, control, log):
    """Its words go to a file: a pipe would stay open for as long as the daemon lives."""
    with open(log, "w") as words:
        done = subprocess.run([control, "-d"], stdin=subprocess.DEVNULL, stdout=words,
                              stderr=subprocess.STDOUT, timeout=ANSWER_S)
    if done.returncode != 0:
        raise Missing(f"{CONTROL} -d: {check.last_words(log)}")


@contextlib.contextmanager
def daemon(check, control):
    """A daemon in a folder of its own; Missing where it does not start."""
    logs = check.out / "logs" / "mps"
    logs.mkdir(parents=True, exist_ok=True)
    with private_folder(), environment(CUDA_MPS_LOG_DIRECTORY=str(logs)):
        start(check, control, logs / "start.log")
        try:
            yield
        finally:
            if not tell(control, "quit")[0]:
                tell(control, "quit -t 0")  # does not wait for a client that hangs


def measure(check, name):
    more = {**study.STUDY, "methods": METHODS, "reference": METHODS[-1]}
    return study.run(check, name, "a1-replayed.yaml", study.seven(check, study.TOKENS, 96, more))


def rows(lines, word):
    return [[method, word, f"{study.mean(group, study.rate):.2f}", f"{study.round_ms(group):.2f}",
             *(f"{study.phase_ms(group, key):.2f}" for key in ("draft_s", "middle_s", "verify_s"))]
            for method, group in study.by_method(lines).items()]


def tokens(lines):
    return sorted((line["method"], line["document"], line["seed"], line["tokens"]) for line in lines)


def compare(without, joined, result):
    result["lines"] += page.table(rows(without, "no") + rows(joined, "yes"), HEADS)
    both = [study.round_ms(study.by_method(lines)[METHODS[-1]]) for lines in (without, joined)]
    result["data"].update(without_ms=both[0], with_ms=both[1])
    result["lines"].append(f"  a round of {METHODS[-1]} with MPS takes {both[1] / both[0]:.3f} of its "
                           "time without")
    if tokens(without) != tokens(joined):
        result["failed"] = True
        result["lines"].append("  TOKENS DIFFER between the two")


def run(check, result):
    control = shutil.which(CONTROL) or shutil.which(CONTROL, path="/usr/local/cuda/bin")
    if control is None:
        result["lines"].append(f"  not measured: {CONTROL} is not on this machine")
        return
    if not Path(check.weights / "target" / "config.json").exists():
        raise Missing("needs the phase 'weights' first")
    word = "with the MPS daemon that runs here" if tell(control, "get_server_list")[0] else "without MPS"
    result["lines"] += [f"  the other phases run {word}; here: REPLAYED ACCEPTANCE, 32768 tokens,",
                        "  on_chip 16, resident 16, draft and verify on one GPU"]
    with private_folder():
        without = measure(check, "without-mps")
    try:
        with daemon(check, control):
            joined = measure(check, "with-mps")
            answered, servers = tell(control, "get_server_list")
    except Missing as missing:
        result["failed"] = True
        result["lines"] += page.table(rows(without, "no"), HEADS) + [f"  not with MPS: {missing}"]
        return
    if not answered or not servers:
        result["failed"] = True
        result["lines"].append("  no process used the daemon: its figures are not MPS's")
        return
    compare(without, joined, result)
