"""Starting weights in which the recall circuit is already laid out.

From random weights the circuit takes hundreds of millions of tokens to form, so
training starts from a rough one and refines it:

  layer 0  head 0: every token learns the token before it
           head 1: every token learns the barge that is being told of
  layer 1  head 0: every token learns the attribute that is being told of
  layer 2  head 0: looks for the place where the same barge's same attribute was
           followed by the current token before, and copies what came next

Matching uses rotary pairs that hardly turn within 32K tokens, so that it does
not depend on distance and survives averaging keys over a chunk. Three columns
of the embedding carry a constant, "is a barge's name" and "is an attribute".
"""

import re

import torch

from demo_data import dump_texts

CONSTANT, IS_NAME, IS_ATTRIBUTE, FREE = 0, 1, 2, 3
NAME_GAIN, BEFORE_GAIN, ATTRIBUTE_GAIN = 5.0, 5.0, 5.0
ROW_LENGTH = 0.85  # of the embedding
# Columns of the residual stream for the token itself and for what it learns.
N_TOKEN, N_BEFORE, N_NAME, N_ATTRIBUTE = 64, 24, 20, 17
STILL_PAIRS = 14  # pairs from here on turn by less than a radian or so in 32K tokens


def special_tokens(dump, tokenizer):
    """Token ids of all names and of all attributes, read from texts."""
    names, attributes = set(), set()
    for text, _ in dump_texts(dump, 10**6, 40, 60000, 0):
        for name, register in re.findall(r"^The( \w+):(.*)\.$", text, re.MULTILINE):
            names.add(name)
            attributes.update(re.findall(r"(?:^|,)( \w+)", register))
    return [
        [tokenizer.encode(w, add_special_tokens=False).ids[0] for w in sorted(s)]
        for s in (names, attributes)
    ]


class Builder:
    def __init__(self, net, seed):
        self.net, self.g = net, torch.Generator().manual_seed(seed)
        self.half = net.shape.head_dim // 2
        self.omega = net.shape.theta ** -(torch.arange(self.half) / self.half)
        self.scale = net.shape.width**-0.5

    def columns(self, begin, n):
        """Rows that read, or transposed write, n columns of the residual stream."""
        out = torch.zeros(n, self.net.shape.width)
        out[torch.arange(n), begin + torch.arange(n)] = 1
        return out

    def projection(self, rows, n):
        """A random orthonormal projection of what `rows` read to n dimensions."""
        return self.mix(rows.shape[0], n).T @ rows

    def mix(self, n_in, n_out):
        return torch.linalg.qr(torch.randn(n_in, n_out, generator=self.g))[0]

    def head(self, layer, head):
        """wq, wk, wv as row views and wo as a column view of one head."""
        d = self.net.shape.head_dim
        rows = slice(head * d, (head + 1) * d)
        attn = self.net.attn[layer]
        for i in (0, 1):
            attn[i, rows] = 0.02 * torch.randn(attn[i, rows].shape, generator=self.g)
        return attn[0, rows], attn[1, rows], attn[2, rows], attn[3][:, rows]

    @staticmethod
    def copy(wv, wo, read, write, gain):
        """What `read` reads where the head looks, to where `write` points."""
        wv.zero_()
        wo.zero_()
        wv[: len(read)] = read
        wo[:, : len(write)] = gain * write.T

    def previous(self, layer, head, read, write, gain=1.7):
        """Attends one token back: keys are constant, queries point to distance 1."""
        wq, wk, wv, wo = self.head(layer, head)
        for i in range(10):
            wk[i, CONSTANT] = gain
            wq[i, CONSTANT] = gain * self.omega[i].cos()
            wq[i + self.half, CONSTANT] = -gain * self.omega[i].sin()
        self.copy(wv, wo, read, write, 0.1)

    def latest(self, layer, head, flag, pairs, read, write, gain=0.9):
        """Attends to the nearest token that has the flag. The sum of cosines over a
        geometric series of frequencies falls like the logarithm of distance."""
        wq, wk, wv, wo = self.head(layer, head)
        for i in pairs:
            wk[i, flag] = gain
            wq[i, CONSTANT] = gain
        self.copy(wv, wo, read, write, 0.1)

    def match(self, layer, head, parts, read):
        """Attends where, for every (query rows, key rows, n_dims, gain) of `parts`,
        the two projections agree, and copies the token there."""
        wq, wk, wv, wo = self.head(layer, head)
        still = [*range(STILL_PAIRS, self.half), *range(STILL_PAIRS + self.half, 2 * self.half)]
        for query, key, n_dims, gain in parts:
            mix = self.mix(query.shape[0], n_dims)
            dims, still = still[:n_dims], still[n_dims:]
            wq[dims], wk[dims] = gain * mix.T @ query, gain * mix.T @ key
        self.copy(wv, wo, read, read, 0.3)


@torch.no_grad()
def build(net, names, attributes, seed=3):
    b = Builder(net, seed)
    special = net.embed[:, :FREE]
    special.zero_()
    special[:, CONSTANT] = 0.35
    special[names, IS_NAME] = 0.5
    special[attributes, IS_ATTRIBUTE] = 0.5
    # Rows of equal length: a token with a shorter key would be overlooked.
    rest = torch.randn(len(net.embed), N_TOKEN, generator=b.g)
    length = (ROW_LENGTH**2 - special.square().sum(-1, keepdim=True)).sqrt()
    net.embed[:, FREE + N_TOKEN :] = 0
    net.embed[:, FREE : FREE + N_TOKEN] = rest / rest.norm(dim=-1, keepdim=True) * length
    # What the other heads and the MLPs add at random must not drown the circuit.
    net.down.mul_(0.05)
    net.attn[:, 3].mul_(0.1)
    token = b.columns(FREE, N_TOKEN)
    before = b.columns(FREE + N_TOKEN, N_BEFORE)
    told_name = b.columns(FREE + N_TOKEN + N_BEFORE, N_NAME)
    told_attribute = b.columns(FREE + N_TOKEN + N_BEFORE + N_NAME, N_ATTRIBUTE)
    token_code = b.projection(token, N_BEFORE)
    b.previous(0, 0, token_code, before)
    b.latest(0, 1, IS_NAME, range(4, 16), b.projection(token, N_NAME), told_name)
    b.latest(1, 0, IS_ATTRIBUTE, range(2, 10), b.projection(token, N_ATTRIBUTE), told_attribute)
    parts = [
        (told_name, told_name, 14, NAME_GAIN),
        (token_code, before, 12, BEFORE_GAIN),
        (told_attribute, told_attribute, 10, ATTRIBUTE_GAIN),
    ]
    b.match(2, 0, parts, token)
