#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write a Whisper model in the formats that people have, and make random ones.

    convert.py FORMAT OUT --model DIRECTORY        from a CTranslate2 directory
    convert.py FORMAT OUT --random large-v3|odd    random weights, encoder only
    convert.py list

Prints what to give to `npuenc --model`. The formats are written from their definitions: ggml's
reference quantisers (ggml/src/ggml-quants.c) and whisper.cpp's model file (models/
convert-pt-to-ggml.py), the safetensors format with Hugging Face's names for Whisper, CTranslate2's
ModelSpec. Each writer returns the weights as the file holds them, so that an encoder can be checked
against float64 arithmetic on just these.
"""

import argparse
import dataclasses
import json
import pathlib
import struct
import sys

import numpy as np

import reference
import weights
from weights import Weights, bf16_to_f32, f32_to_bf16

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import transcript  # noqa: E402  pylint: disable=wrong-import-position


# --- ggml -----------------------------------------------------------------------------------------

# Type numbers of tensors (enum ggml_type) and of whole files (enum ggml_ftype).
GGML_TYPE = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8}
GGML_FTYPE = {"f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9}
QUANTISATION_VERSION = 2
BLOCK = 32


def quantise(values, kind):
    """Blocks of 32 values as bytes, and the values that they stand for (float64)."""
    blocks = np.ascontiguousarray(values, dtype=np.float32).reshape(-1, BLOCK)
    one = np.float32(1)
    if kind == "q8_0":
        scale = np.abs(blocks).max(axis=1, keepdims=True) / np.float32(127)
    elif kind.endswith("_0"):
        first = np.abs(blocks).argmax(axis=1)[:, None]
        scale = np.take_along_axis(blocks, first, 1) / np.float32(-8 if kind == "q4_0" else -16)
    else:
        low = blocks.min(axis=1, keepdims=True)
        scale = (blocks.max(axis=1, keepdims=True) - low) / np.float32(15 if kind == "q4_1" else 31)
    inverse = np.divide(one, scale, out=np.zeros_like(scale), where=scale != 0)
    stored = scale.astype("<f2")

    if kind == "q8_0":
        scaled = blocks * inverse
        # roundf(): halves away from zero.
        codes = (np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))).astype(np.int8)
        data = np.concatenate([stored.view(np.uint8), codes.view(np.uint8)], axis=1)
        return data.tobytes(), (stored.astype(np.float64) * codes).reshape(values.shape)

    top = 15 if kind.startswith("q4") else 31
    if kind.endswith("_0"):
        offset = (top + 1) // 2
        codes = np.minimum(top, (blocks * inverse + np.float32(offset + 0.5)).astype(np.int8))
        held = stored.astype(np.float64) * (codes.astype(np.float64) - offset)
        parts = [stored.view(np.uint8)]
    else:
        minimum = low.astype("<f2")
        codes = np.minimum(top, ((blocks - low) * inverse + np.float32(0.5)).astype(np.int8))
        held = stored.astype(np.float64) * codes + minimum.astype(np.float64)
        parts = [stored.view(np.uint8), minimum.view(np.uint8)]
    codes = codes.astype(np.uint8)
    if top == 31:
        # The fifth bits of all 32 values, value j in bit j.
        parts.append(np.packbits(codes >> 4, axis=1, bitorder="little"))
    parts.append((codes[:, :16] & 15) | ((codes[:, 16:] & 15) << 4))
    return np.concatenate(parts, axis=1).tobytes(), held.reshape(values.shape)


def ggml_tokens(model_directory):
    """The 50257 byte strings of GPT-2's vocabulary; whisper.cpp makes up the special ones after."""
    table = transcript.byte_of_character()
    lines = (pathlib.Path(model_directory) / "vocabulary.txt").read_text("utf-8").split("\n")
    return [token.encode() if token == "<|endoftext|>" else bytes(table[c] for c in token)
            for token in lines[:50257]]


def ggml_kind(name, tensor, kind):
    """whisper.cpp keeps in f32 what has one dimension, the convolutions' biases and positions; its
    quantiser leaves the convolutions' weights as they are, in f16."""
    if tensor.ndim < 2 or name.endswith("positional_embedding"):
        return "f32"
    if tensor.ndim == 3 and kind.startswith("q"):
        return "f16"
    return kind


def write_ggml(model, path, kind, tokens):
    """A file as whisper.cpp's convert-pt-to-ggml.py and its quantiser make them."""
    ftype = GGML_FTYPE[kind]
    if kind.startswith("q"):
        ftype += 1000 * QUANTISATION_VERSION
    held = {}
    with open(path, "wb") as file:
        file.write(struct.pack(
            "<12i", 0x67676D6C, model.n_vocab, model.n_ctx, model.n_state, model.n_head,
            model.n_layer, 448, model.n_state, model.n_head, model.n_text_layer, model.n_mels,
            ftype))
        filters = reference.mel_filters(model.n_mels).astype("<f4")
        file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        file.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            file.write(struct.pack("<i", len(token)) + token)
        for name, tensor in model.tensors.items():
            tensor_kind = ggml_kind(name, tensor, kind)
            if tensor_kind.startswith("q"):
                data, held[name] = quantise(tensor, tensor_kind)
            else:
                stored = tensor.astype("<f4" if tensor_kind == "f32" else "<f2")
                data, held[name] = stored.tobytes(), stored
            shape = tensor.shape
            if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                shape = (*shape, 1)
            file.write(struct.pack("<3i", len(shape), len(name), GGML_TYPE[tensor_kind]))
            file.write(struct.pack(f"<{len(shape)}i", *reversed(shape)))
            file.write(name.encode() + data)
    return dataclasses.replace(model, tensors=held)


# --- safetensors ----------------------------------------------------------------------------------

HUGGING_FACE_NAMES = [
    (".blocks.", ".layers."), (".mlp.0.", ".fc1."), (".mlp.2.", ".fc2."),
    (".mlp_ln.", ".final_layer_norm."), (".cross_attn_ln.", ".encoder_attn_layer_norm."),
    (".attn_ln.", ".self_attn_layer_norm."), (".cross_attn.", ".encoder_attn."),
    (".attn.", ".self_attn."), (".query.", ".q_proj."), (".key.", ".k_proj."),
    (".value.", ".v_proj."), ("attn.out.", "attn.out_proj."), (".ln_post.", ".layer_norm."),
    ("decoder.ln.", "decoder.layer_norm."), (".positional_embedding", ".embed_positions.weight"),
    (".token_embedding.", ".embed_tokens.")]


def hugging_face_name(name):
    for ours, theirs in HUGGING_FACE_NAMES:
        name = name.replace(ours, theirs)
    return "model." + name


def write_safetensors_file(path, kind, tensors):
    """Length of the header, the header in JSON, then the data."""
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, tensor in tensors.items():
        data = (f32_to_bf16(tensor).tobytes() if kind == "bf16" else
                tensor.astype({"f32": "<f4", "f16": "<f2"}[kind]).tobytes())
        header[name] = {"dtype": kind.upper(), "shape": list(tensor.shape),
                        "data_offsets": [at, at + len(data)]}
        blobs.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(blobs)
    return at


def write_safetensors(model, directory, kind, shards=1):
    """A directory as `save_pretrained` makes it: config.json and one file, or shards with an
    index."""
    directory.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper",
        "d_model": model.n_state, "num_mel_bins": model.n_mels, "vocab_size": model.n_vocab,
        "encoder_layers": model.n_layer, "encoder_attention_heads": model.n_head,
        "encoder_ffn_dim": 4 * model.n_state, "max_source_positions": model.n_ctx,
        "decoder_layers": model.n_text_layer, "decoder_attention_heads": model.n_head,
        "decoder_ffn_dim": 4 * model.n_state, "max_target_positions": 448,
        "activation_function": "gelu", "scale_embedding": False, "is_encoder_decoder": True,
        "torch_dtype": {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}[kind]}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    named = {hugging_face_name(name): tensor for name, tensor in model.tensors.items()}
    if shards == 1:
        write_safetensors_file(directory / "model.safetensors", kind, named)
    else:
        places, total = {}, 0
        for i in range(shards):
            file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
            part = dict(list(named.items())[i::shards])
            total += write_safetensors_file(directory / file, kind, part)
            places |= dict.fromkeys(part, file)
        index = {"metadata": {"total_size": total}, "weight_map": places}
        (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n",
                                                                encoding="utf-8")
    rounded = {"f32": lambda tensor: tensor.astype(np.float32),
               "f16": lambda tensor: tensor.astype(np.float16),
               "bf16": lambda tensor: bf16_to_f32(f32_to_bf16(tensor))}[kind]
    return dataclasses.replace(
        model, tensors={name: rounded(tensor) for name, tensor in model.tensors.items()})


# --- CTranslate2 ----------------------------------------------------------------------------------

def is_quantised(name, values):
    """CTranslate2 quantises the weights of linear layers, convolutions and embeddings."""
    return values.ndim >= 2 and name.endswith("/weight")


def ctranslate2_variable(name, values, kind):
    """Variables as they are written: name, dimensions, type number, bytes."""
    if values.dtype.kind != "f":
        number = {"i1": 1, "i2": 2, "i4": 3}[values.dtype.str[1:]]
        return [(name, values.shape, number, values.tobytes())]
    if kind == "int8" and is_quantised(name, values):
        rows = values.astype(np.float32).reshape(len(values), -1)
        largest = np.abs(rows).max(axis=1)
        largest[largest == 0] = 127
        scale = np.float32(127) / largest
        codes = np.rint(rows * scale[:, None]).astype(np.int8)
        return [(name, values.shape, 1, codes.tobytes()),
                (name + "_scale", scale.shape, 0, scale.astype("<f4").tobytes())]
    if kind == "bf16":
        return [(name, values.shape, 5, f32_to_bf16(values).tobytes())]
    if kind == "f16":
        return [(name, values.shape, 4, values.astype("<f2").tobytes())]
    return [(name, values.shape, 0, values.astype("<f4").tobytes())]


def write_ctranslate2(source, directory, kind, drop_last_layer=False):
    """Another model.bin from that of a CTranslate2 directory; without the last layer of the encoder
    if so asked."""
    variables, aliases = weights.read_variables(pathlib.Path(source) / "model.bin")
    if drop_last_layer:
        last = f"encoder/layer_{weights.layer_count(variables, 'encoder') - 1}/"
        variables = {name: values for name, values in variables.items()
                     if not name.startswith(last)}
        if any(last in name for pair in aliases.items() for name in pair):
            raise ValueError("an alias leads into or out of the last layer")

    def string(text):
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    written = [entry for name, values in variables.items()
               for entry in ctranslate2_variable(name, values, kind)]
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "model.bin", "wb") as file:
        file.write(struct.pack("<I", 6) + string("WhisperSpec"))
        file.write(struct.pack("<2I", 3, len(written)))
        for name, shape, number, data in written:
            file.write(string(name) + struct.pack(f"<B{len(shape)}I", len(shape), *shape))
            file.write(struct.pack("<BI", number, len(data)) + data)
        file.write(struct.pack("<I", len(aliases)))
        for alias, target in sorted(aliases.items()):
            file.write(string(alias) + string(target))
    for file in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (directory / file).write_bytes((pathlib.Path(source) / file).read_bytes())
    return weights.read_ctranslate2(directory)


# --- random models --------------------------------------------------------------------------------

# Of large-v3's shape but for the number of layers; and one whose window is a multiple of nothing.
RANDOM_SHAPES = {
    "large-v3": {"n_mels": 128, "n_ctx": 1500, "n_state": 1280, "n_head": 20, "n_layer": 2,
                 "n_vocab": 51866, "n_text_layer": 2},
    "odd": {"n_mels": 80, "n_ctx": 149, "n_state": 192, "n_head": 3, "n_layer": 3,
            "n_vocab": 51864, "n_text_layer": 3},
}


def random_model(shape, seed=1):
    """An encoder with random weights, all of them exact in f16. Each product keeps the size of its
    input (deviation 1/√inputs), and queries and keys are a little larger, so that attention is
    neither flat nor a choice of one frame."""
    random = np.random.Generator(np.random.PCG64(seed))
    sizes = RANDOM_SHAPES[shape]
    n_state, n_mels = sizes["n_state"], sizes["n_mels"]
    tensors = {}

    def add(name, dims, deviation, mean=0.0):
        values = mean + deviation * random.standard_normal(dims, dtype=np.float32)
        tensors["encoder." + name] = values.astype(np.float16)

    def linear(name, outputs, inputs, gain=1.0, bias=True):
        add(name + ".weight", (outputs, inputs), gain / np.sqrt(inputs))
        if bias:
            add(name + ".bias", (outputs,), 0.1)

    def norm(name):
        add(name + ".weight", (n_state,), 0.2, 1.0)
        add(name + ".bias", (n_state,), 0.1)

    half = n_state // 2
    angles = np.arange(sizes["n_ctx"])[:, None] * np.exp(
        -np.log(10000) / (half - 1) * np.arange(half))
    tensors["encoder.positional_embedding"] = np.concatenate(
        [np.sin(angles), np.cos(angles)], axis=1).astype(np.float16)
    add("conv1.weight", (n_state, n_mels, 3), 1.5 / np.sqrt(3 * n_mels))
    add("conv1.bias", (n_state,), 0.1)
    add("conv2.weight", (n_state, n_state, 3), 1.5 / np.sqrt(3 * n_state))
    add("conv2.bias", (n_state,), 0.1)
    for i in range(sizes["n_layer"]):
        block = f"blocks.{i}."
        norm(block + "attn_ln")
        linear(block + "attn.query", n_state, n_state, 1.5)
        linear(block + "attn.key", n_state, n_state, 1.5, bias=False)
        linear(block + "attn.value", n_state, n_state)
        linear(block + "attn.out", n_state, n_state)
        norm(block + "mlp_ln")
        linear(block + "mlp.0", 4 * n_state, n_state)
        linear(block + "mlp.2", n_state, 4 * n_state)
    norm("ln_post")
    return Weights(tensors=tensors, **sizes)


# --- all of them ----------------------------------------------------------------------------------

FORMATS = (["ggml-" + kind for kind in GGML_TYPE]
           + ["safetensors-f32", "safetensors-f16", "safetensors-bf16", "safetensors-f16-sharded"]
           + ["ctranslate2-f32", "ctranslate2-f16", "ctranslate2-bf16", "ctranslate2-int8",
              "ctranslate2-one-layer-short"])


def convert(form, out, model_directory=None, random=None):
    """Write a model; its path for `npuenc --model`, and the weights as the file holds them."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    family, kind = form.split("-", 1)
    if family == "ctranslate2":
        if model_directory is None:
            raise ValueError("random models come as ggml and safetensors")
        short = kind == "one-layer-short"
        path = out / form
        return path, write_ctranslate2(model_directory, path, "f16" if short else kind, short)
    model = random_model(random) if random else weights.read_ctranslate2(model_directory)
    if family == "ggml":
        path = out / f"{form}.bin"
        tokens = [b"a", b"b"] if random else ggml_tokens(model_directory)
        return path, write_ggml(model, path, kind, tokens)
    path = out / form
    kind, _, sharded = kind.partition("-")
    return path, write_safetensors(model, path, kind, 3 if sharded else 1)


def main():
    parser = argparse.ArgumentParser(description="Write a Whisper model in another format.")
    parser.add_argument("format", choices=[*FORMATS, "list"], metavar="FORMAT")
    parser.add_argument("out", nargs="?")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", help="CTranslate2 directory")
    source.add_argument("--random", choices=sorted(RANDOM_SHAPES))
    arguments = parser.parse_args()
    if arguments.format == "list":
        print("\n".join(FORMATS))
        return 0
    if arguments.out is None or not (arguments.model or arguments.random):
        parser.error("say where to, and --model or --random")
    print(convert(arguments.format, arguments.out, arguments.model, arguments.random)[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
