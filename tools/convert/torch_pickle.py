"""Reads data.pkl of a PyTorch archive without unpickling: what it names is never run or imported.

A small stack machine of its own knows the opcodes that torch.save writes and the few names that
stand for dictionaries, storages and tensors; any other opcode or name is refused with its place.
Values are plain numbers, texts, tuples, lists and dicts, and the three classes below. Nothing
walks into a value, so that cycles and depth do no harm.
"""

import io
import pickletools
import re
from typing import NamedTuple

from refusal import Refused, word

MAX_DIMS = 8
MAX_INT = 2**63 - 1

# safetensors' name and bytes of an element, by torch's names of storages and of dtypes
STORAGES = {
    "DoubleStorage": ("F64", 8), "FloatStorage": ("F32", 4), "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2), "LongStorage": ("I64", 8), "IntStorage": ("I32", 4),
    "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1), "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
DTYPES = {
    "float64": ("F64", 8), "float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2),
    "int64": ("I64", 8), "int32": ("I32", 4), "int16": ("I16", 2), "int8": ("I8", 1),
    "uint8": ("U8", 1), "uint16": ("U16", 2), "uint32": ("U32", 4), "uint64": ("U64", 8),
    "bool": ("BOOL", 1), "float8_e4m3fn": ("F8_E4M3", 1), "float8_e5m2": ("F8_E5M2", 1),
}
UNTYPED = "torch.storage.UntypedStorage"
CALLS = ("collections.OrderedDict", "torch._utils._rebuild_tensor_v2",
         "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter")
NAMES = frozenset(["torch." + n for n in (*STORAGES, *DTYPES)] + [UNTYPED, *CALLS])


class Name(NamedTuple):
    """A name of NAMES; only ever compared."""
    text: str


class Storage(NamedTuple):
    key: str
    dtype: tuple  # of STORAGES; None: untyped bytes
    n_bytes: int


class View(NamedTuple):
    """A tensor: a strided view of a storage, numbers in elements."""
    storage: Storage
    dtype: tuple
    offset: int
    shape: tuple
    stride: tuple


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INT


def is_counts(value):
    return isinstance(value, tuple) and len(value) <= MAX_DIMS and all(map(is_count, value))


class Machine:
    """Runs one pickle to its STOP; `where` stands in messages."""

    def __init__(self, pickle, where):
        self.stream = io.BytesIO(pickle)
        self.n_bytes = len(pickle)
        self.where = where
        self.at = 0  # of the opcode that runs
        self.stack = []
        self.marks = []
        self.memo = {}

    def refuse(self, words):
        raise Refused(f"{self.where}, byte {self.at}: {words}")

    def run(self):
        """The value on top at STOP."""
        while True:
            self.at = self.stream.tell()
            byte = self.stream.read(1)
            op = pickletools.code2op.get(byte.decode("latin-1")) if byte else None
            if op is None:
                self.refuse("unknown opcode" if byte else "ends without STOP")
            if op.name == "STOP":
                if self.stream.tell() != self.n_bytes:
                    self.refuse("bytes follow STOP")
                return self.pop()
            step = STEPS.get(op.name)
            if step is None:
                self.refuse(f"opcode {op.name} is not one that a saved model needs")
            try:
                arg = op.arg.reader(self.stream) if op.arg is not None else None
            except (ValueError, OverflowError):
                self.refuse(f"opcode {op.name} is cut off or malformed")
            step(self, arg)

    # stack

    def push(self, value):
        self.stack.append(value)

    def pop(self):
        floor = self.marks[-1] if self.marks else 0
        if len(self.stack) <= floor:
            self.refuse("the stack is empty")
        return self.stack.pop()

    def top(self, kind):
        value = self.pop()
        if not isinstance(value, kind):
            self.refuse(f"a {kind.__name__} was expected, not a {type(value).__name__}")
        self.push(value)
        return value

    def since_mark(self):
        if not self.marks:
            self.refuse("there is no MARK")
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def tuple_of(self, n):
        items = [self.pop() for _ in range(n)]
        self.push(tuple(reversed(items)))

    # memo

    def put(self, index):
        value = self.pop()
        self.push(value)
        self.memo[index] = value

    def get(self, index):
        if index not in self.memo:
            self.refuse(f"memo {index} was never set")
        self.push(self.memo[index])

    # values

    def number(self, value):
        if not -MAX_INT - 1 <= value <= MAX_INT:
            self.refuse("a number of more than 64 bits")
        self.push(value)

    def name(self, text):
        if text not in NAMES:
            self.refuse(f"it names {word(text)}, which is not needed for a saved model and is "
                        "neither imported nor called")
        self.push(Name(text))

    def stack_name(self):
        attribute, module = self.pop(), self.pop()
        if not isinstance(attribute, str) or not isinstance(module, str):
            self.refuse("a name that is no text")
        self.name(f"{module}.{attribute}")

    def extend(self, items):
        self.top(list).extend(items)

    def set_items(self, items):
        target = self.top(dict)
        if len(items) % 2 != 0:
            self.refuse("a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            if not isinstance(key, (str, int)):
                self.refuse(f"a key that is a {type(key).__name__}")
            if key in target:
                self.refuse(f"key {word(str(key))} stands twice")
            target[key] = value

    def set_item(self):
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def build(self):
        """Attributes of a dictionary, such as _metadata of a state_dict: not needed."""
        if not isinstance(self.pop(), dict):
            self.refuse("BUILD with a state that is no dictionary")
        self.top(dict)

    def storage(self):
        pid = self.pop()
        if (not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage"
                or not isinstance(pid[1], Name) or not isinstance(pid[2], str)
                or not is_count(pid[4])):
            self.refuse("a persistent id that is no (storage, type, key, location, size)")
        dtype = STORAGES.get(pid[1].text.removeprefix("torch."))
        if dtype is None and pid[1].text != UNTYPED:
            self.refuse(f"{word(pid[1].text)} is no storage")
        self.push(Storage(pid[2], dtype, pid[4] * (dtype[1] if dtype else 1)))

    # calls

    def reduce(self):
        args, callee = self.pop(), self.pop()
        if not isinstance(callee, Name) or callee.text not in CALLS or not isinstance(args, tuple):
            self.refuse("REDUCE of something that is none of the calls of a saved model")
        kind = callee.text.rpartition(".")[2]
        if kind == "OrderedDict":
            if args:
                self.refuse("OrderedDict with arguments")
            self.push({})
        elif kind == "_rebuild_parameter":
            if len(args) != 3 or not isinstance(args[0], View):
                self.refuse("_rebuild_parameter wants (tensor, requires_grad, hooks)")
            self.push(args[0])
        else:
            self.push(self.view(kind, args))

    def view(self, kind, args):
        is_typed = kind == "_rebuild_tensor_v2"
        if len(args) not in ((6, 7) if is_typed else (7, 8)):
            self.refuse(f"{kind} with {len(args)} arguments")
        storage, offset, shape, stride = args[:4]
        dtype = storage.dtype if isinstance(storage, Storage) else None
        if not is_typed:
            dtype = isinstance(args[6], Name) and DTYPES.get(args[6].text.removeprefix("torch."))
        if (not isinstance(storage, Storage) or not dtype or not is_count(offset)
                or not is_counts(shape) or not is_counts(stride) or len(shape) != len(stride)):
            self.refuse(f"{kind} wants (storage, offset, size, stride, ...) of whole numbers from "
                        f"0 on, of at most {MAX_DIMS} dimensions, and a known dtype")
        return View(storage, dtype, offset, shape, stride)


STEPS = {
    "PROTO": lambda m, n: n <= 5 or m.refuse(f"pickle protocol {n}; 2 to 5 would be right"),
    "FRAME": lambda m, n: None,
    "GLOBAL": lambda m, text: m.name(text.replace(" ", ".", 1)),
    "STACK_GLOBAL": lambda m, _: m.stack_name(),
    "MARK": lambda m, _: m.marks.append(len(m.stack)),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "TUPLE1": lambda m, _: m.tuple_of(1),
    "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "APPEND": lambda m, _: m.extend([m.pop()]),
    "APPENDS": lambda m, _: m.extend(m.since_mark()),
    "EMPTY_DICT": lambda m, _: m.push({}),
    "SETITEM": lambda m, _: m.set_item(),
    "SETITEMS": lambda m, _: m.set_items(m.since_mark()),
    "BINUNICODE": Machine.push,
    "SHORT_BINUNICODE": Machine.push,
    "BININT": Machine.push,
    "BININT1": Machine.push,
    "BININT2": Machine.push,
    "LONG1": Machine.number,
    "BINFLOAT": Machine.push,
    "NONE": lambda m, _: m.push(None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "BINPUT": Machine.put,
    "LONG_BINPUT": Machine.put,
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "BINGET": Machine.get,
    "LONG_BINGET": Machine.get,
    "BINPERSID": lambda m, _: m.storage(),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
}


def tensors(pickle, where):
    """{name: View} of a saved state_dict."""
    found = Machine(pickle, where).run()
    if not isinstance(found, dict):
        raise Refused(f"{where}: holds a {type(found).__name__}, not a dictionary of tensors")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, View):
            raise Refused(f"{where}: {word(str(name))} is no tensor; a plain state_dict would be "
                          "right")
        if not re.fullmatch("[!-~]{1,255}", name) or name == "__metadata__":
            raise Refused(f"{where}: tensor name '{word(name)}' is not 1 to 255 printable ASCII "
                          "characters")
    return found
