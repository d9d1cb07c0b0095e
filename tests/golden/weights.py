# SPDX-License-Identifier: MIT
"""Weights of a Whisper model by OpenAI's names, read from a CTranslate2 model.bin.

The layout is that of CTranslate2's `ModelSpec._serialize`, binary version 6, little-endian, nothing
aligned: u32 version; string name; u32 revision; u32 count; then for each variable a string, u8
rank, u32 dims, u8 type, u32 bytes, data; then u32 count of aliases and two strings for each. A
string is u16 length with its final NUL, then the bytes.
"""

import dataclasses
import pathlib
import struct

import numpy as np

TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2", 5: "<u2"}
BF16 = 5


@dataclasses.dataclass
class Weights:
    """Tensors by OpenAI's names, row-major, as float32 or float16; and the shape of the model."""
    n_mels: int
    n_ctx: int
    n_state: int
    n_head: int
    n_layer: int
    n_vocab: int
    n_text_layer: int
    tensors: dict

    def encoder(self):
        """The encoder's tensors in float64."""
        return {name: tensor.astype(np.float64) for name, tensor in self.tensors.items()
                if name.startswith("encoder.")}


def bf16_to_f32(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def f32_to_bf16(values):
    """Round to nearest, ties to even; weights are finite."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def read_variables(path):
    """Variables of a model.bin as stored, bf16 widened to f32; and its aliases."""
    data = pathlib.Path(path).read_bytes()
    at = 0

    def number(form):
        nonlocal at
        value, = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def string():
        nonlocal at
        size = number("H")
        value = data[at:at + size - 1].decode()
        at += size
        return value

    if (version := number("I")) != 6:
        raise ValueError(f"{path}: binary version {version}, expected 6")
    if (name := string()) != "WhisperSpec":
        raise ValueError(f"{path}: holds a {name}, expected a WhisperSpec")
    number("I")
    variables = {}
    for _ in range(number("I")):
        name = string()
        dims = [number("I") for _ in range(number("B"))]
        kind, size = number("B"), number("I")
        values = np.frombuffer(data, TYPES[kind], size // np.dtype(TYPES[kind]).itemsize, at)
        at += size
        variables[name] = (bf16_to_f32(values) if kind == BF16 else values).reshape(dims)
    aliases = {string(): string() for _ in range(number("I"))}
    return variables, aliases


def dequantised(variables):
    """Variables with int8 rows divided by their scales, as CTranslate2 defines them."""
    result = {}
    for name, values in variables.items():
        if values.dtype == np.int8 and name + "_scale" in variables:
            scale = variables[name + "_scale"].reshape([-1] + [1] * (values.ndim - 1))
            values = values.astype(np.float32) / scale
        if not name.endswith("_scale"):
            result[name] = values
    return result


def layer_count(variables, side):
    numbers = [int(name.split("/")[1][len("layer_"):]) for name in variables
               if name.startswith(f"{side}/layer_") and name.split("/")[1] != "layer_norm"]
    return 1 + max(numbers, default=-1)


def read_ctranslate2(directory):
    """The weights in a CTranslate2 directory."""
    variables, aliases = read_variables(pathlib.Path(directory) / "model.bin")
    source = dequantised(variables | {alias: variables[name] for alias, name in aliases.items()})
    tensors = {}

    def norm(name, key):
        tensors[name + ".weight"] = source[key + "/gamma"]
        tensors[name + ".bias"] = source[key + "/beta"]

    def linear(name, key):
        tensors[name + ".weight"] = source[key + "/weight"]
        tensors[name + ".bias"] = source[key + "/bias"]

    def attention(name, query, key, value, out):
        """Whisper's key has no bias; CTranslate2 stores zeros in its place."""
        for part, (weight, bias) in (("query", query), ("key", key), ("value", value)):
            tensors[f"{name}.{part}.weight"] = weight
            if part != "key":
                tensors[f"{name}.{part}.bias"] = bias
            elif bias.any():
                raise ValueError(f"{name}: the key has a bias")
        linear(name + ".out", out)

    def parts(key, count):
        return zip(np.split(source[key + "/weight"], count), np.split(source[key + "/bias"], count))

    n_layer = layer_count(source, "encoder")
    n_text_layer = layer_count(source, "decoder")
    tensors["encoder.positional_embedding"] = source["encoder/position_encodings/encodings"]
    linear("encoder.conv1", "encoder/conv1")
    linear("encoder.conv2", "encoder/conv2")
    norm("encoder.ln_post", "encoder/layer_norm")
    tensors["decoder.positional_embedding"] = source["decoder/position_encodings/encodings"]
    tensors["decoder.token_embedding.weight"] = source["decoder/embeddings/weight"]
    norm("decoder.ln", "decoder/layer_norm")
    for side, count in (("encoder", n_layer), ("decoder", n_text_layer)):
        for i in range(count):
            name, key = f"{side}.blocks.{i}", f"{side}/layer_{i}"
            norm(name + ".attn_ln", key + "/self_attention/layer_norm")
            attention(name + ".attn", *parts(key + "/self_attention/linear_0", 3),
                      key + "/self_attention/linear_1")
            if side == "decoder":
                norm(name + ".cross_attn_ln", key + "/attention/layer_norm")
                attention(name + ".cross_attn", *parts(key + "/attention/linear_0", 1),
                          *parts(key + "/attention/linear_1", 2), key + "/attention/linear_2")
            norm(name + ".mlp_ln", key + "/ffn/layer_norm")
            linear(name + ".mlp.0", key + "/ffn/linear_0")
            linear(name + ".mlp.2", key + "/ffn/linear_1")

    n_state, n_mels, _ = tensors["encoder.conv1.weight"].shape
    return Weights(n_mels=n_mels, n_ctx=len(tensors["encoder.positional_embedding"]),
                   n_state=n_state, n_head=int(source["encoder/num_heads"]), n_layer=n_layer,
                   n_vocab=len(tensors["decoder.token_embedding.weight"]),
                   n_text_layer=n_text_layer, tensors=tensors)
