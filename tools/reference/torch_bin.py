"""Tiny checkpoints as PyTorch writes them (`pytorch_model.bin`), each with its safetensors twin.

A folder holds the `.bin` file or files and config.json; beside the folders,
expected_DTYPE.safetensors holds the tensors that a converter must find in each of that dtype:
contiguous, tied ones under both names. In every folder

  * lm_head.weight shares its storage with model.embed_tokens.weight;
  * layer 0's q, k and v are slices of one storage (an offset), o_proj is a transposed view
    (strides), gate_proj takes every other column of a wider matrix (strides and an offset);
  * layer 1's tensors are torch.nn.Parameter in some folders;
  * `state_dict` folders are an OrderedDict with the _metadata attribute of Module.state_dict().
"""

import collections
import json

import torch
from safetensors.torch import save_file

import seeded

HIDDEN, FF, VOCAB, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 16, 24, 32, 2, 4, 2, 8
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_act": "silu",
    "hidden_size": HIDDEN,
    "intermediate_size": FF,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "vocab_size": VOCAB,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
SHARDS = 2


def fused_views(dtype, prefix):
    """q, k, v as slices of one storage; o and gate as strided views."""
    rows = (HEADS + 2 * KV_HEADS) * HEAD_DIM
    fused = seeded.normal(7, prefix + "qkv", (rows, HIDDEN), 0.25).to(dtype)
    q_end, k_end = HEADS * HEAD_DIM, (HEADS + KV_HEADS) * HEAD_DIM
    wide = seeded.normal(7, prefix + "gate", (FF, 2 * HIDDEN), 0.25).to(dtype)
    turned = seeded.normal(7, prefix + "o", (HEADS * HEAD_DIM, HIDDEN), 0.25).to(dtype)
    return {
        "self_attn.q_proj.weight": fused[:q_end],
        "self_attn.k_proj.weight": fused[q_end:k_end],
        "self_attn.v_proj.weight": fused[k_end:],
        "self_attn.o_proj.weight": turned.t(),
        "mlp.gate_proj.weight": wide[:, 1::2],
    }


def plain(dtype, prefix):
    shapes = {
        "self_attn.q_proj.weight": (HEADS * HEAD_DIM, HIDDEN),
        "self_attn.k_proj.weight": (KV_HEADS * HEAD_DIM, HIDDEN),
        "self_attn.v_proj.weight": (KV_HEADS * HEAD_DIM, HIDDEN),
        "self_attn.o_proj.weight": (HIDDEN, HEADS * HEAD_DIM),
        "mlp.gate_proj.weight": (FF, HIDDEN),
    }
    return {name: seeded.normal(7, prefix + name, shape, 0.25).to(dtype)
            for name, shape in shapes.items()}


def state(dtype, parameters):
    """The tensors by name, in the order of a model."""
    embed = seeded.normal(7, "embed", (VOCAB, HIDDEN)).to(dtype)
    out = collections.OrderedDict({"model.embed_tokens.weight": embed})
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        tensors = fused_views(dtype, prefix) if layer == 0 else plain(dtype, prefix)
        for name, shape in (("mlp.up_proj.weight", (FF, HIDDEN)),
                            ("mlp.down_proj.weight", (HIDDEN, FF))):
            tensors[name] = seeded.normal(7, prefix + name, shape, 0.25).to(dtype)
        for name in ("input_layernorm.weight", "post_attention_layernorm.weight"):
            tensors[name] = (1 + seeded.normal(7, prefix + name, (HIDDEN,), 0.1)).to(dtype)
        for name, tensor in tensors.items():
            if parameters and layer == 1:
                tensor = torch.nn.Parameter(tensor, requires_grad=False)
            out[prefix + name] = tensor
    out["model.norm.weight"] = (1 + seeded.normal(7, "norm", (HIDDEN,), 0.1)).to(dtype)
    out["lm_head.weight"] = embed
    return out


def with_metadata(tensors):
    """As Module.state_dict() gives it: the version of every module in an attribute."""
    tensors._metadata = collections.OrderedDict(
        {name.rpartition(".")[0]: {"version": 1} for name in tensors})
    return tensors


def write_sharded(folder, tensors):
    """Two files and their index; the tied pair lies in the first."""
    names = list(tensors)
    first = names[:len(names) // 2] + ["lm_head.weight"]
    files = [f"pytorch_model-{i + 1:05d}-of-{SHARDS:05d}.bin" for i in range(SHARDS)]
    weight_map = {name: files[0] if name in first else files[1] for name in names}
    for file in files:
        torch.save({n: t for n, t in tensors.items() if weight_map[n] == file}, folder / file)
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_expected(root, dtype, tensors):
    twin = {name: t.detach().clone(memory_format=torch.contiguous_format)
            for name, t in tensors.items()}
    save_file(twin, root / f"expected_{dtype}.safetensors", metadata={"format": "pt"})


def make(root):
    """Writes the folders below `root`, torch_bin/."""
    dtypes = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
    parameters = ("f16_parameters", "f32_sharded")
    for name in ("f32_single", "bf16_state_dict", "f16_parameters", "f32_sharded", "bf16_sharded"):
        dtype, _, kind = name.partition("_")
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        tensors = state(dtypes[dtype], name in parameters)
        (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
        write_expected(root, dtype, tensors)
        if kind == "sharded":
            write_sharded(folder, tensors)
        else:
            torch.save(with_metadata(tensors) if kind == "state_dict" else tensors,
                       folder / "pytorch_model.bin")
