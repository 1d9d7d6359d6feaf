"""A folder per variant: config.json in each spelling, weights, ids.npy, logits.npy.

logits.npy are computed in F32 over the stored weights. Variants stored in BF16 or F16 have
logits_stored.npy too, computed by transformers in that dtype over the same ids: how far those lie
from logits.npy is the dtype's own error.
"""

import json

import numpy as np

import golden
import seeded
import tiny_model
from variants import ALL

PROMPT_SEED = 20
F32_NOISE = 1e-4  # between two orders of summation inside transformers


def spellings(v):
    """File name -> content: config.json as transformers writes it, the others by hand."""
    fields = {**v["fields"], "dtype": {"F32": "float32", "BF16": "bfloat16",
                                       "F16": "float16"}[v["dtype"]]}
    out = {"config.json": json.loads(tiny_model.config_of(fields).to_json_string())}
    if v["old"]:
        old = {k: x for k, x in fields.items() if k not in ("rope_parameters", "dtype")}
        rope = dict(fields["rope_parameters"])
        theta, kind = rope.pop("rope_theta"), rope.pop("rope_type")
        old["torch_dtype"] = fields["dtype"]
        if theta != 10000.0 or kind == "default":
            old["rope_theta"] = theta
        old["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
        out["config_old.json"] = old
    if v["both"]:
        # transformers lets rope_scaling replace rope_parameters.
        out["config_both.json"] = {**fields, "rope_scaling": fields["rope_parameters"],
                                   "rope_parameters": {"rope_type": "default",
                                                       "rope_theta": 123.0}}
    return out


def check(name, what, a, b, limit):
    got = golden.difference(a, b)
    if not got <= limit:
        raise ValueError(f"{name}: {what} differ by {got}, at most {limit} was expected")


def make_variant(folder, name, states):
    v = ALL[name]
    configs = spellings(v)
    for file, content in configs.items():
        tiny_model.write_json(folder / file, content)
    config = tiny_model.config_of(configs["config.json"])
    if v["weights"] is None:
        states[name] = tiny_model.random_state(config, name, v["dtype"])
        tiny_model.save_weights(folder, states[name], v["stored_as"])
    state = states[v["weights"] or name]
    prompt = seeded.tokens(PROMPT_SEED, v["n_prompt"], v["fields"]["vocab_size"])
    ids, logits = golden.decode(tiny_model.load(configs["config.json"], state), prompt, v["pos0"])
    for file, content in configs.items():
        model = tiny_model.load(content, state)
        check(name, f"cached and whole logits of {file}",
              golden.whole(model, ids, v["pos0"]), logits, F32_NOISE)
    np.save(folder / "ids.npy", np.array(ids, "<i4"))
    np.save(folder / "logits.npy", logits.astype("<f4"))
    if v["dtype"] != "F32":
        model = tiny_model.load(configs["config.json"], state, v["dtype"])
        _, stored = golden.decode(model, prompt, v["pos0"], ids)
        np.save(folder / "logits_stored.npy", stored.astype("<f4"))
        print(f"{name}: {v['dtype']} is off by {golden.difference(stored, logits):.3g}")
    print(f"{name}: {len(ids)} tokens, logits of deviation {logits.std():.2f}")


def make(root):
    states = {}
    for name in ALL:
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        make_variant(folder, name, states)
