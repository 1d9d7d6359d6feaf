"""Trains the demo tokenizer: byte-level BPE on demo texts, 1024 pieces.

    train_bpe.py DEMO_DUMP TOKENIZER_JSON

The pattern keeps a word together with the space in front of it. Each word of
the demo's lists is repeated, so that every one becomes a single piece.
"""

import re
import sys

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from demo_data import dump_texts

VOCABULARY = 1024
PATTERN = r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s"
BOS = "<s>"
# The rest of the vocabulary goes to common words, for prompts of other kinds.
COMMON = """a about after all also an and are as at be been but by can could day do down each every
few find first for from go good had has have he her him his how if in into is it its just know
like little long look made make man many may me men more most much must my never no not now of
off old on one only or other our out over own people place right said same say see she should
small so some such take than that their them then there these they thing think this three time
to two under up use very was water way we well were what when where which while who will with
word work world would year you your""".split()


def main():
    dump, out = sys.argv[1:]
    texts = [text for text, _ in dump_texts(dump, 10**6, 100, 40000, 0)]
    words = sorted(set(re.findall(r" [A-Za-z]+| [0-9]+|\b[A-Z][a-z]+(?= )", "".join(texts))))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts + words * 300 + [f" {w}" for w in COMMON] * 30, trainer)
    bos = tokenizer.token_to_id(BOS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, bos)]
    )
    split = [w for w in words if len(tokenizer.encode(w, add_special_tokens=False).ids) > 1]
    tokens = tokenizer.encode(texts[0]).ids
    print(f"{tokenizer.get_vocab_size()} pieces, {len(words)} words, split: {split}")
    print(f"{len(texts[0]) / len(tokens):.2f} bytes a token")
    tokenizer.save(out)


if __name__ == "__main__":
    main()
