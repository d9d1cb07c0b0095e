# SPDX-License-Identifier: MIT
"""A Whisper-shaped model of random weights, as a Hugging Face directory: config.json and
model.safetensors (the layout is that of the safetensors README)."""

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
