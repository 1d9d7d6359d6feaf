"""study - runs of the orchestrator on the GPU and what their results say."""
import json
import shutil
import statistics

import page
from places import Missing

GIB = 1 << 30
TOKENS = 32768
# 16 of 32 layers on the chip, the baseline of the original study.
STUDY = {"on_chip": 16, "resident_layers": 16}
# Resident layers that the same device memory holds beside tail and retrieval KV when no f16 layer is
# on the chip: 19 of int8 with two staging slots, or all of int4.
EQUAL = {"int8": 19, "int4": 32}


def run(check, name, experiment, settings):
    """Runs the experiment into OUT/runs/NAME; the lines of its results.jsonl."""
    out = check.out / "runs" / name
    if out.exists():
        shutil.rmtree(out)
    argv = [check.places.program("mspeckv"), "run", check.places.experiment(experiment), "--out", out]
    for key, value in settings.items():
        argv += ["--set", f"{key}={json.dumps(value) if not isinstance(value, str) else value}"]
    code, _, log = check.run(argv, f"run-{name}.log")
    results = out / "results.jsonl"
    if code != 0 or not results.exists():
        raise Missing(f"{name}: {check.last_words(log)}")
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    failed = [line for line in lines if line["status"] != "ok"]
    if failed:
        raise Missing(f"{name}: {failed[0]['method']}: {failed[0]['reason']}")
    return lines


def on_device(check):
    return {"devices": f"{{verify: '{check.device}', draft: '{check.device}'}}"}


def tokens_of(check, method, options):
    """Token ids that `generate` gives on the device with the demo model."""
    demo = check.places.share / "experiments" / "demo"
    log = check.out / "logs" / "exactness"
    argv = [check.places.program("mspeckv"), "generate", "--target", demo / "target",
            "--prompt-file", check.prompt(), "--prefill", 700, "--gen-len", 64, "--ignore-eos",
            "--on-chip", 2, "--resident-layers", 3, "--device", check.device, "--json",
            "--log-dir", log, "--method", method]
    if method != "baseline":
        argv += ["--draft", demo / "draft", "--gamma", 5]
    if method.startswith("mspeckv"):
        argv += ["--budget", 256]
    code, out, words = check.run(argv + options, f"exactness-{method}.log", 120)
    if code != 0:
        raise Missing(f"{method}: {check.last_words(words)}")
    return json.loads(out)["tokens"]


def exactness(check, acceptance, temperature, kv_format):
    """(methods that gave the baseline's tokens, methods compared). The unquantized methods follow
    the f16 baseline, mspeckv_kv_quant the baseline over the same quantized pages."""
    law = ["--acceptance", acceptance, "--temperature", temperature, "--seed", 7]
    format_is = ["--kv-format", kv_format]
    methods = ["mspeckv_kv_quant"]
    if kv_format == "f16":
        methods, format_is = ["vanilla_specdec", "mspeckv"], []
    oracle = tokens_of(check, "baseline", law + format_is)
    same = sum(tokens_of(check, m, law + format_is) == oracle for m in methods)
    return same, len(methods)


def rate(line):
    return len(line["tokens"]) / line["decode_s"]


def device_kv(line):
    return sum(line[k] for k in ("kv_on_chip", "kv_resident", "kv_tail", "kv_retrieval", "kv_staging",
                                 "kv_draft"))


def by_method(lines):
    groups = {}
    for line in lines:
        groups.setdefault(line["method"], []).append(line)
    return groups


def mean(group, value):
    return statistics.mean(value(line) for line in group)


def round_ms(group):
    return mean(group, lambda line: 1e3 * line["decode_s"] / max(line["rounds"], 1))


def phase_ms(group, key):
    return mean(group, lambda line: 1e3 * line[key] / max(line["rounds"], 1))


def rows_of(groups, base):
    rows = []
    for method, group in groups.items():
        tokens = mean(group, rate)
        accepted = mean(group, lambda line: line["accepted"] / max(line["rounds"], 1))
        rows.append([method, f"{tokens:.2f}", f"{tokens / base:.2f}x", f"{accepted:.2f}",
                     f"{round_ms(group):.1f}", f"{phase_ms(group, 'draft_s'):.1f}",
                     f"{phase_ms(group, 'middle_s'):.1f}", f"{phase_ms(group, 'verify_s'):.1f}",
                     f"{mean(group, device_kv) / GIB:.2f}"])
    return rows


HEADS = ["", "tok/s", "speedup", "accepted", "round ms", "draft", "middle", "verify", "device KV GiB"]


def seven(check, tokens, gen_len, more):
    return {"target": str(check.weights / "target"), "draft": str(check.weights / "draft"),
            "prefill": [tokens], "gen_len": gen_len, "documents": 1, "seeds": [1, 2],
            **on_device(check), **more}


def a1(check, result):
    link = check.ceiling("to_device_gbps")
    groups = by_method(run(check, "replayed", "a1-replayed.yaml", seven(check, TOKENS, 96, STUDY)))
    base = mean(groups["baseline"], rate)
    out = result["lines"]
    out += ["  random weights, REPLAYED ACCEPTANCE (the original study's accepted lengths are forced,",
            "  everything is computed), 32768 tokens, on_chip 16, resident 16, int8"]
    out += page.table(rows_of(groups, base), HEADS)
    streamed = mean(groups["baseline"], lambda line: line["link_bytes"] / line["decode_s"] / 1e9)
    out += [f"  baseline streams {streamed:.1f} GB/s, {page.ratio(streamed, link)} of the pinned rate"]
    result["data"] = {"baseline_tok_per_s": base, "streamed_gbps": streamed,
                      "kv_quant_speedup": mean(groups["mspeckv_kv_quant"], rate) / base,
                      "round_ms": round_ms(groups["mspeckv_kv_quant"]),
                      "baseline_on_chip_bytes": mean(groups["baseline"], lambda line: line["kv_on_chip"])}


def of_study(check, key):
    """What the phase `study` found."""
    part = check.found.get("study")
    if not part or part["failed"]:
        raise Missing("needs the phase 'study' first")
    return part["data"][key]


ONLY_KV_QUANT = {"methods": ["mspeckv_kv_quant"], "reference": "mspeckv_kv_quant"}


def equal(check, result):
    """Quantized methods in the bytes of the baseline's on-chip layers, int8 first."""
    held, base = of_study(check, "baseline_on_chip_bytes"), of_study(check, "baseline_tok_per_s")
    found = {}
    for kv_format, resident in EQUAL.items():
        more = {"on_chip": 0, "resident_layers": resident, "kv_format": kv_format, **ONLY_KV_QUANT}
        groups = by_method(run(check, f"equal-kv-{kv_format}", "a1-replayed.yaml",
                               seven(check, TOKENS, 96, more)))
        group = groups["mspeckv_kv_quant"]
        takes, speedup = mean(group, device_kv), mean(group, rate) / base
        result["lines"] += [
            f"  {kv_format}, everything in the {held / GIB:.2f} GiB of the baseline's 16 f16 layers:",
            f"  on_chip 0, resident {resident}, REPLAYED ACCEPTANCE; speedup over that baseline"]
        result["lines"] += page.table(rows_of(groups, base), HEADS)
        found[kv_format] = {"speedup": speedup, "bytes": takes}
        if takes > held:
            result["failed"] = True
            result["lines"].append("  NOT EQUAL: it holds more than the baseline's on-chip layers")
    result["data"] = {**found["int8"], "int4": found["int4"]}  # the bar is int8's


def roof(check, result):
    base = of_study(check, "baseline_tok_per_s")
    groups = by_method(run(check, "roof", "a1-replayed.yaml",
                           seven(check, TOKENS, 96, {"on_chip": 32, "resident_layers": 0,
                                                     "methods": ["baseline", "mspeckv"]})))
    result["lines"] += ["  all 32 layers on the chip in f16, REPLAYED ACCEPTANCE; speedup over the",
                        "  baseline with 16 layers on the chip"]
    result["lines"] += page.table(rows_of(groups, base), HEADS)


def lengths(check, result):
    at_32k = of_study(check, "round_ms")
    only = {**STUDY, **ONLY_KV_QUANT}
    short = by_method(run(check, "replayed-8k", "a1-replayed.yaml", seven(check, 8192, 96, only)))
    at_8k = round_ms(short["mspeckv_kv_quant"])
    measured = by_method(run(check, "measured", "a1.yaml", seven(check, 8192, 32, only)))
    result["data"] = {"round_8k_ms": at_8k, "ratio": at_8k / at_32k}
    result["lines"] += [
        f"  round at 8192 tokens {at_8k:.2f} ms, at 32768 {at_32k:.2f} ms: {at_8k / at_32k:.3f}",
        "  acceptance as measured for these random weights (8192 tokens):"]
    result["lines"] += page.table(rows_of(measured, mean(measured["mspeckv_kv_quant"], rate)), HEADS)
