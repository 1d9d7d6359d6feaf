"""Archives and pickles made by hand, right ones and hostile ones."""

import io
import struct
import zipfile

STOP = b"."


def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(dotted):
    module, _, attribute = dotted.rpartition(".")
    return b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"


def number(value):
    if 0 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def counts(values):
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(key, n, kind="torch.FloatStorage"):
    return b"(" + text("storage") + name(kind) + text(key) + text("cpu") + number(n) + b"tQ"


def tensor(stored, offset, shape, stride):
    return (name("torch._utils._rebuild_tensor_v2") + b"(" + stored + number(offset) + counts(shape)
            + counts(stride) + b"\x89" + name("collections.OrderedDict") + b")R" + b"tR")


def state(**tensors):
    """A whole pickle: {name: tensor}; '__' in a keyword stands for a dot."""
    items = b"".join(text(key.replace("__", ".")) + value for key, value in tensors.items())
    return b"\x80\x02}(" + items + b"u" + STOP


def archive(pickle, entries=(), order=b"little", compression=zipfile.ZIP_STORED, prefix="m"):
    """Bytes of a .bin file; `entries` are (key, bytes)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr(f"{prefix}/data.pkl", pickle)
        if order is not None:
            file.writestr(f"{prefix}/byteorder", order)
        for key, data in entries:
            file.writestr(f"{prefix}/data/{key}", data)
    return out.getvalue()
