"""Trains the demo target or draft; stops after a number of seconds, then
with exit status 3, and resumes.

    train.py target|refine|draft DEMO_DUMP TOKENIZER_JSON POOLS STATE EXPORT_FOLDER MAX_SECONDS

`refine` starts from what EXPORT_FOLDER holds.

STATE is written at the end of every call and read at the start of the next.
Learning rates depend on the step alone, so a run cut in two is the same run.
"""

import math
import os
import shutil
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from demo_circuits import build, special_tokens
from demo_data import RECALLED
from demo_net import Net, block, export, load_exported
from demo_optim import DemoOptimizer
from demo_retrieval import retrieval_loss
from demo_stages import PLANS, POOLS

RECALL_WEIGHT = 2.0
HORIZON = 256  # rows after the prompt's end that the selection should serve
LATER_ROWS = 24
NEAR = 48  # half of the later rows are this near: the line the prompt ends in
LAST_RATE = 0.02
WARM_STEPS = 40
DTYPE = torch.bfloat16  # of matrix products and attention; parameters are float32


class Texts:
    """A pool on the device: tokens int32 and recall marks bool, [n_texts, n]."""

    def __init__(self, folder, name, device):
        pool = next(p for p in POOLS if p.name == name)
        parts = [os.path.join(folder, f"{name}.{i}.npy") for i in range(pool.n_parts)]
        while not all(os.path.exists(p) for p in parts):
            time.sleep(0.2)
        data = np.concatenate([np.load(p) for p in parts])
        self.tokens = torch.from_numpy((data & (RECALLED - 1)).astype(np.int16)).to(device)
        self.recalled = torch.from_numpy(data >= RECALLED).to(device)

    def batch(self, n, window, g):
        row = torch.randint(len(self.tokens), (n,), generator=g, device=g.device)
        return self.tokens[row, : window + 1].long(), self.recalled[row, : window + 1]

    def crops(self, n, window, sinks, g):
        """The first `sinks` tokens, then a stretch from anywhere: what a draft
        sees deep in a text. A quarter of them are beginnings."""
        total = self.tokens.shape[1]
        row = torch.randint(len(self.tokens), (n,), generator=g, device=g.device)
        start = torch.randint(total - window, (n,), generator=g, device=g.device)
        start[: n // 4] = 0
        column = torch.arange(window + 1, device=g.device)
        column = torch.where(column < sinks, column, column + start[:, None])
        return self.tokens[row[:, None], column].long(), self.recalled[row[:, None], column]


def rate_at(step, n_steps, decay_from):
    warm = min(1.0, (step + 1) / WARM_STEPS)
    late = (step / n_steps - decay_from) / (1 - decay_from)
    return warm * (1 if late <= 0 else LAST_RATE + (1 - LAST_RATE) * (1 - late))


def draw_positions(stage, g):
    """0 .. window - 1, in a jumping stage with up to two stretches left out."""
    positions = torch.arange(stage.window, device=g.device)
    if stage.jump:
        where = torch.randint(1, stage.window, (2, 1), generator=g, device=g.device)
        size = torch.exp(torch.rand(2, 1, generator=g, device=g.device) * math.log(14000)).long()
        positions = positions + ((positions >= where) * size).sum(0)
    return positions


def selection_loss(stage, qk, g):
    at = torch.randint(
        stage.window // 4,
        stage.window - HORIZON,
        (stage.n_positions,),
        generator=g,
        device=g.device,
    )
    offset = 1 + torch.randint(
        HORIZON - 1, (stage.n_positions, LATER_ROWS), generator=g, device=g.device
    )
    if stage.near:
        offset[:, ::2] = 1 + offset[:, ::2] * NEAR // HORIZON
    return sum(retrieval_loss(q, k, at, at[:, None] + offset) for q, k in qk)


def token_loss(hidden, embed, tokens, recalled):
    logits = F.linear(hidden.to(DTYPE), embed.to(DTYPE)).float()
    loss = F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none")
    weight = 1 + (RECALL_WEIGHT - 1) * recalled.flatten().float()
    known = recalled.flatten() * loss.detach()
    return (loss * weight).sum() / weight.sum(), known.sum() / recalled.sum()


@torch.no_grad()
def recall(net, texts, n_texts):
    """Share of recalled tokens of the last quarter that are the most likely one."""
    hits = total = 0
    for i in range(min(n_texts, len(texts.tokens))):
        tokens, marks = texts.tokens[i : i + 1].long(), texts.recalled[i]
        n = tokens.shape[1] - 1
        tail = slice(n * 3 // 4, n)
        positions = torch.arange(n, device=tokens.device)
        hidden, _ = net(tokens[:, :-1], positions, DTYPE)
        best = net.logits(hidden[0, tail]).argmax(-1)
        mark = marks[1:][tail]
        hits += ((best == tokens[0, 1:][tail]) & mark).sum().item()
        total += mark.sum().item()
    return hits / total


class Run:
    def __init__(self, kind, folder, state_path, out, special):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.plan = PLANS[kind]
        self.net = Net(self.plan.shape, seed=1, compile_blocks=self.device.type == "cuda")
        if kind == "target":
            build(self.net, *special)
        if kind == "refine":
            self.net.load_state_dict(load_exported(out).state_dict())
        self.net.to(self.device)
        self.optimizer = DemoOptimizer(self.net, self.plan.matrix_rate, self.plan.vector_rate)
        self.folder, self.state_path, self.step = folder, state_path, 0
        self.token_loss = (
            torch.compile(token_loss, dynamic=False) if self.device.type == "cuda" else token_loss
        )
        if os.path.exists(state_path):
            state = torch.load(state_path, map_location=self.device)
            self.net.load_state_dict(state["net"])
            self.optimizer.load(state["optimizer"])
            self.step = state["step"]
        self.watched = {}

    def save(self):
        state = {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state(),
            "step": self.step,
        }
        torch.save(state, self.state_path + ".part")
        os.replace(self.state_path + ".part", self.state_path)

    def stage_at(self, step):
        for stage in self.plan.stages:
            if step < stage.n_steps:
                return stage
            step -= stage.n_steps
        return None

    def watch(self):
        if self.net.shape.window:
            return ""
        sizes = [("validation-2k", 32), ("validation-8k", 8), ("validation-32k", 4)]
        out = []
        for name, n in sizes:
            if name not in self.watched:
                self.watched[name] = Texts(self.folder, name, self.device)
            compiled, self.net.run_block = self.net.run_block, block
            out.append(f"{name[11:]} {recall(self.net, self.watched[name], n):.4f}")
            self.net.run_block = compiled
        return " ".join(out)

    def train_step(self, stage, texts):
        g = torch.Generator(self.device).manual_seed(10**6 + self.step)
        if self.net.shape.window:
            tokens, recalled = texts.crops(stage.batch, stage.window, self.net.shape.sinks, g)
        else:
            tokens, recalled = texts.batch(stage.batch, stage.window, g)
        hidden, qk = self.net(tokens[:, :-1], draw_positions(stage, g), DTYPE)
        loss, known = self.token_loss(hidden, self.net.embed, tokens[:, 1:], recalled[:, 1:])
        extra = (
            selection_loss(stage, qk, g) if stage.retrieval else torch.zeros((), device=self.device)
        )
        (loss + stage.retrieval * extra).backward()
        n_steps = sum(s.n_steps for s in self.plan.stages)
        self.optimizer.step(rate_at(self.step, n_steps, self.plan.decay_from))
        self.step += 1
        return loss.detach(), known, extra.detach()

    def train(self, max_seconds, keep):
        began, shown, texts, last = time.time(), time.time(), None, None
        while (stage := self.stage_at(self.step)) and time.time() - began < max_seconds:
            if stage is not last:
                texts, last = Texts(self.folder, stage.pool, self.device), stage
                print(f"stage {stage}", flush=True)
            loss, known, extra = self.train_step(stage, texts)
            if self.step % 300 == 0:
                keep()
            if self.step % 50 == 0:
                seen = self.watch() if self.step % 200 == 0 else ""
                now = time.time()
                speed = 50 * stage.batch * stage.window / (now - shown) / 1e6
                shown = now
                print(
                    f"{now - began:.0f}s step {self.step} loss {loss:.4f} recalled {known:.4f} "
                    f"selection {extra:.3f} {speed:.2f} Mtok/s {seen}",
                    flush=True,
                )
        print(f"step {self.step} after {time.time() - began:.0f}s {self.watch()}", flush=True)


def main():
    kind, dump, tokenizer_path, folder, state_path, out, max_seconds = sys.argv[1:]
    torch.set_float32_matmul_precision("high")
    tokenizer = Tokenizer.from_file(tokenizer_path)
    run = Run(kind, folder, state_path, out, special_tokens(dump, tokenizer))

    def keep():
        run.save()
        export(run.net, out, tokenizer.token_to_id("<s>"))
        shutil.copy(tokenizer_path, out)

    run.train(float(max_seconds), keep)
    keep()
    sys.exit(3 if run.stage_at(run.step) else 0)


if __name__ == "__main__":
    main()
