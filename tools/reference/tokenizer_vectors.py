"""A folder per tokenizer: tokenizer.json, and vectors.json with what `tokenizers` makes of texts.

vectors.json: {"encode": [[text, ids, text of the ids]...], "decode": [[ids, text]...]}; special
tokens are recognised in texts, none is added, and none is printed.
"""

import json

from tokenizers import Tokenizer

import seeded
import tokenizer_files
import tokenizer_texts

N_DECODE = 40
CHARACTERS = "A\n é▁東€🙂"


def encode(tok, text):
    ids = tok.encode(text, add_special_tokens=False).ids
    return [text, ids, tok.decode(ids, skip_special_tokens=True)]


def decode(tok, seed):
    """Ids that no text need give: parts of characters, specials in between. Byte pieces come as
    whole characters: in a run that is not UTF-8 `tokenizers` gives up every byte, also those that
    make a character, while SentencePiece and we keep these."""
    ids = []
    for number in seeded.tokens(seed, 1 + seed % 12, tok.get_vocab_size(with_added_tokens=True)):
        if tok.id_to_token(number).startswith("<0x"):
            character = CHARACTERS[number % len(CHARACTERS)]
            ids += [tok.token_to_id(f"<0x{b:02X}>") for b in character.encode()]
        else:
            ids.append(number)
    return [ids, tok.decode(ids, skip_special_tokens=True)]


def lines(rows):
    return ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)


def make(root):
    for name, (build, old) in tokenizer_files.ALL.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        text = build().to_str()
        if old:
            text = tokenizer_files.old_merges(text)
        (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
        tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
        added = [token["content"] for token in json.loads(text)["added_tokens"]]
        texts = tokenizer_texts.trials(added)
        (folder / "vectors.json").write_text(
            '{"encode": [\n' + lines(encode(tok, t) for t in texts) + '\n],\n"decode": [\n' +
            lines(decode(tok, 3000 + i) for i in range(N_DECODE)) + "\n]}\n", encoding="utf-8")
        print(f"{name}: {tok.get_vocab_size()} tokens, {len(texts)} texts")
