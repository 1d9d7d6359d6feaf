"""The demo networks: Llama layers with tied embeddings, parameters stacked over layers.

Stacked parameters let the optimizer orthogonalise all layers at once. Rotary
embedding is the rotate-half form of Hugging Face's Llama, so that weights are
exported as they are.
"""

import json
import math
import os
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

EPS = 1e-5


@dataclass(frozen=True)
class Shape:
    n_layers: int
    width: int
    n_heads: int
    ffn: int
    vocab: int = 1024
    theta: float = 1e10
    sinks: int = 0  # with `window`: StreamingLLM visibility; 0 for full attention
    window: int = 0

    @property
    def head_dim(self):
        return self.width // self.n_heads


def rotary(shape, positions):
    """cos, sin float32 [n_positions, head_dim / 2] for integer positions."""
    half = shape.head_dim // 2
    exponent = torch.arange(half, dtype=torch.float64, device=positions.device) / half
    angle = positions.double()[:, None] * shape.theta**-exponent
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos_sin):
    """x [..., n_positions, head_dim]."""
    cos, sin = cos_sin
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


def norm(x, weight):
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight


def full_attention(q, k, v, tables):
    q, k = rotate(q, tables[0]), rotate(k, tables[0])
    return F.scaled_dot_product_attention(q, k, v, is_causal=True), q, k


def streaming_attention(shape):
    """Attention as the draft decodes: a row sees `sinks` first and `window` last
    positions, itself included, and its distance to the sinks stops growing once
    the cache is full. tables[1] is the rotary table of those stopped positions."""

    def attend(q, k, v, tables):
        n = q.shape[-2]
        row = torch.arange(n, device=q.device)[:, None]
        col = torch.arange(n, device=q.device)[None, :]
        keys = rotate(k, tables[0])
        near = rotate(q, tables[0]) @ keys.transpose(-1, -2)
        sink = rotate(q, tables[1]) @ keys[..., : shape.sinks, :].transpose(-1, -2)
        scores = torch.cat((sink, near[..., shape.sinks :]), -1).float()
        seen = (col <= row) & ((col < shape.sinks) | (col > row - shape.window))
        scores = (scores / math.sqrt(shape.head_dim)).masked_fill(~seen, float("-inf"))
        return scores.softmax(-1).to(v.dtype) @ v, q, keys

    return attend


def block(x, weights, n_heads, attend, tables):
    """One layer; weights are (norm1, norm2, wq, wk, wv, wo, gate, up, down)."""
    norm1, norm2, wq, wk, wv, wo, gate, up, down = weights
    batch, n, width = x.shape
    h = norm(x, norm1).to(wq.dtype)

    def heads(w):
        return F.linear(h, w).view(batch, n, n_heads, -1).transpose(1, 2)

    a, q, k = attend(heads(wq), heads(wk), heads(wv), tables)
    x = x + F.linear(a.transpose(1, 2).reshape(batch, n, width), wo)
    h = norm(x, norm2).to(wq.dtype)
    x = x + F.linear(F.silu(F.linear(h, gate)) * F.linear(h, up), down)
    return x, q, k


class Net(torch.nn.Module):
    def __init__(self, shape, seed=0, compile_blocks=False):
        super().__init__()
        self.shape = shape
        g = torch.Generator().manual_seed(seed)

        def normal(std, *size):
            return torch.nn.Parameter(torch.randn(*size, generator=g) * std)

        n, d, f = shape.n_layers, shape.width, shape.ffn
        out = 1 / math.sqrt(2 * n)
        self.embed = normal(0.05, shape.vocab, d)
        self.attn = normal(d**-0.5, n, 4, d, d)  # wq, wk, wv, wo
        self.gate_up = normal(d**-0.5, n, 2, f, d)
        self.down = normal(f**-0.5 * out, n, d, f)
        self.norms = torch.nn.Parameter(torch.ones(n, 2, d))
        self.last_norm = torch.nn.Parameter(torch.ones(d))
        with torch.no_grad():
            self.attn[:, 3] *= out
        self.attend = streaming_attention(shape) if shape.window else full_attention
        self.run_block = torch.compile(block, dynamic=False) if compile_blocks else block

    def layers(self, dtype):
        """One weights tuple of `block` per layer."""
        attn = self.attn.to(dtype).flatten(0, 1).unbind(0)
        gate_up = self.gate_up.to(dtype).flatten(0, 1).unbind(0)
        down = self.down.to(dtype).unbind(0)
        norms = self.norms.flatten(0, 1).unbind(0)
        for i in range(self.shape.n_layers):
            yield (
                *norms[2 * i : 2 * i + 2],
                *attn[4 * i : 4 * i + 4],
                *gate_up[2 * i : 2 * i + 2],
                down[i],
            )

    def tables(self, positions):
        tables = [rotary(self.shape, positions)]
        if self.shape.window:
            full = self.shape.sinks + self.shape.window - 1
            tables.append(rotary(self.shape, positions.clamp(max=full)))
        return tables

    def forward(self, tokens, positions, dtype=torch.float32):
        """tokens [batch, n] -> last hidden rows, and (q, k) rotated of every layer."""
        x = F.embedding(tokens, self.embed)
        tables, qk = self.tables(positions), []
        for weights in self.layers(dtype):
            x, q, k = self.run_block(x, weights, self.shape.n_heads, self.attend, tables)
            qk.append((q, k))
        return norm(x, self.last_norm), qk

    def logits(self, hidden, dtype=torch.float32):
        return F.linear(hidden.to(dtype), self.embed.to(dtype)).float()


HF_ATTN = ("q_proj", "k_proj", "v_proj", "o_proj")
HF_NORMS = ("input_layernorm", "post_attention_layernorm")


def hf_views(net):
    """Hugging Face tensor name -> view into the net's parameters."""
    views = {"model.embed_tokens.weight": net.embed, "model.norm.weight": net.last_norm}
    for i in range(net.shape.n_layers):
        at = f"model.layers.{i}."
        for j, name in enumerate(HF_NORMS):
            views[f"{at}{name}.weight"] = net.norms[i, j]
        for j, name in enumerate(HF_ATTN):
            views[f"{at}self_attn.{name}.weight"] = net.attn[i, j]
        views[f"{at}mlp.gate_proj.weight"] = net.gate_up[i, 0]
        views[f"{at}mlp.up_proj.weight"] = net.gate_up[i, 1]
        views[f"{at}mlp.down_proj.weight"] = net.down[i]
    return views


def export(net, folder, bos):
    """config.json and model.safetensors (BF16) in Hugging Face's layout."""
    s = net.shape
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": s.vocab,
        "hidden_size": s.width,
        "intermediate_size": s.ffn,
        "num_hidden_layers": s.n_layers,
        "num_attention_heads": s.n_heads,
        "num_key_value_heads": s.n_heads,
        "head_dim": s.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": 65536,
        "rms_norm_eps": EPS,
        "rope_theta": s.theta,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": bos,
        "eos_token_id": bos,
        "torch_dtype": "bfloat16",
    }
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")
    tensors = {
        k: v.detach().to("cpu", torch.bfloat16).contiguous() for k, v in hf_views(net).items()
    }
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def load_exported(folder, sinks=0, window=0):
    """The net of an exported folder, float32 parameters holding BF16 values."""
    with open(os.path.join(folder, "config.json")) as file:
        c = json.load(file)
    net = Net(
        Shape(
            n_layers=c["num_hidden_layers"],
            width=c["hidden_size"],
            n_heads=c["num_attention_heads"],
            ffn=c["intermediate_size"],
            vocab=c["vocab_size"],
            theta=c["rope_theta"],
            sinks=sinks,
            window=window,
        )
    )
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    with torch.no_grad():
        for name, view in hf_views(net).items():
            view.copy_(tensors[name].float())
    return net
