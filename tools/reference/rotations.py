"""Cosine and sine of published models' rotations at positions up to 128K.

A folder per model: the fields of its published config.json that shape and positions need, and from
transformers' rotary embedding inv_freq.npy [head_dim / 2], cos.npy and sin.npy [n_positions,
head_dim / 2], attention factor included.
"""

import numpy as np
import torch
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

import tiny_model

POSITIONS = [0, 1, 127, 4095, 4096, 8191, 32767, 65535, 131071]
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu",
         "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
         "max_position_embeddings": 131072, "rms_norm_eps": 1e-5}
LLAMA3 = {**LLAMA, "intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 128256,
          "rope_theta": 500000.0}
MODELS = {
    "yarn-llama-2-7b-128k": {
        **LLAMA, "rope_scaling": {"factor": 32.0, "original_max_position_embeddings": 4096,
                                  "type": "yarn", "finetuned": True}},
    "llama-3.1-8b": {
        **LLAMA3, "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                   "original_max_position_embeddings": 8192,
                                   "rope_type": "llama3"}},
    "llama-3.2-1b": {
        **LLAMA3, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "head_dim": 64, "tie_word_embeddings": True,
        "rope_scaling": {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 8192, "rope_type": "llama3"}},
    "qwen2.5-7b-yarn4": {
        **LLAMA, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"],
        "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064,
        "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "use_sliding_window": False,
        "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32768,
                         "type": "yarn"}},
    "lwm-text-128k": {**LLAMA, "rms_norm_eps": 1e-6, "rope_theta": 10000000.0,
                      "rope_scaling": None},
    "linear8": {**LLAMA, "rope_scaling": {"factor": 8.0, "type": "linear"}},
    "dynamic2": {**LLAMA, "rope_scaling": {"factor": 2.0, "type": "dynamic"}},
}


def make(root):
    for name, fields in MODELS.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        tiny_model.write_json(folder / "config.json", fields)
        kind = Qwen2RotaryEmbedding if fields["model_type"] == "qwen2" else LlamaRotaryEmbedding
        rotary = kind(tiny_model.config_of(fields))
        with torch.no_grad():
            tables = rotary(torch.zeros(1), torch.tensor([POSITIONS]))
        np.save(folder / "inv_freq.npy", rotary.inv_freq.numpy().astype("<f4"))
        for table, file in zip(tables, ("cos.npy", "sin.npy")):
            half = table.shape[-1] // 2
            np.save(folder / file, table[0, :, :half].numpy().astype("<f4"))
    np.save(root / "positions.npy", np.array(POSITIONS, "<i4"))
