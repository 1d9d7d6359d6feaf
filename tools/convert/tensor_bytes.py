"""The elements of a strided view in row-major order, little-endian, piece by piece."""

import array

BLOCK_BYTES = 8 << 20
BLOCK_ELEMENTS = 1 << 20
# memoryview and array formats by element size: only bytes move, values do not matter
FORMATS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def n_elements(view):
    n = 1
    for size in view.shape:
        n *= size
    return n


def is_contiguous(view):
    step = 1
    for size, stride in zip(reversed(view.shape), reversed(view.stride)):
        if size > 1 and stride != step:
            return False
        step *= size
    return True


def row_starts(shape, stride, offset):
    """Where each row begins, `shape` and `stride` being those of the dimensions outside of it."""
    if not shape:
        yield offset
        return
    for i in range(shape[0]):
        yield from row_starts(shape[1:], stride[1:], offset + i * stride[0])


def rows(view, elements):
    """Bytes of the last dimension, one row after the other, gathered into blocks."""
    size, step = view.shape[-1], view.stride[-1] if view.shape[-1] > 1 else 1
    block = bytearray()
    for start in row_starts(view.shape[:-1], view.stride[:-1], view.offset):
        for at in range(0, size, BLOCK_ELEMENTS):
            end = min(at + BLOCK_ELEMENTS, size)
            block += elements[start + at * step:start + (end - 1) * step + 1:step].tobytes()
            if len(block) >= BLOCK_BYTES:
                yield block
                block = bytearray()
    yield block


def native(view, storage):
    item = view.dtype[1]
    if n_elements(view) == 0:
        return
    if is_contiguous(view):
        begin = view.offset * item
        end = begin + n_elements(view) * item
        for at in range(begin, end, BLOCK_BYTES):
            yield storage[at:min(at + BLOCK_BYTES, end)]
    else:
        usable = len(storage) // item * item
        yield from rows(view, storage[:usable].cast(FORMATS[item]))


def pieces(view, storage, is_big_endian):
    """Bytes-like objects; `storage` is a memoryview of the whole storage."""
    for piece in native(view, storage):
        if is_big_endian and view.dtype[1] > 1:
            swapped = array.array(FORMATS[view.dtype[1]], bytes(piece))
            swapped.byteswap()
            yield swapped.tobytes()
        else:
            yield piece
