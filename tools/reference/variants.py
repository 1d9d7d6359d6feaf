"""Every checkpoint that the tests compare: family, shape, rotation, how it is stored."""

LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 48,
         "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
         "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "hidden_act": "silu",
         "bos_token_id": 1, "eos_token_id": 2}
SMALL = {**LLAMA, "vocab_size": 40, "hidden_size": 32}
MISTRAL = {**SMALL, "model_type": "mistral", "architectures": ["MistralForCausalLM"],
           "head_dim": 8}
QWEN2 = {**SMALL, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"],
         "rms_norm_eps": 1e-6}
QWEN3 = {**QWEN2, "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 16}

YARN = {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 64}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 128}


def variant(fields, rope=None, **options):
    """options: weights (the variant whose tensors are used), dtype, stored_as, n_prompt, pos0,
    old and both (also write the older spelling of the config, or the two at once)."""
    theta = options.pop("theta", 10000.0)
    rope = {"rope_type": "default", **(rope or {}), "rope_theta": theta}
    known = {"weights", "dtype", "stored_as", "n_prompt", "pos0", "old", "both"}
    if set(options) - known:
        raise ValueError(f"unknown options {set(options) - known}")
    return {"dtype": "F32", "stored_as": "single", "n_prompt": 32, "pos0": 0, "old": False,
            "both": False, "weights": None, **options,
            "fields": {**fields, "rope_parameters": rope}}


def llama_rope(rope, fields=None, **options):
    """A rotation over the weights of `llama`."""
    return variant({**LLAMA, **(fields or {})}, rope, **{"weights": "llama", **options})


ROTATIONS = {
    "llama": variant(LLAMA, old=True),
    "llama_300": llama_rope(None, n_prompt=300),
    "llama_theta": llama_rope(None, theta=5e5, old=True),
    "llama_linear": llama_rope({"rope_type": "linear", "factor": 4.0}, old=True, both=True),
    "llama_dynamic": llama_rope({"rope_type": "dynamic", "factor": 2.0},
                                {"max_position_embeddings": 96}, old=True),
    "llama_yarn": llama_rope(YARN, old=True, both=True),
    "llama_yarn_mscale": llama_rope({**YARN, "mscale": 1.2, "mscale_all_dim": 0.6}, old=True),
    "llama_yarn_ramp": llama_rope({**YARN, "truncate": False, "beta_fast": 12.0,
                                   "beta_slow": 1.5}, old=True),
    "llama_yarn_factor": llama_rope({**YARN, "attention_factor": 0.8}, old=True),
    "llama_yarn_far": llama_rope({**YARN, "original_max_position_embeddings": 4096},
                                 {"max_position_embeddings": 131072}, pos0=130900),
    "llama_llama3": llama_rope(LLAMA3, theta=5e5, old=True),
    "llama_llama3_far": llama_rope({**LLAMA3, "original_max_position_embeddings": 8192},
                                   {"max_position_embeddings": 131072}, theta=5e5, pos0=100000),
}

FAMILIES = {
    "llama_bias": variant({**SMALL, "attention_bias": True, "mlp_bias": True}, n_prompt=24),
    "llama_attention_bias": variant({**SMALL, "attention_bias": True, "num_key_value_heads": 4}),
    "llama_head_dim": variant({**SMALL, "head_dim": 24, "num_key_value_heads": 1}),
    "llama_tied": variant({**SMALL, "tie_word_embeddings": True}, old=True),
    "llama_head_only": variant({**SMALL, "tie_word_embeddings": True}, stored_as="head_only"),
    "llama_sharded": variant({**SMALL, "num_hidden_layers": 3}, stored_as="sharded"),
    "mistral": variant({**MISTRAL, "head_dim": 16, "sliding_window": None}, theta=1e6, n_prompt=40),
    "mistral_window": variant({**MISTRAL, "sliding_window": 24}, n_prompt=40, old=True),
    "mistral_window_300": variant({**MISTRAL, "sliding_window": 100}, weights="mistral_window",
                                  n_prompt=300),
    "mistral_window_128": variant({**MISTRAL, "sliding_window": 128}, weights="mistral_window",
                                  n_prompt=256),
    "qwen2": variant({**QWEN2, "tie_word_embeddings": True}, theta=1e6, old=True),
    "qwen2_unused_window": variant({**QWEN2, "tie_word_embeddings": True, "sliding_window": 8,
                                    "use_sliding_window": False, "max_window_layers": 0},
                                   weights="qwen2", theta=1e6),
    "qwen2_window": variant({**QWEN2, "num_hidden_layers": 3, "use_sliding_window": True,
                             "sliding_window": 20, "max_window_layers": 1}, n_prompt=150, old=True),
    "qwen2_yarn": variant({**QWEN2, "tie_word_embeddings": True},
                          {"rope_type": "yarn", "factor": 4.0,
                           "original_max_position_embeddings": 512}, weights="qwen2", theta=1e6,
                          old=True),
    "qwen3": variant({**QWEN3, "tie_word_embeddings": True}, theta=1e6, old=True),
    "qwen3_bias": variant({**QWEN3, "attention_bias": True, "num_key_value_heads": 4}, theta=1e6),
    "qwen3_window": variant({**QWEN3, "tie_word_embeddings": True, "use_sliding_window": True,
                             "sliding_window": 16, "max_window_layers": 0,
                             "layer_types": ["full_attention", "sliding_attention"]},
                            weights="qwen3", theta=1e6, n_prompt=140),
}

STORED = {
    "llama_bf16": variant(SMALL, dtype="BF16", old=True),
    "llama_f16": variant(SMALL, dtype="F16", old=True),
    "mistral_bf16": variant({**MISTRAL, "sliding_window": 24}, dtype="BF16", n_prompt=40),
    "qwen2_bf16": variant({**QWEN2, "tie_word_embeddings": True}, dtype="BF16", theta=1e6),
    "qwen3_bf16": variant({**QWEN3, "tie_word_embeddings": True}, dtype="BF16", theta=1e6),
}

ALL = {**ROTATIONS, **FAMILIES, **STORED}
