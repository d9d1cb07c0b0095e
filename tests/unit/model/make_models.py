#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes small random Whisper-shaped models in every format and type, and damaged ones.

usage: make_models.py DIRECTORY

The formats are written here from their definitions, by nothing that the library uses. Weights are
random bits as they are stored; what they mean as f32 is computed from the type's definition, in
whole numbers or in doubles that hold it exactly, and written beside each model.

DIRECTORY/manifest has a line for each model:
  valid PATH EXPECTED FORMAT TYPE N_MELS N_CTX N_STATE N_HEAD N_LAYER N_VOCAB
  bad PATH STATUS PART OF THE MESSAGE
and PATH.marks has, for a valid model in one file, a line "BEGIN END any" or "BEGIN END checked" for
each field: any other value of a byte of the latter is an error.
"""

import json
import os
import random
import shutil
import struct
import sys

ROLES = [
    # name in whisper.cpp, in transformers, in CTranslate2, shape
    ("conv1.weight", "conv1.weight", "conv1/weight", ("state", "mels", 3)),
    ("conv1.bias", "conv1.bias", "conv1/bias", ("state",)),
    ("conv2.weight", "conv2.weight", "conv2/weight", ("state", "state", 3)),
    ("conv2.bias", "conv2.bias", "conv2/bias", ("state",)),
    (
        "positional_embedding",
        "embed_positions.weight",
        "position_encodings/encodings",
        ("ctx", "state"),
    ),
    (
        "blocks.#.attn_ln.weight",
        "layers.#.self_attn_layer_norm.weight",
        "layer_#/self_attention/layer_norm/gamma",
        ("state",),
    ),
    (
        "blocks.#.attn_ln.bias",
        "layers.#.self_attn_layer_norm.bias",
        "layer_#/self_attention/layer_norm/beta",
        ("state",),
    ),
    ("blocks.#.attn.query.weight", "layers.#.self_attn.q_proj.weight", None, ("state", "state")),
    ("blocks.#.attn.query.bias", "layers.#.self_attn.q_proj.bias", None, ("state",)),
    ("blocks.#.attn.key.weight", "layers.#.self_attn.k_proj.weight", None, ("state", "state")),
    ("blocks.#.attn.value.weight", "layers.#.self_attn.v_proj.weight", None, ("state", "state")),
    ("blocks.#.attn.value.bias", "layers.#.self_attn.v_proj.bias", None, ("state",)),
    (
        "blocks.#.attn.out.weight",
        "layers.#.self_attn.out_proj.weight",
        "layer_#/self_attention/linear_1/weight",
        ("state", "state"),
    ),
    (
        "blocks.#.attn.out.bias",
        "layers.#.self_attn.out_proj.bias",
        "layer_#/self_attention/linear_1/bias",
        ("state",),
    ),
    (
        "blocks.#.mlp_ln.weight",
        "layers.#.final_layer_norm.weight",
        "layer_#/ffn/layer_norm/gamma",
        ("state",),
    ),
    (
        "blocks.#.mlp_ln.bias",
        "layers.#.final_layer_norm.bias",
        "layer_#/ffn/layer_norm/beta",
        ("state",),
    ),
    (
        "blocks.#.mlp.0.weight",
        "layers.#.fc1.weight",
        "layer_#/ffn/linear_0/weight",
        ("mlp", "state"),
    ),
    ("blocks.#.mlp.0.bias", "layers.#.fc1.bias", "layer_#/ffn/linear_0/bias", ("mlp",)),
    (
        "blocks.#.mlp.2.weight",
        "layers.#.fc2.weight",
        "layer_#/ffn/linear_1/weight",
        ("state", "mlp"),
    ),
    ("blocks.#.mlp.2.bias", "layers.#.fc2.bias", "layer_#/ffn/linear_1/bias", ("state",)),
    ("ln_post.weight", "layer_norm.weight", "layer_norm/gamma", ("state",)),
    ("ln_post.bias", "layer_norm.bias", "layer_norm/beta", ("state",)),
]

rng = random.Random(20240229)


class Dims:
    def __init__(self, mels=80, ctx=5, state=32, head=2, layer=2, vocab=60):
        self.mels, self.ctx, self.state = mels, ctx, state
        self.head, self.layer, self.vocab = head, layer, vocab

    def shape(self, names):
        sizes = {"mels": self.mels, "ctx": self.ctx, "state": self.state, "mlp": 4 * self.state}
        return [sizes.get(name, name) for name in names]

    def tensors(self):
        """(index in ROLES, layer, shape), in the order in which the test reads them."""
        for i, role in enumerate(ROLES):
            for layer in range(self.layer if "#" in role[0] else 1):
                yield i, layer, self.shape(role[3])

    def words(self):
        return f"{self.mels} {self.ctx} {self.state} {self.head} {self.layer} {self.vocab}"


def count(shape):
    n = 1
    for dim in shape:
        n *= dim
    return n


# Types: each gives (stored bytes, the bytes of the f32 values they stand for).


def random_f32(n):
    data = b"".join(struct.pack("<f", rng.uniform(-2, 2)) for _ in range(n))
    return data, data


def random_bf16(n):
    data = rng.randbytes(2 * n)
    return data, struct.pack(f"<{n}I", *(b << 16 for b in struct.unpack(f"<{n}H", data)))


def f16_bits_as_f32_bits(half):
    sign, exponent, fraction = half >> 15 << 31, half >> 10 & 31, half & 1023
    if exponent == 31:
        return sign | 255 << 23 | fraction << 13
    return struct.unpack("<I", struct.pack("<f", struct.unpack("<e", struct.pack("<H", half))[0]))[
        0
    ]


F32_BITS_OF_F16 = [f16_bits_as_f32_bits(half) for half in range(1 << 16)]


def random_f16(n):
    data = rng.randbytes(2 * n)  # subnormals, infinities and NaN among them
    bits = struct.unpack(f"<{n}H", data)
    return data, struct.pack(f"<{n}I", *map(F32_BITS_OF_F16.__getitem__, bits))


def random_scale():
    """A finite f16 of either sign, sometimes subnormal or zero: its bytes and its value."""
    data = struct.pack(
        "<H", rng.getrandbits(1) << 15 | rng.randrange(31) << 10 | rng.getrandbits(10)
    )
    return data, struct.unpack("<e", data)[0]


def random_q(bits, has_minimum):
    """ggml's blocks of 32: [scale, minimum, fifth bits, low nibbles] or [scale, bytes]."""

    def make(n):
        assert n % 32 == 0
        stored, values = [], []
        for _ in range(n // 32):
            scale_bytes, scale = random_scale()
            q = [rng.getrandbits(bits) for _ in range(32)]
            stored.append(scale_bytes)
            middle = 1 << (bits - 1)
            if has_minimum:
                minimum_bytes, minimum = random_scale()
                stored.append(minimum_bytes)
                middle = 0
            if bits == 8:
                stored.append(struct.pack("32b", *(x - middle for x in q)))
            if bits == 5:
                stored.append(struct.pack("<I", sum((x >> 4) << i for i, x in enumerate(q))))
            if bits < 8:
                stored.append(bytes((q[i] & 15) | (q[i + 16] & 15) << 4 for i in range(16)))
            # q has at most 8 bits and an f16 11: the product is exact, and the sum in a double too.
            products = [(x - middle) * scale for x in q]
            values += [x + minimum for x in products] if has_minimum else products
        return b"".join(stored), struct.pack(f"<{n}f", *values)

    return make


TYPES = {
    "f32": random_f32,
    "f16": random_f16,
    "bf16": random_bf16,
    "q4_0": random_q(4, False),
    "q4_1": random_q(4, True),
    "q5_0": random_q(5, False),
    "q5_1": random_q(5, True),
    "q8_0": random_q(8, False),
}


def random_int8(rows, n):
    """Rows of n with a scale each: (stored, stored scales, values q / scale)."""
    q = rng.choices(range(-127, 128), k=rows * n)
    scales = [struct.unpack("<f", struct.pack("<f", rng.uniform(1, 4000)))[0] for _ in range(rows)]
    # A quotient of doubles rounded to f32 is the correctly rounded one: 53 >= 2 * 24 + 2.
    values = struct.pack(f"<{rows * n}f", *(x / scales[i // n] for i, x in enumerate(q)))
    return struct.pack(f"{rows * n}b", *q), struct.pack(f"<{rows}f", *scales), values


class Writer:
    """A file in the making, and the marks of its fields."""

    def __init__(self):
        self.data = bytearray()
        self.marks = []

    def put(self, data, checked=True):
        begin = len(self.data)
        self.data += data
        if data:
            self.marks.append((begin, len(self.data), "checked" if checked else "any"))

    def number(self, form, value, checked=True):
        self.put(struct.pack("<" + form, value), checked)


# whisper.cpp

GGML_TYPES = {  # number of the tensor's type, of the file's
    "f32": (0, 0),
    "f16": (1, 1),
    "q4_0": (2, 2002),
    "q4_1": (3, 2003),
    "q5_0": (6, 2008),
    "q5_1": (7, 2009),
    "q8_0": (8, 2007),
}


class Ggml:
    def __init__(self, dims, kind):
        self.dims, self.kind = dims, kind
        self.head = {
            "magic": 0x67676D6C,
            "n_vocab": dims.vocab,
            "n_audio_ctx": dims.ctx,
            "n_audio_state": dims.state,
            "n_audio_head": dims.head,
            "n_audio_layer": dims.layer,
            "n_text_ctx": 7,
            "n_text_state": dims.state,
            "n_text_head": dims.head,
            "n_text_layer": 1,
            "n_mels": dims.mels,
            "ftype": GGML_TYPES[kind][1],
            "filter_mels": dims.mels,
            "filter_fft": 201,
        }
        self.words = [b"a", b"", b" hello", bytes(range(128, 160))]
        self.claims = {}  # lies about lengths
        self.tensors = []  # [name, dimensions outermost first, type's number, data]
        self.expected = b""
        for i, layer, shape in dims.tensors():
            name = "encoder." + ROLES[i][0].replace("#", str(layer))
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                shape = [shape[0], 1]
            is_small = len(shape) == 1 or shape[1] == 1 or name.endswith("embedding")
            is_conv = len(shape) == 3
            type_name = "f32" if is_small or kind == "f32" else "f16" if is_conv else kind
            stored, values = TYPES[type_name](count(shape))
            self.tensors.append([name, shape, GGML_TYPES[type_name][0], stored])
            self.expected += values
        # The decoder is passed over, wherever it stands. Not at the end: nothing says how many
        # tensors there are, so a file that ends before a tensor of the decoder is complete.
        for at, name, shape in (
            (0, "decoder.positional_embedding", [7, dims.state]),
            (9, "decoder.token_embedding.weight", [dims.vocab, dims.state]),
            (21, "decoder.ln.bias", [dims.state]),
        ):
            self.tensors.insert(at, [name, shape, 0, random_f32(count(shape))[0]])

    def tensor(self, name):
        return next(t for t in self.tensors if t[0] == name)

    def write(self):
        w = Writer()
        for name, value in self.head.items():
            w.number(
                "i", value, name not in ("n_vocab", "n_text_ctx", "n_text_head", "n_text_layer")
            )
        w.put(bytes(4 * self.dims.mels * 201), False)
        w.number("i", self.claims.get("words", len(self.words)))
        for word in self.words:
            w.number("i", self.claims.get("word", len(word)))
            w.put(word, False)
        for name, shape, type_number, data in self.tensors:
            is_ours = name.startswith("encoder.")
            w.number("i", len(shape))
            w.number("i", len(name))
            w.number("i", type_number)
            for dim in reversed(shape):
                w.number("i", dim)
            w.put(name.encode(), is_ours)
            w.put(data, False)
        return w


# Hugging Face


class Safetensors:
    def __init__(self, dims, kind, prefix="model."):
        self.dims = dims
        self.tensors = []  # [name, dtype, shape, data]
        self.expected = b""
        dtype = kind.upper()
        for i, layer, shape in dims.tensors():
            stored, values = TYPES[kind](count(shape))
            name = prefix + "encoder." + ROLES[i][1].replace("#", str(layer))
            self.tensors.append([name, dtype, shape, stored])
            self.expected += values
        shape = [dims.vocab, dims.state]
        self.tensors.append(
            [prefix + "decoder.embed_tokens.weight", dtype, shape, TYPES[kind](count(shape))[0]]
        )
        self.tensors.append(["proj_out.bias", "I64", [3], bytes(24)])
        self.tensors.append(["proj_out.nothing", "U16", [0], b""])
        rng.shuffle(self.tensors)

    def tensor(self, end):
        return next(t for t in self.tensors if t[0].endswith(end))

    def entries(self):
        begin = 0
        for name, dtype, shape, data in self.tensors:
            yield name, {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + len(data)]}
            begin += len(data)

    def header(self, change=lambda entries: None):
        entries = dict(self.entries())
        change(entries)
        return json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()

    def write(self, header=None, change=lambda entries: None):
        header = header if header is not None else self.header(change)
        w = Writer()
        w.number("Q", len(header))
        # Other tensors' names and types, and the metadata, may be anything.
        words = [b'"format"', b'"pt"', b'"I64"', b'"U16"']
        words += [f'"{t[0]}"'.encode() for t in self.tensors if ".encoder." not in "." + t[0]]
        free = sorted((header.find(word) + 1, len(word) - 2) for word in words if word in header)
        at = 0
        for begin, size in free:
            w.put(header[at:begin])
            w.put(header[begin : begin + size], False)
            at = begin + size
        w.put(header[at:])
        w.put(b"".join(t[3] for t in self.tensors), False)
        return w

    def config(self, **changes):
        config = {
            "activation_function": "gelu",
            "architectures": ["WhisperForConditionalGeneration"],
            "d_model": self.dims.state,
            "encoder_attention_heads": self.dims.head,
            "encoder_ffn_dim": 4 * self.dims.state,
            "encoder_layers": self.dims.layer,
            "forced_decoder_ids": [[1, None], [2, 50359]],
            "init_std": 0.02,
            "max_source_positions": self.dims.ctx,
            "model_type": "whisper",
            "num_mel_bins": self.dims.mels,
            "use_cache": True,
            "vocab_size": self.dims.vocab,
        }
        config.update(changes)
        return json.dumps({k: v for k, v in config.items() if v != "absent"}).encode()


# CTranslate2

CT2_TYPES = {"f32": 0, "int8": 1, "int16": 2, "int32": 3, "f16": 4, "bf16": 5}


class CTranslate2:
    def __init__(self, dims, kind, other="f32"):
        self.version, self.spec, self.revision = 6, b"WhisperSpec\0", 3
        self.claims = {}  # lies about lengths
        self.tensors = []  # [name, shape, type's number, data]
        values = {}

        def add(name, shape, i_layer, is_weight):
            if kind == "int8" and is_weight:
                rows = shape[0]
                stored, scales, value = random_int8(rows, count(shape) // rows)
                self.tensors.append([name, shape, CT2_TYPES[kind], stored])
                self.tensors.append([name + "_scale", [rows], CT2_TYPES["f32"], scales])
            else:
                name_of_type = other if kind == "int8" else kind
                stored, value = TYPES[name_of_type](count(shape))
                self.tensors.append([name, shape, CT2_TYPES[name_of_type], stored])
            values[i_layer] = value

        n = dims.state
        for i, layer, shape in dims.tensors():
            if ROLES[i][2] is not None:
                add(
                    "encoder/" + ROLES[i][2].replace("#", str(layer)),
                    shape,
                    (i, layer),
                    ROLES[i][2].endswith("/weight"),
                )
        for layer in range(dims.layer):
            stack = f"encoder/layer_{layer}/self_attention/linear_0/"
            add(stack + "weight", [3 * n, n], "stack", True)
            third = len(values["stack"]) // 3
            for part, i in enumerate((7, 9, 10)):
                values[i, layer] = values["stack"][part * third : (part + 1) * third]
            add(stack + "bias", [3 * n], "stack", False)
            third = len(values["stack"]) // 3
            bias = self.tensors[-1]
            size = len(bias[3]) // 3
            bias[3] = bias[3][:size] + bytes(size) + bias[3][2 * size :]
            values[8, layer] = values["stack"][:third]
            values[11, layer] = values["stack"][2 * third :]
        self.tensors.append(
            ["encoder/num_heads", [], CT2_TYPES["int16"], struct.pack("<h", dims.head)]
        )
        shape = [dims.vocab, n]
        self.tensors.append(["decoder/embeddings/weight", shape, 0, random_f32(count(shape))[0]])
        self.tensors.append(["decoder/scale_embeddings", [], 1, b"\0"])
        self.aliases = [[b"decoder/projection/weight\0", b"decoder/embeddings/weight\0"]]
        # Equal tensors are stored once, whatever they are: also a weight with its scale.
        for role, alias, name in (
            (6, "layer_1/self_attention/layer_norm/beta", "layer_norm/beta"),
            (
                12,
                "layer_1/self_attention/linear_1/weight",
                "layer_0/self_attention/linear_1/weight",
            ),
        ):
            if dims.layer > 1:
                drop = ("encoder/" + alias, "encoder/" + alias + "_scale")
                self.tensors = [t for t in self.tensors if t[0] not in drop]
                self.aliases.append([f"encoder/{alias}\0".encode(), f"encoder/{name}\0".encode()])
                values[role, 1] = values[(21, 0) if role == 6 else (12, 0)]
        self.tensors.sort(key=lambda t: t[0])
        self.expected = b"".join(values[i, layer] for i, layer, _ in dims.tensors())

    def tensor(self, name):
        return next(t for t in self.tensors if t[0] == name)

    def write(self):
        w = Writer()
        # There is more than one version and revision.
        w.put(struct.pack("<I", self.version)[:1], False)
        w.put(struct.pack("<I", self.version)[1:])
        w.number("H", len(self.spec))
        w.put(self.spec)
        w.put(struct.pack("<I", self.revision)[:1], False)
        w.put(struct.pack("<I", self.revision)[1:])
        w.number("I", self.claims.get("tensors", len(self.tensors)))
        for name, shape, type_number, data in self.tensors:
            is_ours = name.startswith("encoder/")
            w.number("H", len(name) + 1)
            w.put(name.encode(), is_ours)
            w.put(b"\0")
            w.number("B", len(shape), bool(shape))
            for dim in shape:
                w.number("I", dim)
            w.number("B", type_number)
            w.number("I", len(data))
            w.put(data, name == "encoder/num_heads")
        w.number("I", self.claims.get("aliases", len(self.aliases)))
        for alias, name in self.aliases:
            for text in (alias, name):
                w.number("H", len(text))
                w.put(text[:-1], alias.startswith(b"encoder/"))
                w.put(text[-1:])
        return w


# The directory


class Output:
    def __init__(self, root):
        self.root = root
        self.manifest = []

    def file(self, path, data):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(data)

    def valid(self, path, model_format, kind, dims, expected, writer=None):
        if writer is not None:
            self.file(path, writer.data)
            marks = "".join(f"{b} {e} {kind}\n" for b, e, kind in writer.marks)
            self.file(path + ".marks", marks.encode())
        self.file(path + ".expected", expected)
        self.manifest.append(f"valid {path} {path}.expected {model_format} {kind} {dims.words()}")

    def bad(self, name, data, message, status="BAD_MODEL"):
        self.file("bad/" + name, bytes(data))
        self.manifest.append(f"bad bad/{name} {status} {message}")

    def bad_directory(self, name, files, message, status="BAD_MODEL"):
        os.makedirs(os.path.join(self.root, "bad", name), exist_ok=True)
        for file, data in files.items():
            self.file(f"bad/{name}/{file}", bytes(data))
        self.manifest.append(f"bad bad/{name} {status} {message}")


def shards(model, n=2):
    """The files of a model cut into n shards, with the index."""
    files, weight_map = {}, {}
    for i in range(n):
        part = Safetensors.__new__(Safetensors)
        part.tensors = model.tensors[i::n]
        name = f"model-{i + 1:05}-of-{n:05}.safetensors"
        files[name] = part.write().data
        weight_map.update((t[0], name) for t in part.tensors)
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    files["config.json"] = model.config()
    return files


def write_valid(out):
    dims = Dims()
    for kind in GGML_TYPES:
        model = Ggml(dims, kind)
        out.valid(f"ggml-{kind}.bin", "ggml", kind, dims, model.expected, model.write())
    model = Ggml(dims, "q5_1")  # version 1 differs from 2 in other types alone
    model.head["ftype"] = 1009
    out.valid("ggml-q5_1-version-1.bin", "ggml", "q5_1", dims, model.expected, model.write())
    for kind in ("f32", "f16", "bf16"):
        model = Safetensors(dims, kind)
        out.file(f"hf-{kind}/model.safetensors", model.write().data)
        out.file(f"hf-{kind}/config.json", model.config())
        out.valid(f"hf-{kind}", "safetensors", kind, dims, model.expected)
        out.file(f"hf-{kind}/model.safetensors.expected", model.expected)
        out.manifest.append(
            f"valid hf-{kind}/model.safetensors hf-{kind}/model.safetensors.expected"
            f" safetensors {kind} {dims.words()}"
        )
    for file, data in shards(model).items():
        out.file("hf-shards/" + file, data)
    out.valid("hf-shards", "safetensors", kind, dims, model.expected)
    # Without a config.json a head is 64 wide.
    for prefix, kind in (("model.", "f16"), ("", "f32")):
        wide = Dims(mels=128, ctx=3, state=64, head=1, layer=1)
        model = Safetensors(wide, kind, prefix)
        name = f"alone/{kind}.safetensors"
        out.valid(name, "safetensors", kind, wide, model.expected, model.write())
    for kind, other in (
        ("f32", ""),
        ("f16", ""),
        ("bf16", ""),
        ("int8", "f32"),
        ("int8", "f16"),
        ("int8", "bf16"),
    ):
        model = CTranslate2(dims, kind, other)
        name = f"ct2-{kind}{other}"
        out.file(f"{name}/model.bin", model.write().data)
        out.valid(name, "ctranslate2", kind, dims, model.expected)
        out.valid(f"{name}.bin", "ctranslate2", kind, dims, model.expected, model.write())
    model = CTranslate2(Dims(mels=128, ctx=3, state=64, head=1, layer=1), "f32")
    model.tensors = [t for t in model.tensors if "num_heads" not in t[0]]
    out.valid(
        "ct2-headless.bin",
        "ctranslate2",
        "f32",
        Dims(mels=128, ctx=3, state=64, head=1, layer=1),
        model.expected,
        model.write(),
    )


def write_foreign(out):
    """What people mistake for a model."""
    head = bytes(rng.getrandbits(8) for _ in range(4000))
    for name, data, message in (
        ("empty", b"", "is empty"),
        ("one-byte", b"l", "of no format that is known here"),
        ("three-bytes", b"lmg", "of no format that is known here"),
        ("zeros", bytes(5000), "of no format that is known here"),
        ("random", b"\xee" + head, "of no format that is known here"),
        ("gguf", b"GGUF\3\0\0\0" + head, "is a GGUF file"),
        ("ggjt", b"tjgg\3\0\0\0" + head, "is a GGJT file"),
        ("page.html", b"<!DOCTYPE html>\n<html><body>404</body></html>", "is HTML"),
        ("page2.html", b"\n\n <html></html>", "is HTML"),
        ("zip", b"PK\3\4\x14\0\0\0" + head, "is a ZIP archive"),
        ("pickle", b"\x80\2\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19." + head, "is a Python pickle"),
        (
            "lfs",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "is a Git LFS pointer",
        ),
        ("hdf5", b"\x89HDF\r\n\x1a\n" + head, "is an HDF5 file"),
        ("gzip", b"\x1f\x8b\x08\0" + head, "is gzip-compressed"),
        ("tflite", b"\x1c\0\0\0TFL3" + head, "is a TensorFlow Lite file"),
        ("wav", b"RIFF\0\0\0\0WAVEfmt " + head, "is a RIFF file"),
        ("json", b'{"d_model": 384}', "is JSON"),
    ):
        out.bad(name, data, message)


def write_bad_ggml(out):
    def bad(name, change, message, status="BAD_MODEL", kind="f16"):
        model = Ggml(Dims(), kind)
        tail = change(model)
        data = model.write().data + (tail if isinstance(tail, bytes) else b"")
        out.bad(f"ggml-{name}", data, message, status)

    def head(**values):
        return lambda model: model.head.update(values)

    def of(name, i, value):
        def change(model):
            model.tensor("encoder." + name)[i] = value

        return change

    for field in (
        "n_audio_ctx",
        "n_audio_state",
        "n_audio_layer",
        "n_audio_head",
        "n_mels",
        "n_vocab",
        "n_text_state",
        "n_text_layer",
    ):
        for value in (0, -1, -(2**31), 2**31 - 1):
            bad(f"{field}{value}", head(**{field: value}), field)
    bad("mels-81", head(n_mels=81), "n_mels is 81, expected 80 or 128")
    bad("mels-128", head(n_mels=128), "the mel filters are 80 x 201, expected 128 x 201")
    bad("ctx-65537", head(n_audio_ctx=65537), "n_audio_ctx at offset 8 is 65537")
    bad("heads-3", head(n_audio_head=3), "n_head is 3, which does not divide n_state 32")
    bad("text-state", head(n_text_state=64), "n_text_state is 64")
    bad("layers-3", head(n_audio_layer=3), "tensor 'encoder.blocks.2.attn_ln.weight' is missing")
    bad("layers-1", head(n_audio_layer=1), "not of a Whisper encoder of 1 layers")
    bad(
        "wider",
        head(n_audio_state=64, n_text_state=64),
        "tensor 'encoder.conv1.weight' has the shape [32, 80, 3], expected [64, 80, 3]",
    )
    bad("filters-huge", head(filter_mels=2**31 - 1, filter_fft=2**31 - 1), "the mel filters are")
    bad("filters-negative", head(filter_mels=-80, filter_fft=-201), "the mel filters are")
    bad("ftype-4", head(ftype=4), "ftype is 4, which is none of")
    bad("ftype-negative", head(ftype=-1), "ftype is -1")
    bad("ftype-other", head(ftype=0), "is f16, but ftype says f32")
    bad("q-version-0", head(ftype=9), "quantise the model again", kind="q5_1")
    bad("q4-version-1", head(ftype=1002), "quantise the model again", kind="q4_0")
    bad("q-version-3", head(ftype=3009), "version 3 is newer", "TOO_NEW", kind="q5_1")

    bad(
        "missing",
        lambda m: m.tensors.remove(m.tensor("encoder.blocks.1.mlp.0.bias")),
        "tensor 'encoder.blocks.1.mlp.0.bias' is missing",
    )
    bad("no-tensors", lambda m: m.tensors.clear(), "tensor 'encoder.conv1.weight' is missing")
    bad(
        "duplicate",
        lambda m: m.tensors.append(m.tensor("encoder.ln_post.bias")),
        "tensor 'encoder.ln_post.bias' is there a second time",
    )
    bad(
        "extra",
        lambda m: m.tensors.append(["encoder.blocks.0.attn.key.bias", [32], 0, bytes(128)]),
        "attn.key.bias' is not of a Whisper",
    )
    bad(
        "unknown",
        lambda m: m.tensors.append(["adapter", [1], 0, bytes(4)]),
        "tensor 'adapter' is not of",
    )
    bad("no-name", lambda m: m.tensors.append(["", [1], 0, bytes(4)]), "a name of 0 bytes")
    bad("long-name", lambda m: m.tensors.append(["x" * 257, [1], 0, bytes(4)]), "a name of 257")
    bad("newline-name", lambda m: m.tensors.append(["a\nb\x1b[2J", [1], 0, bytes(4)]), "'a?b?[2J'")
    bad("transposed", of("blocks.0.mlp.0.weight", 1, [32, 128]), "has the shape [32, 128]")
    bad("rank-0", of("ln_post.bias", 1, []), "has 0 dimensions")
    bad("rank-5", of("ln_post.bias", 1, [32, 1, 1, 1, 1]), "has 5 dimensions")
    bad("dim-0", of("ln_post.bias", 1, [0]), "has a dimension of 0")
    bad("dim-negative", of("ln_post.bias", 1, [-32]), "has a dimension of -32")
    bad("dim-huge", of("ln_post.bias", 1, [2**31 - 1] * 4), "has a dimension of 2147483647")
    bad("dim-large", of("ln_post.bias", 1, [2**31 - 1, 2**31 - 1]), "but only")
    bad("dim-wraps", of("ln_post.bias", 1, [2**16, 2**16, 2**16, 2**16]), "dimension of 65536")
    bad("type-12", of("blocks.1.mlp.2.weight", 2, 12), "has the type 12, which is none of")
    bad("type-negative", of("blocks.1.mlp.2.weight", 2, -1), "has the type -1")
    bad("q-odd", lambda m: m.tensors.append(["decoder.x", [33], 8, bytes(34)]), "cannot be q8_0")
    bad("vocabulary-negative", lambda m: m.claims.update(words=-5), "has -5 words")
    bad("vocabulary-huge", lambda m: m.claims.update(words=2**31 - 1), "has 2147483647 words")
    bad("word-huge", lambda m: m.claims.update(word=-1), "a word of the vocabulary")
    bad("tail", lambda m: b"x", "a tensor's header")
    bad("tail-zeros", lambda m: bytes(64), "has 0 dimensions")

    model = Ggml(Dims(), "f16")
    model.tensors = []
    tiny = struct.pack("<iiii", 1, 1, 0, 1) + b"x" + bytes(4)
    out.bad("ggml-many", model.write().data + tiny * 20000, "tensor 'x' is there a second time")
    many = b"".join(struct.pack("<iiii", 1, 6, 0, 1) + b"%06d" % i + bytes(4) for i in range(20000))
    out.bad("ggml-many-names", model.write().data + many, "more than 16384 tensors")


def write_bad_safetensors(out):
    def bad(
        name,
        message,
        change=lambda entries: None,
        header=None,
        model=None,
        size=None,
        tail=b"",
        status="BAD_MODEL",
        config=None,
    ):
        model = model or Safetensors(Dims(mels=80, ctx=3, state=64, head=1, layer=1), "f16")
        if callable(header):
            header = header(model.header())
        data = model.write(header, change).data + tail
        if size is not None:
            data[:8] = struct.pack("<Q", size)
        files = {"model.safetensors": data}
        if config != "none":
            files["config.json"] = config or model.config()
        out.bad_directory(f"hf-{name}", files, message, status)

    conv1 = "model.encoder.conv1.weight"

    def edit(name=conv1, **values):
        return lambda entries: entries[name].update(values)

    def remove(name):
        return lambda entries: entries[conv1].pop(name)

    bad("size-0", "malformed", size=0)
    bad("size-1", "malformed", size=1)
    bad("size-less", "malformed", size=100)
    bad("size-more", "is malformed", size=5000)
    bad("size-past-end", "bytes, but only", size=2**31)
    bad("size-max", "bytes, but only", size=2**64 - 1)
    bad("not-json", "malformed", header=b"{hello")
    bad("array", "not a JSON object", header=b"[1, 2]")
    bad("scalar", "not a JSON object", header=b'{"a": 1}')
    bad("string", "not a JSON object", header=b'"{"')
    bad("list", "'a' is not a JSON object", header=b'{"a": [1]}')
    bad("cut", "malformed", header=lambda h: h[:-1])
    bad("twice", "malformed", header=lambda h: h + h)
    bad("utf-8", "malformed", header=lambda h: h.replace(b"conv1", b"con\xff1"))
    bad("nul", "malformed", header=lambda h: h + b"\0\0")
    bad("bomb", "the header's 'a' is not a JSON object", header=b'{"a":' + b"[" * 500000)
    bad(
        "bomb-objects",
        "'__metadata__' is not a JSON object of strings",
        header=b'{"__metadata__":' + b'{"a":' * 100000 + b"1" + b"}" * 100001,
        model=EmptySafetensors(),
    )
    bad("bomb-shape", "malformed or repeated 'shape'", header=b'{"a":{"shape":' + b"[" * 500000)
    bad("long-string", "of more than 65536 bytes", header=b'{"' + b"a" * 1000000 + b'": {}}')
    bad(
        "long-number",
        "of more than 65536 bytes",
        header=b'{"a": {"shape": [' + b"1" * 100000 + b"]}}",
    )
    bad("long-name", "the name of tensor", header=b'{"' + b"a" * 300 + b'": {}}')
    bad(
        "many",
        "more than 16384 tensors",
        model=EmptySafetensors(),
        header=(
            "{"
            + ",".join(
                f'"{i}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(20000)
            )
            + "}"
        ).encode(),
    )
    for field in ("dtype", "shape", "data_offsets"):
        bad("no-" + field, "lacks one of dtype, shape and data_offsets", remove(field))
        bad("null-" + field, f"malformed or repeated '{field}'", edit(**{field: None}))
        bad(
            "text-" + field,
            "is of 'no'" if field == "dtype" else f"malformed or repeated '{field}'",
            edit(**{field: "no"}),
        )
        bad(
            "repeated-" + field,
            f"malformed or repeated '{field}'",
            header=lambda h, f=field: h.replace(
                b'"dtype": "F16", "shape"',
                {
                    "dtype": b'"dtype": "F16", "dtype": "F16", "shape"',
                    "shape": b'"dtype": "F16", "shape": [1], "shape"',
                    "data_offsets": b'"data_offsets": [0, 1], ' b'"dtype": "F16", "shape"',
                }[f],
                1,
            ),
        )
    bad("member", "malformed or repeated 'more'", edit(more=1))
    bad("shape-negative", "malformed or repeated 'shape'", edit(shape=[-64, 80, 3]))
    bad("shape-float", "malformed or repeated 'shape'", edit(shape=[64.0, 80, 3]))
    bad("shape-nested", "malformed or repeated 'shape'", edit(shape=[[64, 80, 3]]))
    bad("shape-other", "bytes for 15120 elements", edit(shape=[63, 80, 3]))
    bad("shape-order", "has the shape [80, 64, 3]", edit(shape=[80, 64, 3]))
    bad("shape-flat", "has the shape [15360]", edit(shape=[15360]))
    bad("shape-overflow", "impossible shape", edit(shape=[2**63, 2]))
    bad("shape-wraps", "impossible shape", edit(shape=[2**32, 2**32, 15360]))
    bad("shape-beyond", "malformed or repeated 'shape'", edit(shape=[2**64, 1]))
    bad("shape-rank", "with 6 dimensions", edit(shape=[64, 80, 3, 1, 1, 1]))
    bad("offsets-one", "lacks one of", edit(data_offsets=[0]))
    bad("offsets-three", "malformed or repeated 'data_offsets'", edit(data_offsets=[0, 1, 2]))
    bad("offsets-swapped", "or an impossible shape", edit(data_offsets=[30720, 0]))
    bad("offsets-far", "begins at data offset", edit(data_offsets=[2**63, 2**63 + 30720]))
    bad("offsets-huge", "bytes for 15360 elements", edit(data_offsets=[0, 2**64 - 1]))
    bad("offsets-negative", "malformed or repeated 'data_offsets'", edit(data_offsets=[-30720, 0]))
    model = Safetensors(Dims(mels=80, ctx=3, state=64, head=1, layer=1), "f16")
    first = model.tensors[0][0]
    bad(
        "overlap",
        "begins at data offset",
        model=model,
        change=lambda entries: entries.update(
            {first: entries[first], "copy": dict(entries[first])}
        ),
    )
    bad("tail", "the tensors take", tail=b"x")
    bad("dtype-size", "elements of F32", edit(dtype="F32"))
    bad("dtype-i16", "is of 'I16'", edit(dtype="I16"))
    bad("dtype-fp8", "is of 'F8_E4M3'", edit(dtype="F8_E4M3"))
    bad("dtype-long", "malformed or repeated 'dtype'", edit(dtype="F" * 100))
    bad("metadata", "'__metadata__' is not", header=lambda h: h.replace(b'"pt"', b'["pt"]'))
    bad(
        "duplicate",
        "is there twice",
        model=with_tensor(["encoder.conv1.bias", "F16", [64], bytes(128)]),
    )
    bad(
        "extra",
        "'encoder.layers.0.self_attn.k_proj.bias' is not of a Whisper encoder",
        model=with_tensor(
            ["model.encoder.layers.0.self_attn.k_proj.bias", "F16", [64], bytes(128)]
        ),
    )
    bad(
        "adapter",
        "is not of a Whisper encoder",
        model=with_tensor(
            ["model.encoder.layers.0.self_attn.q_proj.lora_A.weight", "F16", [8, 64], bytes(1024)]
        ),
    )
    bad(
        "missing",
        "tensor 'encoder.layer_norm.bias' is missing",
        model=with_tensor(None, without="model.encoder.layer_norm.bias"),
    )
    bert = EmptySafetensors(
        [
            ["bert.encoder.layer.0.attention.self.query.weight", "F32", [4, 4], bytes(64)],
            ["encoder.layer.0.output.dense.bias", "F32", [4], bytes(16)],
        ]
    )
    bad("bert", "tensor 'encoder.conv1.weight' is missing", model=bert)
    out.bad(
        "hf-bert-alone.safetensors", bert.write().data, "tensor 'encoder.conv1.weight' is missing"
    )
    odd = Safetensors(Dims(mels=80, ctx=3, state=32, head=1, layer=1), "f16")
    out.bad("hf-no-heads.safetensors", odd.write().data, "n_head is 0")
    for form, message in (([2**40, 80, 3], "or an impossible shape"), ([0, 80, 3], "bytes for 0")):
        odd = Safetensors(Dims(ctx=3, state=64, head=1, layer=1), "f16")
        out.bad(
            f"hf-alone-{form[0]}.safetensors",
            odd.write(None, edit(shape=form)).data,
            "tensor 'model.encoder.conv1.weight'",
        )

    good = Safetensors(Dims(mels=80, ctx=3, state=64, head=1, layer=1), "f16")
    bad("no-config", "config.json: No such file", config="none", status="NOT_FOUND")
    bad("config-empty", "malformed", config=b" ")
    bad("config-array", "is not a JSON object", config=b"[]")
    bad(
        "config-bert",
        "model_type is 'bert', expected 'whisper'",
        config=good.config(model_type="bert"),
    )
    bad(
        "config-relu",
        "activation_function is 'relu'",
        config=good.config(activation_function="relu"),
    )
    for field in (
        "d_model",
        "encoder_attention_heads",
        "encoder_layers",
        "max_source_positions",
        "num_mel_bins",
    ):
        bad(f"config-no-{field}", f"{field} is missing", config=good.config(**{field: "absent"}))
        bad(f"config-text-{field}", f"{field} is not a number", config=good.config(**{field: "1"}))
        for value in (0, -1, 1.5, None, 2**32, 2**70):
            bad(f"config-{field}-{value}", "config.json: ", config=good.config(**{field: value}))
    bad(
        "config-repeated",
        "d_model is not a number given once",
        config=b'{"d_model": 64,' + good.config()[1:],
    )
    bad(
        "config-ffn",
        "encoder_ffn_dim is 100, expected 4 x d_model, 256",
        config=good.config(encoder_ffn_dim=100),
    )
    bad("config-layers", "tensor 'encoder.layers.1.", config=good.config(encoder_layers=2))
    bad("config-ctx", "expected [4, 64]", config=good.config(max_source_positions=4))
    bad("config-mels", "expected [64, 128, 3]", config=good.config(num_mel_bins=128))
    bad("config-bomb", "nested more than 16 deep", config=b'{"a":' + b"[" * 100000)
    bad(
        "config-huge", "the configuration has 17825792 bytes", config=b"{" + b" " * (17 * 2**20 - 1)
    )

    files = shards(good)
    names = sorted(name for name in files if name.endswith(".safetensors"))
    index = json.loads(files["model.safetensors.index.json"])
    tensors = [t for t in index["weight_map"] if t.startswith("model.encoder.")]

    def bad_shards(name, message, status="BAD_MODEL", drop=None, **changes):
        copy = dict(files)
        copy.update(
            {k.replace("index", "model.safetensors.index.json"): v for k, v in changes.items()}
        )
        copy.pop(drop, None)
        out.bad_directory(f"shards-{name}", copy, message, status)

    def index_with(name, file):
        return json.dumps({"weight_map": {**index["weight_map"], name: file}}).encode()

    bad_shards("missing", f"{names[1]}: No such file", "NOT_FOUND", drop=names[1])
    bad_shards("no-config", "config.json: No such file", "NOT_FOUND", drop="config.json")
    for i, file in enumerate(
        ("../x", "/etc/passwd", "a/b", "a\\b", "..", ".", "", "a\0b", "x" * 300)
    ):
        bad_shards(f"path-{i}", "which is not a file's name", index=index_with(tensors[0], file))
    bad_shards("number", "not a JSON object of strings", index=index_with(tensors[0], 7))
    bad_shards(
        "other",
        "is here, but not by the index",
        index=index_with(
            tensors[0], next(n for n in names if n != index["weight_map"][tensors[0]])
        ),
    )
    bad_shards(
        "absent",
        "is here, but not by the index",
        index=json.dumps(
            {"weight_map": {k: v for k, v in index["weight_map"].items() if k != tensors[0]}}
        ).encode(),
    )
    bad_shards(
        "phantom",
        "No such file",
        "NOT_FOUND",
        index=index_with("model.encoder.phantom", "nowhere.safetensors"),
    )
    bad_shards("no-map", "is missing", index=b"{}")
    bad_shards("map-array", "with a weight_map", index=b'{"weight_map": []}')
    bad_shards("map-text", "not a JSON object of strings", index=b'{"weight_map": "a"}')
    bad_shards("index-array", "with a weight_map", index=b"[]")
    bad_shards("index-cut", "malformed", index=files["model.safetensors.index.json"][:-2])
    bad_shards(
        "index-twice",
        "twice",
        index=('{"weight_map": {"%s": "%s", "%s": "%s"}}' % ((tensors[0], names[0]) * 2)).encode(),
    )
    bad_shards("index-bomb", "nested more than 16 deep", index=b'{"a":' + b"[" * 100000)
    bad_shards(
        "index-many",
        "more than 128 files",
        index=json.dumps(
            {"weight_map": {f"encoder.{i}": f"{i}.safetensors" for i in range(1000)}}
        ).encode(),
    )
    bad_shards("cut", "the tensors take", **{names[0]: files[names[0]][:-1]})
    bad_shards("empty", "the header's size", **{names[0]: b""})


class EmptySafetensors(Safetensors):
    def __init__(self, tensors=()):
        self.dims = Dims()
        self.tensors = list(tensors)


def with_tensor(tensor, without=None):
    model = Safetensors(Dims(mels=80, ctx=3, state=64, head=1, layer=1), "f16")
    model.tensors = [t for t in model.tensors if t[0] != without]
    if tensor is not None:
        model.tensors.append(tensor)
    return model


def write_bad_ctranslate2(out):
    def bad(name, change, message, status="BAD_MODEL", kind="int8"):
        model = CTranslate2(Dims(), kind)
        tail = change(model)
        data = model.write().data + (tail if isinstance(tail, bytes) else b"")
        out.bad(f"ct2-{name}", data, message, status)

    def put(**values):
        return lambda model: vars(model).update(values)

    def claim(**values):
        return lambda model: model.claims.update(values)

    def of(name, *changes):
        def change(model):
            tensor = model.tensor("encoder/" + name)
            for i, value in zip(changes[::2], changes[1::2]):
                tensor[i] = value

        return change

    def add(*tensor):
        return lambda model: model.tensors.append(list(tensor))

    def drop(name):
        return lambda model: model.tensors.remove(model.tensor("encoder/" + name))

    def alias(a, b):
        return lambda model: model.aliases.append([a, b])

    bad("version-0", put(version=0), "of no format that is known here")
    bad("version-3", put(version=3), "older than Whisper")
    bad("version-7", put(version=7), "newer than the 6", "TOO_NEW")
    bad("revision-0", put(revision=0), "revision 0")
    bad("revision-4", put(revision=4), "newer than the 3", "TOO_NEW")
    bad("spec", put(spec=b"TransformerSpec\0"), "a CTranslate2 model of 'TransformerSpec'")
    bad("spec-wav2vec2", put(spec=b"Wav2Vec2Spec\0"), "a CTranslate2 model of 'Wav2Vec2Spec'")
    bad("spec-unterminated", put(spec=b"WhisperSpec"), "of no format that is known here")
    bad("tensors-huge", claim(tensors=2**32 - 1), "the number of tensors at offset 22")
    bad("tensors-more", claim(tensors=16384), "a tensor's name")
    bad("aliases-huge", claim(aliases=2**32 - 1), "the number of aliases")
    bad("aliases-more", claim(aliases=4), "an alias")
    bad("empty", put(tensors=[], aliases=[]), "tensor 'encoder/conv1/weight' is missing")
    bad("tail", lambda m: b"x", "1 bytes follow the end")
    bad(
        "missing",
        drop("layer_1/ffn/linear_0/bias"),
        "tensor 'encoder/layer_1/ffn/linear_0/bias' is missing",
    )
    bad("no-norm", drop("layer_0/ffn/layer_norm/gamma"), "n_layer is 0")
    bad("no-scale", drop("conv1/weight_scale"), "tensor 'encoder/conv1/weight_scale' is missing")
    bad(
        "scale-without",
        add("encoder/conv1/weight_scale", [32], 0, bytes(128)),
        "'encoder/conv1/weight_scale' is not of",
        kind="f32",
    )
    bad(
        "scale-short",
        of("conv1/weight_scale", 1, [31], 3, bytes(124)),
        "has the shape [31], expected [32]",
    )
    bad("scale-f16", of("conv1/weight_scale", 2, 4, 3, bytes(64)), "is f16, expected f32")
    bad(
        "int8-bias",
        of("conv1/bias", 2, 1, 3, bytes(32)),
        "tensor 'encoder/conv1/bias_scale' is missing",
    )
    bad("int16", of("conv1/weight", 2, 2, 3, bytes(2 * 7680)), "is of int16")
    bad("duplicate", add("encoder/layer_norm/beta", [32], 0, bytes(128)), "a second time")
    bad(
        "extra",
        add("encoder/layer_0/self_attention/relative_position_keys", [32], 0, bytes(128)),
        "is not of a Whisper encoder",
    )
    bad(
        "layer-gap",
        add("encoder/layer_9/ffn/layer_norm/beta", [32], 0, bytes(128)),
        "is not of a Whisper encoder of 2 layers",
    )
    bad(
        "key-bias",
        of("layer_1/self_attention/linear_0/bias", 3, struct.pack("<96f", *[1.0] * 96)),
        "has a bias for the key",
    )
    bad("heads-0", of("num_heads", 3, bytes(2)), "not a positive integer")
    bad("heads-negative", of("num_heads", 3, b"\xff\xff"), "not a positive integer")
    bad("heads-3", of("num_heads", 3, b"\3\0"), "n_head is 3, which does not divide")
    bad("heads-many", of("num_heads", 1, [2], 3, bytes(4)), "not one number")
    bad("heads-f32", of("num_heads", 2, 0, 3, bytes(4)), "not a positive integer")
    bad("heads-twice", add("encoder/num_heads", [], 2, b"\2\0"), "not one number given once")
    bad("heads-default", drop("num_heads"), "n_head is 0")
    bad("rank-5", of("layer_norm/beta", 1, [32, 1, 1, 1, 1]), "has 5 dimensions")
    bad("rank-255", of("layer_norm/beta", 1, [1] * 255), "has 255 dimensions")
    bad("dim-0", of("layer_norm/beta", 1, [0]), "has 128 bytes, expected 0")
    bad("dim-huge", of("layer_norm/beta", 1, [2**32 - 1]), "has 128 bytes, expected 17179869180")
    bad("dim-wraps", of("layer_norm/beta", 1, [2**31, 2**31, 4, 2]), "than 32 bits count")
    bad("dims-huge", of("layer_norm/beta", 1, [2**32 - 1] * 4), "than 32 bits count")
    bad("transposed", of("layer_0/ffn/linear_0/weight", 1, [32, 128]), "has the shape [32, 128]")
    bad(
        "stack",
        of("layer_0/self_attention/linear_0/weight", 1, [32, 32], 3, bytes(1024)),
        "has the shape [32, 32], expected [96, 32]",
    )
    bad("type-6", of("layer_norm/beta", 2, 6), "unknown type 6")
    bad("type-255", of("layer_norm/beta", 2, 255), "unknown type 255")
    bad("bytes", of("layer_norm/beta", 3, bytes(127)), "has 127 bytes, expected 128")
    bad("name-long", add("x" * 256, [1], 0, bytes(4)), "has 257 bytes")
    bad("name-nul", add("encoder/a\0b", [1], 0, bytes(4)), "does not end with its only NUL")
    bad("alias-nowhere", alias(b"encoder/x\0", b"encoder/nowhere\0"), "which does not exist")
    bad(
        "alias-taken",
        alias(b"encoder/conv1/bias\0", b"encoder/conv2/bias\0"),
        "is the name of another tensor",
    )
    bad(
        "alias-extra", alias(b"encoder/x\0", b"encoder/conv2/bias\0"), "is not of a Whisper encoder"
    )
    bad("alias-empty", alias(b"", b"encoder/conv2/bias\0"), "has 0 bytes")
    bad("alias-unterminated", alias(b"encoder/x", b"encoder/conv2/bias\0"), "only NUL")
    model = CTranslate2(Dims(), "int8")
    head = struct.pack("<IH", 6, 12) + model.spec + struct.pack("<II", 3, 16384)
    many = b"".join(
        struct.pack("<H", 7) + b"%06d\0" % i + struct.pack("<BBI", 0, 0, 4) + bytes(4)
        for i in range(16384)
    )
    out.bad("ct2-many", head + many + bytes(4), "tensor 'encoder/conv1/weight' is missing")


def main():
    root = sys.argv[1]
    shutil.rmtree(root, ignore_errors=True)
    out = Output(root)
    write_valid(out)
    write_foreign(out)
    write_bad_ggml(out)
    write_bad_safetensors(out)
    write_bad_ctranslate2(out)
    out.bad_directory("directory-empty", {}, "a directory with other things")
    out.bad_directory(
        "directory-pytorch",
        {"pytorch_model.bin": b"PK\3\4", "config.json": b"{}"},
        "a directory with PyTorch's pytorch_model.bin",
    )
    out.bad_directory("directory-html", {"model.bin": b"<html>"}, "model.bin: is HTML")
    out.bad_directory("directory-in-place", {"model.bin/x": b""}, "is a directory where a file")
    out.manifest.append("bad nowhere NOT_FOUND nowhere: No such file")
    out.manifest.append("bad ggml-f16.bin/x NOT_FOUND Not a directory")
    out.file("manifest", ("\n".join(out.manifest) + "\n").encode())


if __name__ == "__main__":
    main()
