"""Recall and acceptance of the exported demo pair under the product's policies.

    evaluate.py DEMO_DUMP TARGET_FOLDER DRAFT_FOLDER SEED N_TEXTS GEN LENGTH ... > JSON

For each length, texts of the seeds from SEED + length are cut at a random place up to
512 tokens before the length; the next GEN tokens of the text are decoded with
teacher forcing. Every figure is a mean over those tokens. Acceptance is
sum min(p, q) at T = 0.6, top-p 0.9 against the target with its full KV, with
the share of equal greedy tokens beside it. All arithmetic is float32.
"""

import json
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

from demo_data import RECALLED, make_pool
from demo_net import load_exported, norm, rotary, rotate
from demo_retrieval import select_tokens
from demo_stages import DRAFT

TEMPERATURE, TOP_P = 0.6, 0.9
BUDGETS = (256, 512, 1024, 2048)
PAGE = 128
DRAFT_ROWS = 1024  # more than the draft's layers can look back


def sampling_density(logits):
    """The distribution really sampled from: temperature, then top-p."""
    p = (logits / TEMPERATURE).softmax(-1)
    ordered, index = p.sort(-1, descending=True)
    ordered = ordered * (ordered.cumsum(-1) - ordered < TOP_P)
    kept = torch.zeros_like(p).scatter(-1, index, ordered)
    return kept / kept.sum(-1, keepdim=True)


def acceptance(p_logits, q_logits):
    accepted = torch.minimum(sampling_density(p_logits), sampling_density(q_logits)).sum(-1)
    greedy = p_logits.argmax(-1) == q_logits.argmax(-1)
    return accepted.mean().item(), greedy.float().mean().item()


def quantised(x, levels, dim):
    """Asymmetric round-to-nearest over `dim`."""
    low, high = x.amin(dim, keepdim=True), x.amax(dim, keepdim=True)
    scale = ((high - low) / (levels - 1)).clamp(min=1e-12)
    return ((x - low) / scale).round() * scale + low


def quantised_kv(k, v, levels):
    """All pages but the newest two: K per channel over a page, V per token."""
    n = max(0, k.shape[-2] // PAGE - 2) * PAGE
    pages = k[..., :n, :].unflatten(-2, (-1, PAGE))
    k_pages = quantised(pages, levels, -2).flatten(-3, -2)
    v_rows = quantised(v[..., :n, :], levels, -1)
    return torch.cat((k_pages, k[..., n:, :]), -2), torch.cat((v_rows, v[..., n:, :]), -2)


class Decoder:
    """The target after a prefill, decoding given tokens under some policy."""

    def __init__(self, net, prompt):
        self.net, self.n = net, len(prompt)
        positions = torch.arange(self.n, device=prompt.device)
        self.kv, self.q_last = [], []
        x, tables = F.embedding(prompt[None], net.embed), rotary(net.shape, positions)
        for weights in net.layers(torch.float32):
            x, q, k, v = self.layer(x, weights, tables, None, None)
            self.kv.append((k, v))
            self.q_last.append(q[:, :, -1])

    def layer(self, x, weights, tables, past, seen):
        """`past` is the prompt's (k, v), `seen` bool [rows, past] or by head."""
        norm1, norm2, wq, wk, wv, wo, gate, up, down = weights
        n_heads, rows = self.net.shape.n_heads, x.shape[1]
        h = norm(x, norm1)
        q, k, v = (F.linear(h, w).view(1, rows, n_heads, -1).transpose(1, 2) for w in (wq, wk, wv))
        q, k = rotate(q, tables), rotate(k, tables)
        if past is None:
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            own = torch.ones(rows, rows, dtype=torch.bool, device=x.device).tril()
            mask = torch.cat(
                (seen.expand(1, n_heads, rows, -1), own.expand(1, n_heads, -1, -1)), -1
            )
            keys, values = torch.cat((past[0], k), -2), torch.cat((past[1], v), -2)
            a = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        x = x + F.linear(a.transpose(1, 2).reshape(1, rows, -1), wo)
        h = norm(x, norm2)
        return x + F.linear(F.silu(F.linear(h, gate)) * F.linear(h, up), down), q, k, v

    def decode(self, tokens, policy):
        """Logits [rows, vocab]; policy(layer) -> (k, v) and what is seen of it."""
        rows = len(tokens)
        positions = torch.arange(self.n, self.n + rows, device=tokens.device)
        x, tables = F.embedding(tokens[None], self.net.embed), rotary(self.net.shape, positions)
        for i, weights in enumerate(self.net.layers(torch.float32)):
            past, seen = policy(i)
            x, _, _, _ = self.layer(x, weights, tables, past, seen)
        return self.net.logits(norm(x, self.net.last_norm))[0]

    def everything(self, i):
        return self.kv[i], torch.ones(
            1, 1, 1, self.n, dtype=torch.bool, device=self.q_last[i].device
        )

    def retrieval(self, budget):
        def policy(i):
            k, v = self.kv[i]
            return (k, v), select_tokens(self.q_last[i], k, budget)[:, :, None]

        return policy

    def integers(self, levels):
        return lambda i: (quantised_kv(*self.kv[i], levels), self.everything(i)[1])


def draft_logits(draft, tokens, end, rows):
    """The streaming draft's logits for the `rows` tokens before `end`."""
    sinks = draft.shape.sinks
    if end > DRAFT_ROWS:
        tokens = torch.cat((tokens[:sinks], tokens[end - DRAFT_ROWS + sinks : end]))
    else:
        tokens = tokens[:end]
    hidden, _ = draft(tokens[None], torch.arange(len(tokens), device=tokens.device))
    return draft.logits(hidden[0, -rows:])


def evaluate_text(target, draft, tokens, marks, cut, gen):
    decoder = Decoder(target, tokens[:cut])
    rows = tokens[cut : cut + gen]
    full = decoder.decode(rows, decoder.everything)
    wanted, mark = tokens[cut + 1 : cut + gen + 1], marks[cut + 1 : cut + gen + 1]
    hits = (full.argmax(-1) == wanted) & mark
    out = {"recalled": mark.sum().item(), "hits": hits.sum().item()}
    out["streaming draft"] = acceptance(full, draft_logits(draft, tokens, cut + gen, gen))
    for budget in BUDGETS:
        logits = decoder.decode(rows, decoder.retrieval(budget))
        out[f"retrieval {budget}"] = acceptance(full, logits)
        out[f"retrieval {budget} first 64"] = acceptance(full[:64], logits[:64])
    out["int8"] = acceptance(full, decoder.decode(rows, decoder.integers(256)))
    out["int4"] = acceptance(full, decoder.decode(rows, decoder.integers(16)))
    return out


def summary(texts):
    table = {"recall": sum(t["hits"] for t in texts) / max(1, sum(t["recalled"] for t in texts))}
    table["recalled share"] = sum(t["recalled"] for t in texts) / sum(t["rows"] for t in texts)
    for name in texts[0]:
        if isinstance(texts[0][name], tuple):
            accepted, greedy = np.mean([t[name] for t in texts], 0)
            table[name] = [round(float(accepted), 4), round(float(greedy), 4)]
    return table


@torch.no_grad()
def main():
    dump, target_folder, draft_folder, seed, n_texts, gen = sys.argv[1:7]
    seed, n_texts, gen, lengths = int(seed), int(n_texts), int(gen), [int(a) for a in sys.argv[7:]]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    target = load_exported(target_folder).to(device)
    draft = load_exported(draft_folder, DRAFT.sinks, DRAFT.window).to(device)
    tokenizer = os.path.join(target_folder, "tokenizer.json")
    tables = {"texts": n_texts, "gen": gen, "seed": seed}
    for length in lengths:
        data = make_pool(dump, tokenizer, seed + length, n_texts, length + gen + 1, 0)
        tokens = torch.from_numpy((data & (RECALLED - 1)).astype(np.int64)).to(device)
        marks = torch.from_numpy(data >= RECALLED).to(device)
        cuts = length - np.random.default_rng(length).integers(0, min(512, length // 2), n_texts)
        results = []
        for i, cut in enumerate(cuts):
            results.append(evaluate_text(target, draft, tokens[i], marks[i], int(cut), gen))
            results[-1]["rows"] = gen
        tables[length] = summary(results)
        print(length, json.dumps(tables[length]), file=sys.stderr, flush=True)
    json.dump(tables, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
