"""bars - what the GPU is asked to reach, and whether what the phases found reaches it.

A bar is judged from the data of a phase that ended well and from nothing else: where a figure was
not measured, it is said so.
"""
import re

ATTENTION = {"f16": 0.80, "int8": 0.70, "int4": 0.60}  # of the device's copy, at 1 and 9 rows
PRODUCTS = 0.80                                        # of what the device reads, 1 to 16 rows
# (in, out) of a Llama-2-7B layer's products: q with k and v, output, gate with up, down; the head.
SHAPES = {(4096, 12288), (4096, 4096), (4096, 22016), (11008, 4096), (4096, 32000)}
LINK = 0.90      # of the pinned host-to-device rate
SPEEDUP = 14.14  # mspeckv_kv_quant over the baseline, replayed acceptance
EQUAL = 8.0      # the same at equal device KV
LENGTHS = 0.90   # round time at 8192 tokens over that at 32768


def ceiling_of(text):
    """GB/s of the device, from the first line of a table: "cuda:0 (NAME): 4200.0 GB/s"."""
    first = re.search(r"\): ([0-9.]+) GB/s", text.partition("\n")[0])
    return float(first.group(1)) if first else None


def of_attention(text):
    """(format, rows, share) of the lines of 32768 tokens and 32 heads without groups."""
    ceiling = ceiling_of(text)
    for line in text.splitlines():
        word = line.split()
        if len(word) == 10 and word[1] == "32768" and word[2:6] == ["32", "x", "128", "32"]:
            yield word[0], int(word[6]), share(float(word[8]), ceiling)


def of_products(text):
    """(type, in, out, rows, share) of the lines of 7B shapes."""
    ceiling = ceiling_of(text)
    for line in text.splitlines():
        word = line.split()
        if len(word) == 8 and word[1].isdigit() and (int(word[1]), int(word[2])) in SHAPES:
            yield word[0], int(word[1]), int(word[2]), int(word[3]), share(float(word[5]), ceiling)


def speed(attention, products):
    """What the phase `speed` keeps of two tables of mspeckv-bench, as rows of [what, share, bar]."""
    rows = [[f"attention, {kv}, {n} row{'s' if n > 1 else ''}, of device copy", of_it, ATTENTION[kv]]
            for kv, n, of_it in of_attention(attention) if n in (1, 9) and kv in ATTENTION]
    least = {}
    for kind, n_in, n_out, n_rows, of_it in of_products(products):
        if kind == "bf16" and n_rows <= 16 and of_it is not None and of_it < least.get((n_in, n_out), (2, 0))[0]:
            least[n_in, n_out] = (of_it, n_rows)
    return rows + [[f"product {n_in} x {n_out}, least of 1 to 16 rows (at {n}), of device read", of_it,
                    PRODUCTS] for (n_in, n_out), (of_it, n) in least.items()]


def of(found, phase, key):
    """A figure of a phase, None if it was not measured."""
    part = found.get(phase)
    return part["data"].get(key) if part and not part["failed"] else None


def share(value, whole):
    return value / whole if value and whole else None


def percent(value):
    return f"{100 * value:.1f} %"


def times(value):
    return f"{value:.2f}x"


def plain(value):
    return f"{value:.2f}"


def judged(what, value, bar, words):
    if value is None:
        return [what, "-", words(bar), "not measured"]
    return [what, words(value), words(bar), "reached" if value >= bar else "not reached"]


def judge(found):
    """Rows of [what, measured, wanted, reached or not], for the end of the page."""
    rows = [judged(*row, percent) for row in of(found, "speed", "bars") or []]
    if not rows:
        rows = [judged(f"attention, {kv}, of device copy", None, bar, percent)
                for kv, bar in ATTENTION.items()]
        rows.append(judged("products of 1 to 16 rows, of device read", None, PRODUCTS, percent))
    streamed = share(of(found, "study", "streamed_gbps"), of(found, "ceilings", "to_device_gbps"))
    return rows + [
        judged("offloaded layers, of pinned to device", streamed, LINK, percent),
        judged("mspeckv_kv_quant over baseline, replayed", of(found, "study", "kv_quant_speedup"),
               SPEEDUP, times),
        judged("the same at equal device KV, replayed", of(found, "equal", "speedup"), EQUAL, times),
        judged("round at 8192 over one at 32768 tokens", of(found, "lengths", "ratio"), LENGTHS, plain),
    ]
