#!/usr/bin/env python3
"""Compares golden logits of real models with what transformers gives for the same ids.

    VENV/bin/python tools/reference/check_golden.py DATA

DATA holds hf-NAME/ (a checkpoint each) and golden/NAME.{ids,logits}.npy. Prints a table in
Markdown; exits with 1 if any logit differs by more than LIMIT in F64.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

# The golden logits come from F64 throughout; transformers rounds the rotation to F32 in any dtype.
LIMIT = 1e-4
STORIES = "hf-stories260K"
CASES = [
    ("stories260K", STORIES, None),
    ("stories260K-linear4", STORIES, {"rope_type": "linear", "factor": 4.0}),
    ("stories260K-yarn8", STORIES, {"rope_type": "yarn", "factor": 8.0,
                                    "original_max_position_embeddings": 512}),
    ("stories260K-llama3", STORIES, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                     "high_freq_factor": 4.0,
                                     "original_max_position_embeddings": 512}),
    ("llama2xs-300K", "hf-llama2xs-300K", None),
    ("story-656K", "hf-story-infinitensor", None),
]


def load(folder, rope):
    fields = json.loads((folder / "config.json").read_text())
    if rope is not None:
        fields["rope_scaling"] = rope
    config = CONFIG_MAPPING[fields["model_type"]].from_dict(fields)
    return AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32,
                                                attn_implementation="eager").eval()


def difference(model, ids, want):
    with torch.no_grad():
        got = model(input_ids=torch.from_numpy(ids.astype(np.int64))[None]).logits[0]
    return float(np.abs(got.double().numpy() - want.astype(np.float64)).max())


def main():
    parser = argparse.ArgumentParser(description="golden logits against transformers")
    parser.add_argument("data", type=pathlib.Path)
    data = parser.parse_args().data
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print(f"transformers {transformers.__version__}, torch {torch.__version__}\n")
    print("| golden file | ids | F32 | F64 |\n|---|---|---|---|")
    worst = 0.0
    for name, folder, rope in CASES:
        ids = np.load(data / "golden" / f"{name}.ids.npy")
        want = np.load(data / "golden" / f"{name}.logits.npy")
        model = load(data / folder, rope)
        single = difference(model, ids, want)
        double = difference(model.double(), ids, want)
        print(f"| {name} | {len(ids)} | {single:.1e} | {double:.1e} |")
        worst = max(worst, double)
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
