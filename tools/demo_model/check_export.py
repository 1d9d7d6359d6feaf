"""Compares an exported folder in Hugging Face's Llama with our own forward pass.

check_export.py FOLDER
"""

import sys

import torch
from transformers import LlamaForCausalLM

from demo_net import load_exported


@torch.no_grad()
def main():
    ours = load_exported(sys.argv[1])
    theirs = LlamaForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
    g = torch.Generator().manual_seed(1)
    tokens = torch.randint(1, 1000, (1, 200), generator=g)
    hidden, _ = ours(tokens, torch.arange(200))
    worst = (ours.logits(hidden) - theirs(tokens).logits).abs().max().item()
    print(f"{sys.argv[1]}: logits differ by at most {worst:.2e}")
    sys.exit(worst > 1e-2)


if __name__ == "__main__":
    main()
