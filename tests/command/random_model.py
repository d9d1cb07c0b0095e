# SPDX-License-Identifier: MIT
"""A Whisper-shaped model of random weights, as a Hugging Face directory: config.json and
model.safetensors (the layout is that of the safetensors README); or as a file of whisper.cpp's."""

import array
import json
import pathlib
import random
import struct
import sys

N_MELS, N_CTX, N_STATE, N_HEAD, N_LAYER = 80, 1500, 64, 2, 2


def shapes(n_state=N_STATE):
    """Tensors by name, as transformers' WhisperModel names them."""
    n_mlp = 4 * n_state
    yield "encoder.conv1.weight", (n_state, N_MELS, 3)
    yield "encoder.conv1.bias", (n_state,)
    yield "encoder.conv2.weight", (n_state, n_state, 3)
    yield "encoder.conv2.bias", (n_state,)
    yield "encoder.embed_positions.weight", (N_CTX, n_state)
    for number in range(N_LAYER):
        layer = f"encoder.layers.{number}."
        for norm in ("self_attn_layer_norm", "final_layer_norm"):
            yield f"{layer}{norm}.weight", (n_state,)
            yield f"{layer}{norm}.bias", (n_state,)
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield f"{layer}self_attn.{projection}.weight", (n_state, n_state)
            if projection != "k_proj":
                yield f"{layer}self_attn.{projection}.bias", (n_state,)
        yield f"{layer}fc1.weight", (n_mlp, n_state)
        yield f"{layer}fc1.bias", (n_mlp,)
        yield f"{layer}fc2.weight", (n_state, n_mlp)
        yield f"{layer}fc2.bias", (n_state,)
    yield "encoder.layer_norm.weight", (n_state,)
    yield "encoder.layer_norm.bias", (n_state,)


# OpenAI's names, which ggml files have, for those of transformers.
OPENAI_NAMES = (
    (".layers.", ".blocks."), (".self_attn_layer_norm.", ".attn_ln."),
    (".final_layer_norm.", ".mlp_ln."), (".self_attn.", ".attn."), (".q_proj.", ".query."),
    (".k_proj.", ".key."), (".v_proj.", ".value."), (".out_proj.", ".out."), (".fc1.", ".mlp.0."),
    (".fc2.", ".mlp.2."), (".embed_positions.weight", ".positional_embedding"),
    ("encoder.layer_norm.", "encoder.ln_post."))


def values(name, shape, generator):
    """Norms near one, the rest small enough to keep activations of the order of one."""
    count = 1
    for dimension in shape:
        count *= dimension
    middle = 1.0 if "layer_norm.weight" in name else 0.0
    spread = 0.1 if len(shape) == 1 else (count // shape[0]) ** -0.5
    return array.array("f", (generator.gauss(middle, spread) for _ in range(count)))


def write(directory, n_state=N_STATE):
    directory = pathlib.Path(directory)
    directory.mkdir()
    generator = random.Random(1)
    header, data = {}, bytearray()
    for name, shape in shapes(n_state):
        weights = values(name, shape, generator)
        if sys.byteorder == "big":
            weights.byteswap()
        begin = len(data)
        data += weights.tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode("ascii")
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (directory / "config.json").write_text(json.dumps({
        "model_type": "whisper", "activation_function": "gelu", "num_mel_bins": N_MELS,
        "max_source_positions": N_CTX, "d_model": n_state, "encoder_attention_heads": N_HEAD,
        "encoder_layers": N_LAYER, "encoder_ffn_dim": 4 * n_state, "vocab_size": 51865}), "ascii")
    return directory


def write_ggml(path, n_state=N_STATE):
    """In f32, with filters of zeros, an empty vocabulary and no decoder: the encoder uses none."""
    path = pathlib.Path(path)
    generator = random.Random(1)
    n_vocab, n_text_ctx, n_frequencies, f32 = 51865, 448, 201, 0
    data = bytearray(struct.pack(
        "<12i", 0x67676D6C, n_vocab, N_CTX, n_state, N_HEAD, N_LAYER, n_text_ctx, n_state, N_HEAD,
        N_LAYER, N_MELS, f32))
    data += struct.pack("<2i", N_MELS, n_frequencies) + bytes(4 * N_MELS * n_frequencies)
    data += struct.pack("<i", 0)
    for name, shape in shapes(n_state):
        weights = values(name, shape, generator)
        if sys.byteorder == "big":
            weights.byteswap()
        if name in ("encoder.conv1.bias", "encoder.conv2.bias"):
            shape = (*shape, 1)
        for theirs, ours in OPENAI_NAMES:
            name = name.replace(theirs, ours)
        data += struct.pack("<3i", len(shape), len(name), f32)
        data += struct.pack(f"<{len(shape)}i", *reversed(shape)) + name.encode("ascii")
        data += weights.tobytes()
    path.write_bytes(data)
    return path
