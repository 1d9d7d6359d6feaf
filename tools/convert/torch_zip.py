"""A PyTorch archive: a zip file of stored (not compressed) entries PREFIX/data.pkl, PREFIX/data/KEY
and, in newer ones, PREFIX/byteorder. Nothing is unpacked; entries are read where they lie.
"""

import mmap
import struct
import zipfile
import zlib

import torch_pickle
from refusal import Refused, word

MAX_PICKLE_BYTES = 64 << 20
BLOCK_BYTES = 8 << 20
LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of name and extra field
OLD_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"  # pickled 0x1950a86a20f9469cfc6c


class TorchZip:
    """One .bin file. `tensors` is {name: View}, checked against the storages."""

    def __init__(self, path):
        self.path = path
        self.checked = set()  # keys of storages whose checksum was right
        with open(path, "rb") as file:
            head = file.read(512)
            if not head.startswith(b"PK\x03\x04"):
                raise Refused(f"{self.path}: {self._kind(head)}")
            self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.entries = self._list(file)
        self.prefix = self._prefix()
        order = b"little"
        if f"{self.prefix}/byteorder" in self.entries:
            order = self._small("byteorder", 16)
        if order not in (b"little", b"big"):
            raise Refused(f"{self.path}: byteorder is neither little nor big")
        self.is_big_endian = order == b"big"
        pickle = self._small("data.pkl", MAX_PICKLE_BYTES)
        self.tensors = torch_pickle.tensors(pickle, f"{self.path}: data.pkl")
        for name, view in self.tensors.items():
            self._check(name, view)

    @staticmethod
    def _kind(head):
        if head.startswith(OLD_MAGIC) or head[257:262] == b"ustar":
            return ("is in the format of PyTorch before 1.6, which is not read; torch.save() of "
                    "PyTorch 1.6 or later, applied to what torch.load() gives, makes the right one")
        return "is no PyTorch archive: it does not begin like a zip file"

    def _list(self, file):
        """{name: (offset, size, crc)} of the entries' bytes."""
        try:
            with zipfile.ZipFile(file) as archive:
                listed = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError,
                struct.error) as e:
            raise Refused(f"{self.path}: a broken zip file: {word(str(e))}") from None
        entries = {}
        for info in listed:
            name = info.filename
            where = f"{self.path}: entry '{word(name)}'"
            if name in entries:
                raise Refused(f"{where} stands twice")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise Refused(f"{where} is compressed or encrypted; stored would be right")
            at = max(info.header_offset, 0)
            header = self.map[at:at + LOCAL_HEADER.size]
            if len(header) < LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
                raise Refused(f"{where} has no local header")
            _, n_name, n_extra = LOCAL_HEADER.unpack(header)
            begin = at + LOCAL_HEADER.size + n_name + n_extra
            if begin + info.file_size > len(self.map):
                raise Refused(f"{where} of {info.file_size} bytes ends behind the file's end")
            entries[name] = (begin, info.file_size, info.CRC)
        return entries

    def _prefix(self):
        found = [n[:-len("/data.pkl")] for n in self.entries
                 if n.endswith("/data.pkl") and n.count("/") == 1]
        if len(found) != 1:
            raise Refused(f"{self.path}: holds {len(found)} entries NAME/data.pkl; one would be "
                          "right")
        return found[0]

    def _small(self, name, max_bytes):
        begin, size, crc = self.entries[f"{self.prefix}/{name}"]
        if size > max_bytes:
            raise Refused(f"{self.path}: {name} has {size} bytes, at most {max_bytes} are read")
        data = self.map[begin:begin + size]
        if zlib.crc32(data) != crc:
            raise Refused(f"{self.path}: {name}: its checksum is wrong: the file is damaged")
        return data

    def _check(self, name, view):
        """The view lies in its storage, and the storage in its entry."""
        where = f"{self.path}: tensor {name}"
        entry = self.entries.get(f"{self.prefix}/data/{view.storage.key}")
        if entry is None:
            raise Refused(f"{where}: there is no entry data/{word(view.storage.key)}")
        if view.storage.n_bytes > entry[1]:
            raise Refused(f"{where}: its storage has {view.storage.n_bytes} bytes, entry "
                          f"data/{word(view.storage.key)} only {entry[1]}")
        n_stored = view.storage.n_bytes // view.dtype[1]
        n_elements, last = 1, view.offset
        for size, stride in zip(view.shape, view.stride):
            n_elements *= size
            last += (size - 1) * stride
            if size > 1 and stride == 0:
                raise Refused(f"{where}: repeats elements (stride 0), which is not read")
        if n_elements > 0 and (last >= n_stored or n_elements > n_stored):
            raise Refused(f"{where}: offset {view.offset}, size {list(view.shape)} and stride "
                          f"{list(view.stride)} reach element {last} of a storage of {n_stored}")

    def storage(self, view):
        """The bytes of a view's storage, whose checksum is compared the first time."""
        begin, size, crc = self.entries[f"{self.prefix}/data/{view.storage.key}"]
        data = memoryview(self.map)[begin:begin + size]
        if view.storage.key not in self.checked:
            found = 0
            for at in range(0, size, BLOCK_BYTES):
                found = zlib.crc32(data[at:at + BLOCK_BYTES], found)
            if found != crc:
                raise Refused(f"{self.path}: data/{word(view.storage.key)}: its checksum is wrong: "
                              "the file is damaged")
            self.checked.add(view.storage.key)
        return data[:view.storage.n_bytes]

    def forget(self):
        """Gives the memory of what was read back to the system; the file stays mapped."""
        self.map.madvise(mmap.MADV_DONTNEED)
