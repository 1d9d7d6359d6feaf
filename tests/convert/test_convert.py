"""What PyTorch wrote becomes the bytes that safetensors would have; what is hostile is refused in
one line, runs nothing, and leaves nothing behind."""

import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "tools" / "convert")]

import torch_file as t  # noqa: E402
import convert_bin  # noqa: E402
from refusal import Refused  # noqa: E402

FIXTURES = ROOT / "tests" / "fixtures" / "torch_bin"
FLOATS = struct.pack("<6f", *range(6))


def read_safetensors(path):
    """{name: (dtype, shape, bytes)}; the tensors must tile the file."""
    raw = pathlib.Path(path).read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    assert n % 8 == 0 and raw[8:9] == b"{"
    header, data, end, out = json.loads(raw[8:8 + n]), raw[8 + n:], 0, {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, stop = entry["data_offsets"]
        assert begin == end
        end = stop
        out[name] = (entry["dtype"], entry["shape"], data[begin:stop])
    assert end == len(data)
    return out


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="test-convert-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.source = self.dir / "in"
        self.source.mkdir()
        (self.source / "config.json").write_text("{}")

    def put(self, data, name="pytorch_model.bin"):
        (self.source / name).write_bytes(data)

    def convert(self, source=None):
        out = self.dir / "out"
        convert_bin.convert(str(source or self.source), str(out))
        return out

    def values(self, pickle, entries, **more):
        """The tensors of one archive, as (dtype, shape, bytes)."""
        self.put(t.archive(pickle, entries, **more))
        return read_safetensors(self.convert() / "model.safetensors")

    def refuse(self, data, *words, name="pytorch_model.bin"):
        if data is not None:
            self.put(data, name)
        with self.assertRaises(Refused) as caught:
            self.convert()
        line = str(caught.exception)
        self.assertNotIn("\n", line)
        for word in words:
            self.assertIn(word, line)
        self.assertEqual([p.name for p in self.dir.iterdir()], ["in"])

    def refuse_pickle(self, pickle, *words):
        self.refuse(t.archive(pickle, [("0", FLOATS)]), *words)


class WhatTorchWrote(Case):
    def test_single_files_become_the_bytes_that_safetensors_writes(self):
        for folder, twin in (("f32_single", "f32"), ("bf16_state_dict", "bf16"),
                             ("f16_parameters", "f16")):
            with self.subTest(folder):
                out = self.convert(FIXTURES / folder)
                self.assertEqual((out / "model.safetensors").read_bytes(),
                                 (FIXTURES / f"expected_{twin}.safetensors").read_bytes())
                shutil.rmtree(out)

    def test_shards_hold_the_same_tensors_and_an_index_that_names_them(self):
        for folder, twin in (("f32_sharded", "f32"), ("bf16_sharded", "bf16")):
            with self.subTest(folder):
                out = self.convert(FIXTURES / folder)
                index = json.loads((out / "model.safetensors.index.json").read_text())
                found = {}
                for file in sorted(set(index["weight_map"].values())):
                    tensors = read_safetensors(out / file)
                    self.assertEqual({index["weight_map"][n] for n in tensors}, {file})
                    found.update(tensors)
                self.assertEqual(found, read_safetensors(FIXTURES / f"expected_{twin}.safetensors"))
                self.assertEqual((out / "config.json").read_text(),
                                 (FIXTURES / folder / "config.json").read_text())
                shutil.rmtree(out)


class Views(Case):
    def test_a_column_of_a_storage_is_gathered(self):
        pickle = t.state(w=t.tensor(t.storage("0", 6), 1, [2, 2], [2, 2]))
        self.assertEqual(self.values(pickle, [("0", FLOATS)])["w"],
                         ("F32", [2, 2], struct.pack("<4f", 1, 3, 3, 5)))

    def test_a_three_dimensional_turn_is_gathered(self):
        data = bytes(range(24))
        pickle = t.state(w=t.tensor(t.storage("0", 24, "torch.ByteStorage"), 0, [4, 2, 3], [1, 12, 4]))
        expected = bytes(12 * b + 4 * c + a for a in range(4) for b in range(2) for c in range(3))
        self.assertEqual(self.values(pickle, [("0", data)])["w"], ("U8", [4, 2, 3], expected))

    def test_scalars_and_empty_tensors_are_legal(self):
        pickle = t.state(one=t.tensor(t.storage("0", 6), 5, [], []),
                         none=t.tensor(t.storage("0", 6), 0, [0, 3], [3, 1]))
        found = self.values(pickle, [("0", FLOATS)])
        self.assertEqual(found["one"], ("F32", [], struct.pack("<f", 5)))
        self.assertEqual(found["none"], ("F32", [0, 3], b""))

    def test_big_endian_archives_are_turned(self):
        pickle = t.state(w=t.tensor(t.storage("0", 6), 0, [6], [1]),
                         x=t.tensor(t.storage("0", 6), 1, [2], [2]))
        found = self.values(pickle, [("0", struct.pack(">6f", *range(6)))], order=b"big")
        self.assertEqual(found["w"][2], FLOATS)
        self.assertEqual(found["x"][2], struct.pack("<2f", 1, 3))

    def test_archives_without_a_byte_order_are_little_endian(self):
        pickle = t.state(w=t.tensor(t.storage("0", 6), 0, [6], [1]))
        self.assertEqual(self.values(pickle, [("0", FLOATS)], order=None)["w"][2], FLOATS)

    def test_untyped_storages_take_their_dtype_from_the_tensor(self):
        stored = t.storage("0", 24, "torch.storage.UntypedStorage")
        tensor = (t.name("torch._utils._rebuild_tensor_v3") + b"(" + stored + t.number(0)
                  + t.counts([12]) + t.counts([1]) + b"\x89" + t.name("collections.OrderedDict")
                  + b")R" + t.name("torch.uint16") + b"tR")
        self.assertEqual(self.values(t.state(w=tensor), [("0", FLOATS)])["w"],
                         ("U16", [12], FLOATS))


class HostilePickles(Case):
    def test_a_name_outside_the_list_is_refused_and_never_called(self):
        made = self.dir / "in" / "made"
        command = f"touch {made}"
        for system in ("os.system", "posix.system", "builtins.eval", "builtins.getattr",
                       "torch.hub.load", "torch._utils._rebuild_tensor"):
            with self.subTest(system):
                pickle = b"\x80\x02" + t.name(system) + b"(" + t.text(command) + b"tR."
                self.refuse_pickle(pickle, system, "byte 2", "neither imported nor called")
        stacked = (b"\x80\x04" + t.text("os") + t.text("system") + b"\x93(" + t.text(command) + b"tR.")
        self.refuse_pickle(stacked, "os.system")
        self.assertFalse(made.exists())

    def test_an_opcode_outside_the_list_is_refused_with_its_place(self):
        self.refuse_pickle(b"\x80\x02}(i" + b"os\nsystem\n.", "opcode INST", "byte 4")
        for opcode, word in ((b"\x81", "NEWOBJ"), (b"\x82\x01", "EXT1"), (b"Pid\n", "PERSID"),
                             (b"I1\n", "INT"), (b"2", "DUP"), (b"\x8b", "LONG4"), (b"\xff", "unknown")):
            self.refuse_pickle(b"\x80\x02" + opcode + b".", word, "byte 2")

    def test_calls_take_only_what_a_saved_model_gives(self):
        ordered, rebuild = t.name("collections.OrderedDict"), t.name("torch._utils._rebuild_tensor_v2")
        self.refuse_pickle(b"\x80\x02" + ordered + b"(" + t.text("x") + b"tR.", "with arguments")
        self.refuse_pickle(b"\x80\x02" + t.text("x") + b")R.", "REDUCE of something")
        self.refuse_pickle(b"\x80\x02" + t.name("torch.FloatStorage") + b")R.", "REDUCE of something")
        self.refuse_pickle(b"\x80\x02" + rebuild + b")R.", "with 0 arguments")
        self.refuse_pickle(b"\x80\x02" + rebuild + b"(" + b"K\x01" * 6 + b"tR.", "wants (storage")
        self.refuse_pickle(b"\x80\x02(" + t.text("storage") + b"K\x01K\x01K\x01K\x01tQ.", "persistent id")
        self.refuse_pickle(t.state(w=t.tensor(t.storage("0", 6, "torch.float32"), 0, [1], [1])),
                           "is no storage")

    def test_cycles_and_depth_do_no_harm(self):
        self.refuse_pickle(b"\x80\x02}q\x00" + t.text("w") + b"h\x00s.", "w is no tensor")
        self.refuse_pickle(b"\x80\x02]q\x00h\x00a.", "holds a list")
        self.refuse_pickle(b"\x80\x02)" + b"\x85" * 200000 + b".", "holds a tuple")
        doubled = b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * 200 + b"."
        self.refuse_pickle(doubled, "holds a tuple")

    def test_a_broken_stack_is_refused(self):
        for pickle, words in ((b"\x80\x02.", "stack is empty"), (b"\x80\x02t.", "no MARK"),
                              (b"\x80\x02}(" + t.text("w") + b"u.", "without a value"),
                              (b"\x80\x02h\x07.", "memo 7"), (b"\x80\x02}", "without STOP"),
                              (b"\x80\x02}.}", "bytes follow STOP"), (b"", "without STOP"),
                              (b"\x80\x09}.", "protocol 9"), (b"\x80\x02(R.", "stack is empty"),
                              (b"\x80\x02}})s.", "a key that is a dict"),
                              (b"\x80\x02}K\x01b.", "no dictionary"),
                              (b"\x80\x02\x8a\x0a" + b"\x7f" * 10 + b".", "64 bits")):
            self.refuse_pickle(pickle, words)

    def test_claimed_sizes_are_not_believed(self):
        self.refuse_pickle(b"\x80\x02X\xff\xff\xff\x7fabc.", "BINUNICODE is cut off")
        self.refuse_pickle(b"\x80\x02\x8a\xff\x01.", "LONG1 is cut off")

    def test_a_name_that_stands_twice_is_refused(self):
        tensor = t.tensor(t.storage("0", 6), 0, [6], [1])
        self.refuse_pickle(b"\x80\x02}(" + (t.text("w") + tensor) * 2 + b"u.", "w stands twice")

    def test_names_are_printable(self):
        tensor = t.tensor(t.storage("0", 6), 0, [6], [1])
        for name in ("", "a b", "a\nb", "\u00e4", "x" * 256, "__metadata__"):
            self.refuse_pickle(b"\x80\x02}" + t.text(name) + tensor + b"s.", "tensor name")

    def test_every_truncation_of_a_real_pickle_is_refused(self):
        with zipfile.ZipFile(FIXTURES / "bf16_state_dict" / "pytorch_model.bin") as file:
            pickle = file.read("pytorch_model/data.pkl")
        for n in range(0, len(pickle), 7):
            self.refuse_pickle(pickle[:n], "data.pkl, byte")


class HostileViews(Case):
    def refuse_view(self, words, *view, n=6):
        self.refuse_pickle(t.state(w=t.tensor(t.storage("0", n), *view)), "tensor w", words)

    def test_views_stay_in_their_storage(self):
        self.refuse_view("reach element 6 of a storage of 6", 1, [6], [1])
        self.refuse_view("reach element 6", 6, [1], [1])
        self.refuse_view("reach element", 0, [2, 2], [1, 2**62])
        self.refuse_view("reach element", 2**62, [1], [1])
        self.refuse_view("reach element", 0, [2**40, 2**40], [1, 1])
        self.refuse_view("stride 0", 0, [2**40], [0])

    def test_overlapping_views_cannot_grow_a_file(self):
        self.refuse_view("of a storage of 6", 0, [3, 3], [1, 1])

    def test_negative_and_fractional_numbers_are_refused(self):
        rebuild, stored = t.name("torch._utils._rebuild_tensor_v2"), t.storage("0", 6)
        for shape in (b"(J\xff\xff\xff\xfft", b"(G" + struct.pack(">d", 1.5) + b"t", b"(\x88t", b"]"):
            self.refuse_pickle(b"\x80\x02" + rebuild + b"(" + stored + b"K\x00" + shape + b"(K\x01t\x89}tR.",
                               "wants (storage")
        self.refuse_pickle(t.state(w=t.tensor(stored, 0, [1] * 9, [1] * 9)), "at most 8 dimensions")

    def test_storages_stay_in_their_entry(self):
        self.refuse_view("its storage has 28 bytes, entry data/0 only 24", 0, [6], [1], n=7)
        self.refuse_view("its storage has", 0, [6], [1], n=2**61)

    def test_a_storage_must_be_there_under_a_plain_key(self):
        for key in ("1", "../data/0", "/etc/passwd", "0\x00"):
            self.refuse_pickle(t.state(w=t.tensor(t.storage(key, 6), 0, [6], [1])), "there is no entry")


class HostileArchives(Case):
    good = t.state(w=t.tensor(t.storage("0", 6), 0, [6], [1]))

    def test_the_old_formats_are_refused_by_name(self):
        magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
        self.refuse(magic, "before 1.6", "torch.save()")
        tar = b"tensors".ljust(257, b"\0") + b"ustar\x0000".ljust(255, b"\0")
        self.refuse(tar, "before 1.6")

    def test_what_is_no_archive_is_refused(self):
        self.refuse(b"", "no PyTorch archive")
        self.refuse(b"{}", "no PyTorch archive")
        self.refuse(b"PK\x03\x04", "broken zip file")
        self.refuse(t.archive(self.good, [("0", FLOATS)])[:-30], "broken zip file")

    def test_compressed_entries_are_refused(self):
        self.refuse(t.archive(self.good, [("0", FLOATS)], compression=zipfile.ZIP_DEFLATED), "compressed")

    def test_entries_that_stand_twice_are_refused(self):
        with self.assertWarns(UserWarning):
            data = t.archive(self.good, [("0", FLOATS), ("0", FLOATS)])
        self.refuse(data, "stands twice")

    def test_one_pickle_is_wanted(self):
        self.refuse(t.archive(self.good, [("0", FLOATS)], prefix="a/b"), "0 entries NAME/data.pkl")

    def test_damage_is_seen(self):
        data = t.archive(self.good, [("0", FLOATS)])
        at = data.index(FLOATS)
        self.refuse(data[:at] + b"\x01" + data[at + 1:], "data/0: its checksum is wrong")
        at = data.index(b"FloatStorage")
        self.refuse(data[:at] + b"D" + data[at + 1:], "data.pkl: its checksum is wrong")
        self.refuse(t.archive(self.good, [("0", FLOATS)], order=b"middle"), "byteorder")

    def test_random_damage_is_refused_or_harmless(self):
        data = bytearray((FIXTURES / "f32_single" / "pytorch_model.bin").read_bytes())
        rng = random.Random(1)
        n_refused = 0
        for _ in range(120):
            broken = bytearray(data)
            for _ in range(rng.randint(1, 4)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            self.put(bytes(broken))
            try:
                shutil.rmtree(self.convert())
            except Refused as e:
                self.assertNotIn("\n", str(e))
                n_refused += 1
            self.assertFalse((self.dir / "out.partial").exists())
        self.assertGreater(n_refused, 60)


class Directories(Case):
    good = t.archive(t.state(w=t.tensor(t.storage("0", 6), 0, [6], [1])), [("0", FLOATS)])

    def index(self, weight_map):
        (self.source / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))

    def test_shard_names_stay_in_the_directory(self):
        for name in ("../x.bin", "/tmp/x.bin", "a/b.bin", "x.pkl", "..bin", "", 3, None):
            self.index({"w": name})
            self.refuse(None, "tensor w", "no plain name")

    def test_index_and_files_agree(self):
        self.put(self.good, "a.bin")
        self.index({"w": "a.bin", "v": "a.bin"})
        self.refuse(None, "a.bin", "tensor v is not in the file")
        self.index({"v": "a.bin"})
        self.refuse(None, "a.bin", "tensor v is not in the file")
        self.put(self.good, "b.bin")
        self.index({"w": "a.bin", "x": "b.bin"})
        self.refuse(None, "b.bin", "is not in the")
        self.index({"w": "c.bin"})
        self.refuse(None, "c.bin", "not there")

    def test_a_broken_index_is_refused(self):
        path = self.source / "pytorch_model.bin.index.json"
        for content in (b"{", b"[]", b'{"weight_map": {}}', b"\xff", b"[" * 100000,
                        b'{"weight_map": {"w": "a.bin", "w": "b.bin"}}'):
            path.write_bytes(content)
            self.refuse(None, "pytorch_model.bin.index.json")

    def test_what_is_there_already_is_left_alone(self):
        self.put(self.good)
        out = self.dir / "out"
        out.mkdir()
        with self.assertRaisesRegex(Refused, "exists; a new directory"):
            self.convert()
        out.rmdir()
        partial = self.dir / "out.partial"
        partial.mkdir()
        with self.assertRaisesRegex(Refused, "out.partial exists"):
            self.convert()
        self.assertTrue(partial.exists())

    def test_a_directory_that_needs_no_conversion_is_refused(self):
        self.put(self.good)
        self.put(b"", "model.safetensors")
        self.refuse(None, "nothing to convert")
        (self.source / "model.safetensors").unlink()
        (self.source / "config.json").unlink()
        self.refuse(None, "no config.json")
        (self.source / "config.json").write_text("{}")
        (self.source / "pytorch_model.bin").unlink()
        self.refuse(None, "holds neither")

    def test_a_failed_write_leaves_nothing(self):
        self.put(t.archive(t.state(w=t.tensor(t.storage("0", 1 << 16), 0, [1 << 16], [1])),
                           [("0", bytes(4 << 16))]))
        script = ("import resource, signal, sys\n"
                  "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
                  "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
                  f"sys.path.insert(0, {str(ROOT / 'tools' / 'convert')!r})\n"
                  "import convert_bin\nsys.exit(convert_bin.main())\n")
        done = subprocess.run([sys.executable, "-c", script, str(self.source), "--out",
                               str(self.dir / "out")], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("mspeckv convert: ", done.stderr)
        self.assertEqual(os.listdir(self.dir), ["in"])

    def test_the_program_says_what_it_wrote(self):
        self.put(self.good)
        (self.source / "tokenizer.json").write_text("{\"a\": 1}")
        out = self.dir / "out"
        done = subprocess.run([sys.executable, ROOT / "tools" / "convert" / "convert_bin.py",
                               self.source, "--out", f"{out}/"], capture_output=True, text=True,
                              check=True)
        self.assertEqual(done.stdout, f"{out}/: 1 tensors, 24 bytes in 1 file\n")
        self.assertEqual((out / "tokenizer.json").read_text(), "{\"a\": 1}")


if __name__ == "__main__":
    unittest.main()
