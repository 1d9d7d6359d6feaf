#!/usr/bin/env python3
"""Makes a checkpoint of safetensors files from one of PyTorch .bin files.

Needs Python alone. What the files hold is data: nothing of it is unpickled, imported or called.
The new directory appears whole or not at all; each .bin file becomes one safetensors file, tensors
that share memory are written under each of their names.
"""

import argparse
import json
import os
import re
import shutil
import signal
import struct
import sys

import tensor_bytes
from refusal import Refused, word
from torch_zip import TorchZip

SINGLE, INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
COPIED = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer.model",
          "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
          "merges.txt", "chat_template.jinja", "LICENSE", "LICENSE.txt", "NOTICE")
MAX_JSON_BYTES = 64 << 20
ROOM_BYTES = 1 << 20  # for headers and the index, beside the tensors


def distinct(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def read_index(folder):
    """{file: set of tensor names} of a sharded checkpoint."""
    path = os.path.join(folder, INDEX)
    if os.path.getsize(path) > MAX_JSON_BYTES:
        raise Refused(f"{path}: more than {MAX_JSON_BYTES} bytes")
    try:
        with open(path, encoding="utf-8") as file:
            root = json.load(file, object_pairs_hook=distinct)
    except (ValueError, RecursionError) as e:
        raise Refused(f"{path}: {word(str(e))}") from None
    weight_map = root.get("weight_map") if isinstance(root, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise Refused(f"{path}: weight_map is missing, empty or no object")
    files = {}
    for tensor, name in weight_map.items():
        if (not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.bin", name)
                or ".." in name):
            raise Refused(f"{path}: weight_map: tensor {word(tensor)}: {word(json.dumps(name))} is "
                          "no plain name of a .bin file")
        files.setdefault(name, set()).add(tensor)
    return files


def open_files(folder, archives):
    """Opens every .bin file, so that all are checked before anything is written."""
    single = os.path.join(folder, SINGLE)
    if os.path.exists(single):
        archives.append(TorchZip(single))
        return
    if not os.path.exists(os.path.join(folder, INDEX)):
        raise Refused(f"{folder}: holds neither {SINGLE} nor {INDEX}")
    for name, listed in sorted(read_index(folder).items()):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            raise Refused(f"{path}: the index lists it and it is not there")
        archives.append(TorchZip(path))
        for tensor in sorted(listed ^ archives[-1].tensors.keys()):
            lacks = "file" if tensor in listed else "index, for this file"
            raise Refused(f"{path}: tensor {word(tensor)} is not in the {lacks}")


def size_of(view):
    return tensor_bytes.n_elements(view) * view.dtype[1]


def write_safetensors(path, archive):
    """Large elements first, then by name, as the safetensors library does: all are aligned."""
    names = sorted(archive.tensors, key=lambda n: (-archive.tensors[n].dtype[1], n))
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        view = archive.tensors[name]
        header[name] = {"dtype": view.dtype[0], "shape": list(view.shape),
                        "data_offsets": [at, at + size_of(view)]}
        at += size_of(view)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "xb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            view = archive.tensors[name]
            for piece in tensor_bytes.pieces(view, archive.storage(view), archive.is_big_endian):
                out.write(piece)
            archive.forget()
        out.flush()
        os.fsync(out.fileno())


def write_all(folder, archives, partial):
    files = ["model.safetensors"] if len(archives) == 1 else [
        f"model-{i + 1:05d}-of-{len(archives):05d}.safetensors" for i in range(len(archives))]
    for archive, name in zip(archives, files):
        write_safetensors(os.path.join(partial, name), archive)
    if len(archives) > 1:
        total = sum(size_of(v) for a in archives for v in a.tensors.values())
        index = {"metadata": {"total_size": total},
                 "weight_map": {t: n for a, n in zip(archives, files) for t in sorted(a.tensors)}}
        path = os.path.join(partial, "model.safetensors.index.json")
        with open(path, "x", encoding="ascii") as out:
            out.write(json.dumps(index, indent=2) + "\n")
    for name in COPIED:
        source = os.path.join(folder, name)
        if os.path.isfile(source):
            shutil.copyfile(source, os.path.join(partial, name))


def check_folder(folder):
    if not os.path.isdir(folder):
        raise Refused(f"{folder}: no such directory")
    if not os.path.isfile(os.path.join(folder, "config.json")):
        raise Refused(f"{folder}: holds no config.json; a Hugging Face checkpoint directory would be "
                      "right")
    for name in ("model.safetensors", "model.safetensors.index.json"):
        if os.path.exists(os.path.join(folder, name)):
            raise Refused(f"{folder}: holds {name} already: there is nothing to convert")


def convert(folder, out):
    """Returns (tensors, bytes, files) written."""
    out = out.rstrip("/") or "/"
    partial = out + ".partial"
    archives = []
    check_folder(folder)
    if os.path.lexists(out):
        raise Refused(f"--out {out} exists; a new directory would be right")
    open_files(folder, archives)
    n_bytes = sum(size_of(v) for a in archives for v in a.tensors.values())
    try:
        os.mkdir(partial)
    except FileExistsError:
        raise Refused(f"{partial} exists: it is being written, or its writer was killed; remove it "
                      "then") from None
    try:
        n_free = shutil.disk_usage(partial).free
        if n_free < n_bytes + ROOM_BYTES:
            raise Refused(f"{out}: {n_bytes + ROOM_BYTES} bytes are needed, {n_free} are free there")
        write_all(folder, archives, partial)
        os.rename(partial, out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return sum(len(a.tensors) for a in archives), n_bytes, len(archives)


def main():
    parser = argparse.ArgumentParser(prog="mspeckv convert",
                                     description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("folder", metavar="DIR", help="a checkpoint of pytorch_model*.bin files")
    parser.add_argument("--out", metavar="DIR", required=True, help="a new directory")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        n_tensors, n_bytes, n_files = convert(options.folder, options.out)
    except KeyboardInterrupt:
        print("mspeckv convert: stopped; nothing is left behind", file=sys.stderr)
        return 1
    except (Refused, OSError) as e:
        print(f"mspeckv convert: {e}", file=sys.stderr)
        return 1
    print(f"{options.out}: {n_tensors} tensors, {n_bytes} bytes in {n_files} "
          f"file{'s' if n_files != 1 else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
