"""Chunk retrieval: the product's selection rule, and the loss that trains for it.

The product keeps, per layer and KV head, the chunks of 8 prompt tokens whose
mean rotated key has the largest product with the last prompt token's query.
"""

import torch

CHUNK = 8


def chunk_means(k):
    """k [..., n, d] -> [..., n_chunks, d]; a part chunk at the end is the mean of
    what it has."""
    n = k.shape[-2]
    whole = k[..., : n // CHUNK * CHUNK, :].unflatten(-2, (-1, CHUNK)).mean(-2)
    if n % CHUNK == 0:
        return whole
    return torch.cat((whole, k[..., n // CHUNK * CHUNK :, :].mean(-2, keepdim=True)), -2)


def select_tokens(q_last, k, budget):
    """q_last [..., d], k [..., n, d] of the prompt -> bool [..., n]: chunk 0, a part
    chunk at the end, and the best others, `budget` tokens of chunks in all."""
    means = chunk_means(k)
    scores = (means @ q_last[..., None])[..., 0]
    scores[..., 0] = float("inf")
    if k.shape[-2] % CHUNK:
        scores[..., -1] = float("inf")
    best = scores.topk(min(budget // CHUNK, means.shape[-2]), dim=-1).indices
    chosen = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)
    return chosen.repeat_interleave(CHUNK, -1)[..., : k.shape[-2]]


def retrieval_loss(q, k, at, later):
    """How far the selection at positions `at` [P] is from what the rows at
    `later` [P, J] attend to in the prompt that ends there.

    q, k [batch, heads, n, d] are rotated; n is a multiple of CHUNK. For each
    head: KL(attention mass of the later rows per whole chunk of the prompt,
    chunk 0 left out || softmax over chunks of q . mean key / sqrt(d)), weighted
    by that mass, so that heads that look elsewhere count little.
    """
    n, d = q.shape[-2:]
    n_chunks = n // CHUNK
    scale = d**-0.5
    chunk = torch.arange(n_chunks, device=q.device)
    eligible = (chunk >= 1) & (chunk < ((at + 1) // CHUNK)[:, None])  # [P, C]
    with torch.no_grad():
        rows = q[:, :, later.flatten()]
        scores = (rows @ k.transpose(-1, -2)).float() * scale
        future = torch.arange(n, device=q.device) > later.flatten()[:, None]
        mass = scores.masked_fill_(future, float("-inf")).softmax(-1)
        mass = mass.unflatten(-1, (n_chunks, CHUNK)).sum(-1)
        mass = mass.unflatten(2, later.shape).mean(3) * eligible  # [b, h, P, C]
        total = mass.sum(-1, keepdim=True)
        wanted = mass / (total + 1e-9)
    scores = (q[:, :, at] @ chunk_means(k).transpose(-1, -2)).float() * scale
    given = scores.masked_fill(~eligible, float("-inf")).log_softmax(-1)
    given = given.masked_fill(~eligible, 0)
    kl = (wanted * ((wanted + 1e-9).log() - given)).sum(-1)
    return (kl * total[..., 0]).mean(dim=(0, 2)).sum()
