"""Tiny random checkpoints of a family: seeded weights, how they are stored, the model of both."""

import copy
import json

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import seeded

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"
SHARDS = 3
SEED = 21


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def config_of(fields):
    """transformers' config of what a config.json says."""
    return CONFIG_MAPPING[fields["model_type"]].from_dict(copy.deepcopy(fields))


def new_model(config):
    """An untrained F32 model; attention in plain operations, so that nothing hides in a kernel."""
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager",
                                            dtype=torch.float32).eval()


def weight(variant, name, shape):
    """Norms near one; q and k large enough that attention is far from uniform, so that a wrong
    angle or mask shows in the logits."""
    if name.endswith("norm.weight"):
        return 1 + seeded.normal(SEED, f"{variant}/{name}", shape, 0.2)
    if name.endswith(".bias"):
        return seeded.normal(SEED, f"{variant}/{name}", shape, 0.4)
    if name in (EMBED, HEAD):
        return seeded.normal(SEED, f"{variant}/{name}", shape, 0.7)
    gain = 1.5 if "q_proj" in name or "k_proj" in name else 1.0
    return seeded.normal(SEED, f"{variant}/{name}", shape, gain / shape[-1] ** 0.5)


def random_state(config, variant, dtype):
    """The tensors that a checkpoint stores, by name, rounded to its dtype."""
    return {name: weight(variant, name, tuple(value.shape)).to(DTYPES[dtype])
            for name, value in sorted(new_model(config).state_dict().items())
            if not (name == HEAD and config.tie_word_embeddings)}


def save_weights(folder, state, stored_as):
    """`single`; `sharded`: three files and their index; `head_only`: the tied matrix stands under
    the name of the head."""
    if stored_as == "head_only":
        state = {HEAD if name == EMBED else name: t for name, t in state.items()}
    if stored_as != "sharded":
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(state)
    files = [f"model-{i + 1:05d}-of-{SHARDS:05d}.safetensors" for i in range(SHARDS)]
    weight_map = {name: files[i % SHARDS] for i, name in enumerate(names)}
    for file in files:
        save_file({n: state[n] for n in names if weight_map[n] == file}, folder / file,
                  metadata={"format": "pt"})
    total = sum(t.numel() * t.element_size() for t in state.values())
    write_json(folder / "model.safetensors.index.json",
               {"metadata": {"total_size": total}, "weight_map": weight_map})


def load(fields, state, dtype="F32"):
    """The model of a config.json's content with these tensors, computing in `dtype`."""
    config = config_of(fields)
    # Rotary frequencies are made with the model and stay F32 in every dtype, as when
    # transformers loads a checkpoint.
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager",
                                             dtype=DTYPES[dtype]).eval()
    missing, unexpected = model.load_state_dict(
        {name: t.to(DTYPES[dtype]) for name, t in state.items()}, strict=False)
    if unexpected or set(missing) - ({HEAD} if config.tie_word_embeddings else set()):
        raise ValueError(f"tensors do not fit: missing {missing}, unexpected {unexpected}")
    return model
