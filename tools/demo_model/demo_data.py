"""Demo texts as token arrays: the texts come from demo_dump, never from Python.

A pool is a uint16 array [n_texts, n_tokens]; the top bit marks a token of a
recalled value. Every text begins with the BOS token.
"""

import re
import subprocess

import numpy as np
from tokenizers import Tokenizer

RECALLED = 0x8000
BYTES_PER_TOKEN = 4.2  # a high guess, so that one dump always suffices
# The tokenizer's pattern, for ASCII.
WORD = re.compile(r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s")


def dump_texts(dump, seed, n_texts, n_bytes, n_attributes):
    """Yields (text, spans int array [n, 2]) for seeds seed .. seed + n_texts - 1."""
    args = [dump, str(seed), str(n_texts), str(n_bytes), str(n_attributes)]
    data = subprocess.run(args, check=True, stdout=subprocess.PIPE).stdout
    at = 0
    for _ in range(n_texts):
        size, n_spans = np.frombuffer(data, "<u4", 2, at)
        at += 8
        text = data[at : at + size].decode("ascii")
        at += int(size)
        spans = np.frombuffer(data, "<u4", 2 * n_spans, at).reshape(-1, 2)
        at += 8 * int(n_spans)
        yield text, spans


class Encoder:
    def __init__(self, tokenizer_path):
        self.tokenizer = Tokenizer.from_file(tokenizer_path)
        self.bos = self.tokenizer.token_to_id("<s>")
        vocab = self.tokenizer.get_vocab()
        self.cache = {}
        self.n_bytes = np.zeros(len(vocab), np.int64)
        for piece, token in vocab.items():
            self.n_bytes[token] = 0 if token == self.bos else len(piece)

    def encode(self, text):
        """int array, without BOS. Words are looked up in a cache, which is many
        times faster than the tokenizer on texts of few distinct words."""
        words = WORD.findall(text)
        for word in set(words).difference(self.cache):
            self.cache[word] = self.tokenizer.encode(word, add_special_tokens=False).ids
        return np.array([t for w in words for t in self.cache[w]], np.int64)

    def mark(self, ids, spans):
        """uint16 tokens with BOS in front and RECALLED set inside the spans."""
        begin = np.cumsum(self.n_bytes[ids]) - self.n_bytes[ids]
        index = np.searchsorted(spans[:, 0], begin, side="right") - 1
        inside = (index >= 0) & (begin < spans[np.maximum(index, 0), 1]) if len(spans) else False
        marked = ids | np.where(inside, RECALLED, 0)
        return np.concatenate([[self.bos], marked]).astype(np.uint16)


def make_pool(dump, tokenizer_path, seed, n_texts, n_tokens, n_attributes):
    """Beginnings of texts, `n_tokens` tokens each, BOS included."""
    encoder = Encoder(tokenizer_path)
    n_bytes = int(n_tokens * BYTES_PER_TOKEN)
    pool = np.empty((n_texts, n_tokens), np.uint16)
    texts = dump_texts(dump, seed, n_texts, n_bytes, n_attributes)
    for row, (text, spans) in enumerate(texts):
        ids = encoder.encode(text)
        if row == 0:
            whole = encoder.tokenizer.encode(text, add_special_tokens=False).ids
            if ids.tolist() != whole:
                raise ValueError("the word cache and the tokenizer disagree")
        marked = encoder.mark(ids, spans)
        if len(marked) < n_tokens:
            raise ValueError(f"text {seed + row} has only {len(marked)} tokens")
        pool[row] = marked[:n_tokens]
    return pool
