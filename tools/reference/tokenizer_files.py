"""Small tokenizer.json files in the forms that published models have."""

import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

import tokenizer_texts

# As Llama-3's and Qwen2's tokenizer.json have them.
LLAMA3_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN_SPLIT = LLAMA3_SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")
MARK = "▁"


def byte_level(split, n_vocab, normalizer=None):
    tok = Tokenizer(BPE())
    if normalizer is not None:
        tok.normalizer = normalizer
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(split), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(vocab_size=n_vocab, show_progress=False,
                         initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tok.train_from_iterator(tokenizer_texts.corpus(tokenizer_texts.WORDS), trainer)
    return tok


def with_model(tok, change):
    """The tokenizer after a change of its JSON."""
    content = json.loads(tok.to_str())
    change(content)
    return Tokenizer.from_str(json.dumps(content))


def space_mark(n_vocab, byte_fallback, fuse_unk=True):
    """Trained on words that begin with a mark, every other one of ours, so that characters are
    left without a piece; behind <unk>, <s>, </s> stand byte pieces if wanted."""
    tok = Tokenizer(BPE(unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.Metaspace(MARK, "always", True)
    names = [f"<0x{b:02X}>" for b in range(256)] if byte_fallback else []
    trainer = BpeTrainer(vocab_size=n_vocab, show_progress=False,
                         special_tokens=["<unk>", "<s>", "</s>"] + names)
    tok.train_from_iterator(tokenizer_texts.corpus(tokenizer_texts.WORDS[::2]), trainer)

    def change(content):
        content["model"].update(byte_fallback=byte_fallback, fuse_unk=fuse_unk)
        content["added_tokens"] = content["added_tokens"][:3]

    return with_model(tok, change)


def llama_decoder():
    return decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(),
                              decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def llama3():
    tok = byte_level(LLAMA3_SPLIT, 420)

    def change(content):
        vocab = content["model"]["vocab"]
        content["model"]["ignore_merges"] = True
        for word in ("verifiable", "Ġunreachable"):  # no merges lead to these
            vocab[word] = len(vocab)

    tok = with_model(tok, change)
    tok.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    return tok


def qwen():
    tok = byte_level(QWEN_SPLIT, 400, normalizers.NFC())
    tok.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tok.add_tokens([AddedToken("<tool>", special=False, normalized=False),
                    AddedToken("café", special=False, normalized=True)])
    return tok


def llama2_legacy():
    tok = space_mark(520, True)
    tok.pre_tokenizer = None
    tok.normalizer = normalizers.Sequence([normalizers.Prepend(MARK),
                                           normalizers.Replace(" ", MARK)])
    tok.decoder = llama_decoder()
    tok.add_tokens([AddedToken("<pad>", special=False, normalized=True)])
    return with_model(tok, lambda content: content.update(pre_tokenizer=None))


def llama2_first():
    tok = space_mark(520, True)
    tok.pre_tokenizer = pre_tokenizers.Metaspace(MARK, "first", False)
    tok.decoder = llama_decoder()
    return tok


def metaspace(scheme, fuse_unk):
    tok = space_mark(240, False, fuse_unk)
    tok.pre_tokenizer = pre_tokenizers.Metaspace(MARK, scheme, True)
    tok.decoder = decoders.Metaspace(MARK, scheme, True)
    return tok


def added_flags():
    tok = byte_level(QWEN_SPLIT, 300, normalizers.NFC())
    tok.add_tokens([
        AddedToken("<left>", lstrip=True, normalized=False),
        AddedToken("<right>", rstrip=True, normalized=False),
        AddedToken("<both>", lstrip=True, rstrip=True, normalized=False),
        AddedToken("word", single_word=True, normalized=False),
        AddedToken("<nor\u00e9>", normalized=True),
        AddedToken("<raw\u00e9>", normalized=False),
        AddedToken("<left>x", normalized=False),
    ])
    tok.add_special_tokens([AddedToken("<sp>", lstrip=True, normalized=False),
                            AddedToken("<spw>", single_word=True, rstrip=True, normalized=True)])
    return tok


def old_merges(text):
    """Merges as "a b" instead of ["a", "b"], as files before tokenizers 0.20 have them."""
    content = json.loads(text)
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    return json.dumps(content, ensure_ascii=False)


# name -> (tokenizer, merges spelled the old way)
ALL = {
    "llama3": (llama3, False),
    "qwen": (qwen, True),
    "llama2_legacy": (llama2_legacy, True),
    "llama2_first": (llama2_first, False),
    "metaspace_always": (lambda: metaspace("always", True), False),
    "metaspace_never": (lambda: metaspace("never", False), False),
    "added_flags": (added_flags, False),
}
