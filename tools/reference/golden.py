"""Logits of a prompt and of 64 tokens decoded behind it, as transformers gives them."""

import numpy as np
import torch

N_DECODED = 64


def decode(model, prompt, pos0, forced=None):
    """(ids, logits): the prompt in one pass, then one token a pass through transformers' own
    cache; greedy, or the tokens of `forced`. logits[i] are those behind ids[i]."""
    rows, ids = [], list(prompt)
    past, feed = None, list(prompt)
    with torch.no_grad():
        while True:
            first = pos0 + len(ids) - len(feed)
            out = model(input_ids=torch.tensor([feed]), past_key_values=past, use_cache=True,
                        position_ids=torch.arange(first, first + len(feed))[None])
            past = out.past_key_values
            rows.append(out.logits[0].float())
            if len(ids) == len(prompt) + N_DECODED:
                break
            feed = [forced[len(ids)] if forced else int(rows[-1][-1].argmax())]
            ids += feed
    return ids, torch.cat(rows).numpy()


def whole(model, ids, pos0):
    """The same logits from one pass without a cache."""
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), use_cache=False,
                    position_ids=torch.arange(pos0, pos0 + len(ids))[None])
    return out.logits[0].float().numpy()


def difference(a, b):
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
