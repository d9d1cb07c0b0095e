# SPDX-License-Identifier: MIT
"""Every operator against NumPy in float64. Tolerances are those of the arithmetic: u is the relative
error of one rounding, and a sum of n products in f32, in any order, fused or not, errs by at most
n u / (1 - n u) of the sum of magnitudes (Higham 2002, equation 3.4)."""

import math
import pathlib

import numpy as np
import pytest
from conftest import address

import npuenc

U32, U16, UF16 = 2.0**-24, 2.0**-8, 2.0**-11  # bfloat16 has 8 bits with the hidden one


def sum_error(n):
    return n * U32 / (1 - n * U32)


# --- values ---------------------------------------------------------------------------------------

def to_bf16(values):
    """Rounded to nearest even."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)).astype(
        np.uint16)


def real(array):
    """float64 of what an array stands for."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return array.astype(np.float64)


def random(generator, shape, kind):
    if kind == "s8":
        return generator.integers(-128, 128, shape).astype(np.int8)
    values = generator.standard_normal(shape).astype(np.float32)
    return {"f32": values, "bf16": to_bf16(values), "f16": values.astype(np.float16)}[kind]


UNITS = {np.dtype(np.float32): 0.0, np.dtype(np.uint16): U16, np.dtype(np.float16): UF16}


def close(got, expected, tolerance):
    error = np.abs(real(got) - expected)
    assert error.shape == np.broadcast(expected, tolerance).shape
    assert not np.isnan(error).any()
    assert (error <= tolerance).all(), (error - tolerance).max()


@pytest.fixture
def generator():
    return np.random.default_rng(1)


# --- matmul ---------------------------------------------------------------------------------------

def check_matmul(context, a, b, **options):
    got = context.matmul(a, b, **options)
    with np.errstate(over="ignore"):
        expected = real(a) @ real(b)
    magnitude = np.abs(real(a)) @ np.abs(real(b))
    tolerance = (sum_error(a.shape[-1]) + 2.0**-29) * magnitude
    tolerance += UNITS[got.dtype] * (np.abs(expected) + tolerance)
    close(got, expected, tolerance)
    return got


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (33, 64, 65), (128, 300, 17)])
@pytest.mark.parametrize("kind, out_type", [("f32", np.float32), ("bf16", np.float32),
                                            ("bf16", np.uint16)])
def test_float_products(context, generator, shape, kind, out_type):
    m, k, n = shape
    a, b = random(generator, (m, k), kind), random(generator, (k, n), kind)
    assert check_matmul(context, a, b, out_type=out_type).dtype == out_type


def test_float_products_are_float32_unless_asked(context, generator):
    for kind in ("f32", "bf16"):
        assert context.matmul(*random(generator, (2, 4, 4), kind)).dtype == np.float32


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (33, 64, 65), (16, 70000, 3)])
def test_integer_products(context, generator, shape):
    m, k, n = shape
    a, b = random(generator, (m, k), "s8"), random(generator, (k, n), "s8")
    got = context.matmul(a, b)
    assert got.dtype == np.int32
    assert np.array_equal(got, a.astype(np.int64) @ b.astype(np.int64))


def test_integer_products_are_modulo_2_to_the_32(context):
    k = (1 << 17) + 1  # times 2^14 is over 2^31
    a, b = np.full((1, k), -128, np.int8), np.full((k, 1), -128, np.int8)
    assert context.matmul(a, b)[0, 0] == (k * 2**14 + 2**31) % 2**32 - 2**31


def test_integer_products_scaled(context, generator):
    a, b = random(generator, (9, 40), "s8"), random(generator, (40, 11), "s8")
    scale = np.float32(0.003)
    got = context.matmul(a, b, out_type=np.int8, scale=float(scale), zero_point=-3)
    sums = a.astype(np.int64) @ b.astype(np.int64)
    expected = np.clip(np.rint(sums.astype(np.float32) * scale).astype(np.int64) - 3, -128, 127)
    assert got.dtype == np.int8 and np.array_equal(got, expected)
    assert {-128, 127} & set(got.ravel().tolist()) and len(set(got.ravel().tolist())) > 20


@pytest.mark.parametrize("kind", ["f32", "s8"])
def test_layouts(context, generator, kind):
    """Rows apart, transposed, a batch, one b for all of it: each is what contiguous copies give."""
    wide_a = random(generator, (4, 9, 30), kind)
    wide_b = random(generator, (4, 30, 20), kind)
    a, b = wide_a[:, :7, 3:21], wide_b[:, 2:20, :13]
    assert not a.flags.c_contiguous and not b.flags.c_contiguous
    expected = np.stack([context.matmul(np.ascontiguousarray(x), np.ascontiguousarray(y))
                         for x, y in zip(a, b)])
    assert np.array_equal(context.matmul(a, b), expected)
    assert np.array_equal(context.matmul(a[1], b[1]), expected[1])
    shared = np.stack([context.matmul(np.ascontiguousarray(x), np.ascontiguousarray(b[2]))
                       for x in a])
    assert np.array_equal(context.matmul(a, b[2]), shared)
    transposed = np.ascontiguousarray(b.swapaxes(1, 2))
    assert np.array_equal(context.matmul(a, transposed.swapaxes(1, 2)), expected)
    assert np.array_equal(context.matmul(a[0], transposed[0].T), expected[0])
    assert np.array_equal(context.matmul(a[::2], b[::2]), expected[::2])
    for column in (transposed[0].T[:, :1], b[0][:, :1]):
        assert np.array_equal(context.matmul(a[0], column), expected[0][:, :1])
    for row in (transposed[0].T[:1], b[0][:1]):
        assert np.array_equal(context.matmul(a[0][:, :1], row),
                              context.matmul(a[0][:, :1].copy(), row.copy()))


def test_out_with_rows_apart_is_written_alone(context, generator):
    a, b = random(generator, (2, 5, 6), "f32"), random(generator, (6, 4), "f32")
    wide = np.full((2, 7, 9), 42, np.float32)
    out = wide[:, 1:6, 2:6]
    assert context.matmul(a, b, out=out) is out
    assert np.array_equal(out, context.matmul(a, b))
    out[:] = 42
    assert (wide == 42).all()


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)])
def test_empty_products(context, shape):
    m, k, n = shape
    got = context.matmul(np.ones((m, k), np.float32), np.ones((k, n), np.float32))
    assert np.array_equal(got, np.zeros((m, n), np.float32))
    assert context.matmul(np.ones((0, m, k), np.int8), np.ones((k, n), np.int8)).shape == (0, m, n)


# --- linear ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("x_kind", ["f32", "f16", "bf16"])
def test_linear(context, generator, kind, x_kind):
    rows, n_in, n_out = 10, 48, 33
    data = random(generator, (n_out, n_in + 5), kind)[:, :n_in]
    x = random(generator, (rows, n_in + 3), x_kind)[:, :n_in]
    bias = random(generator, (n_out,), "f32")
    with npuenc.Weight(context, data, bias=bias, precision=npuenc.Precision.F32) as weight:
        assert (weight.n_out, weight.n_in) == (n_out, n_in)
        for out_type in (np.float32, np.uint16, np.float16):
            got = weight.linear(x, out_type=out_type)
            assert got.dtype == out_type
            expected = real(x) @ real(data).T + real(bias)
            tolerance = sum_error(n_in + 2) * (np.abs(real(x)) @ np.abs(real(data)).T
                                               + np.abs(real(bias)))
            tolerance += UNITS[got.dtype] * (np.abs(expected) + tolerance)
            tolerance += 2.0**-25 if out_type == np.float16 else 0  # its subnormals
            close(got, expected, tolerance)
        assert weight.linear(x).dtype == x.dtype


def test_linear_of_int8(context, generator):
    """The activations are rounded to 127 steps of their row's greatest: half a step each."""
    rows, n_in, n_out = 6, 64, 20
    data = random(generator, (n_out, n_in), "s8")
    scales = generator.uniform(0.001, 0.1, n_out).astype(np.float32)
    x = random(generator, (rows, n_in), "f32")
    with npuenc.Weight(context, data, scales=scales) as weight:
        got = weight.linear(x)
    matrix = real(data) * real(scales)[:, None]
    expected = real(x) @ matrix.T
    step = np.abs(real(x)).max(1, keepdims=True) / 254 * (1 + 4 * U32)
    tolerance = step * np.abs(matrix).sum(1)
    tolerance += sum_error(8) * (np.abs(real(x)) @ np.abs(matrix).T + tolerance)
    close(got, expected, tolerance)


def test_linear_into_given_rows(context, generator):
    weight = npuenc.Weight(context, random(generator, (4, 6), "f32"))
    x = random(generator, (5, 6), "f32")
    wide = np.full((5, 9), 42, np.float32)
    assert weight.linear(x, out=wide[:, 2:6]).base is wide
    assert np.array_equal(wide[:, 2:6], weight.linear(x))
    assert (wide[:, :2] == 42).all() and (wide[:, 6:] == 42).all()
    assert weight.linear(x[:0]).shape == (0, 4)


# --- attention ------------------------------------------------------------------------------------

BATCH, HEADS, DIM = 3, 2, 16


def check_attention(context, q, k, v, added, **options):
    """`added` is what each [item][head][query][key] has beside its score. The derivation is that of
    tests/abi/attention.c: a score is off by delta, exp of it by a factor of e^(2 delta)."""
    got = context.attention(q, k, v, **options)
    scales = [options.get(name) or 1.0 for name in ("q_scale", "k_scale", "v_scale", "out_scale")]
    scale = (options.get("scale") or 1 / math.sqrt(q.shape[3])) * scales[0] * scales[1]
    scores = np.einsum("bqhd,bkhd->bhqk", real(q), real(k)) * scale
    magnitudes = np.einsum("bqhd,bkhd->bhqk", np.abs(real(q)), np.abs(real(k))) * abs(scale)
    added = np.broadcast_to(added, scores.shape)
    seen = np.isfinite(added)
    n = k.shape[1]
    finite = np.where(seen, added, 0)
    delta = np.where(seen, (sum_error(q.shape[3]) + sum_error(6)) * magnitudes
                     + 4 * U32 * (np.abs(scores + finite) + np.abs(finite)), 0)
    delta = delta.max(-1, initial=0)
    scores = scores + added
    greatest = scores.max(-1, keepdims=True, initial=-np.inf)
    powers = np.where(seen, np.exp(scores - np.where(np.isfinite(greatest), greatest, 0)), 0)
    total = powers.sum(-1, keepdims=True)
    share = powers / np.where(total == 0, 1, total)
    values = real(v) * scales[2]
    expected = np.einsum("bhqk,bkhd->bqhd", share, values)
    magnitude = np.einsum("bhqk,bkhd->bqhd", share, np.abs(values))
    relative = np.expm1(2 * delta) + 16 * U32 + sum_error(n)
    tolerance = magnitude * relative.swapaxes(1, 2)[..., None]
    tolerance += 2.0**-120 * n * np.abs(values).max(initial=0)
    if q.dtype != np.float32:
        tolerance += (U16 + 2 * 1.25 * 2.0**-14) * (magnitude + tolerance)
    if q.dtype == np.uint16:
        tolerance += U16 * (np.abs(expected) + tolerance)
    if q.dtype == np.int8:
        expected = expected / scales[3]
        tolerance = 0.5 + tolerance / scales[3] + 4 * U32 * np.abs(expected)
        expected = np.clip(expected, -128, 127)
    close(got, expected, np.where((total == 0).swapaxes(1, 2), 0, tolerance))


def heads(generator, length, kind):
    return random(generator, (BATCH, length, HEADS, DIM), kind)


@pytest.mark.parametrize("kind", ["f32", "bf16", "s8"])
@pytest.mark.parametrize("q_len, kv_len", [(1, 1), (7, 19), (40, 300)])
def test_attention(context, generator, kind, q_len, kv_len):
    q, k, v = (heads(generator, n, kind) for n in (q_len, kv_len, kv_len))
    options = {"q_scale": 0.02, "k_scale": 0.03, "v_scale": 0.05, "out_scale": 0.04} \
        if kind == "s8" else {}
    check_attention(context, q, k, v, 0.0, **options)
    check_attention(context, q, k, v, 0.0, scale=0.3, **options)
    lengths = [kv_len, 0, kv_len // 2]
    hidden = np.where(np.arange(kv_len) < np.array(lengths)[:, None, None, None], 0, -np.inf)
    check_attention(context, q, k, v, hidden, lengths=lengths, **options)
    check_attention(context, q, k, v, hidden, lengths=np.array(lengths, np.uint32), **options)
    hidden = np.where(np.arange(kv_len) <= np.arange(q_len)[:, None] + kv_len - q_len, 0, -np.inf)
    check_attention(context, q, k, v, hidden, causal=True, **options)
    for items in (1, BATCH):
        for n_heads in (1, HEADS):
            mask = generator.standard_normal((items, n_heads, q_len, kv_len)).astype(np.float32)
            mask[generator.random(mask.shape) < 0.3] = -np.inf
            check_attention(context, q, k, v, mask.astype(np.float64), mask=mask, **options)


def test_attention_of_fused_projections(context, generator):
    """q, k and v side by side in one array, as one product makes them."""
    fused = random(generator, (BATCH, 11, 3 * HEADS * DIM + 4), "f32")
    q, k, v = (fused[:, :, i * HEADS * DIM:(i + 1) * HEADS * DIM].reshape(BATCH, 11, HEADS, DIM)
               for i in range(3))
    assert q.base is not None and address(q) == address(fused)
    out = np.zeros((BATCH, 11, HEADS * DIM + 8), np.float32)
    view = out[:, :, :HEADS * DIM].reshape(BATCH, 11, HEADS, DIM)
    assert context.attention(q, k, v, out=view) is view
    assert np.array_equal(view, context.attention(q.copy(), k.copy(), v.copy()))
    assert (out[:, :, HEADS * DIM:] == 0).all()
    check_attention(context, q, k, v, 0.0)
    check_attention(context, q[:, :1], k[:, :1], v[:, :1], 0.0)


def test_empty_attention(context):
    q, k = np.ones((2, 3, 1, 4), np.float32), np.ones((2, 0, 1, 4), np.float32)
    assert np.array_equal(context.attention(q, k, k), np.zeros_like(q))
    assert context.attention(q[:, :0], q, q).shape == (2, 0, 1, 4)
    assert context.attention(q[:0], q[:0], q[:0]).shape == (0, 3, 1, 4)


# --- mel ------------------------------------------------------------------------------------------

def slaney(hertz):
    """Hertz to mel as in Slaney's Auditory Toolbox: linear to 1 kHz, logarithmic above."""
    return np.where(hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1) / 1000)
                    * 27 / math.log(6.4))


def filters(n_mels):
    frequencies = np.arange(201) * 40.0
    ends = np.linspace(0, slaney(np.array(8000.0)), n_mels + 2)
    edges = np.where(ends < 15, ends * 200 / 3, 1000 * np.exp((ends - 15) * math.log(6.4) / 27))
    up = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(up, down)) * 2 / (edges[2:] - edges[:-2])[:, None]


def log_mel(pcm, n_mels, n_frames):
    window = np.zeros(160 * n_frames)
    window[:pcm.size] = pcm
    padded = np.pad(window, 200, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][:n_frames]
    hann = 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    log = np.log10(np.maximum(filters(n_mels) @ power.T, 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


@pytest.mark.parametrize("n_mels, n_frames", [(80, 3000), (128, 220), (80, 7)])
def test_mel(context, noise, n_mels, n_frames):
    pcm = noise[:160 * n_frames]
    got = context.mel(pcm, n_mels=n_mels, n_frames=n_frames)
    assert got.shape == (n_mels, n_frames) and got.dtype == np.float32
    # The header promises 1e-4.
    assert np.abs(got - log_mel(pcm, n_mels, n_frames)).max() <= 1e-4
    short = (pcm * 32768).astype(np.int16)
    assert np.abs(context.mel(short, n_mels=n_mels, n_frames=n_frames)
                  - log_mel(short / 32768.0, n_mels, n_frames)).max() <= 1e-4
    assert np.array_equal(context.mel(short.tobytes(), n_mels=n_mels, n_frames=n_frames),
                          context.mel(short, n_mels=n_mels, n_frames=n_frames))
    out = np.empty((n_mels, n_frames), np.float32)
    assert context.mel(pcm, n_mels=n_mels, n_frames=n_frames, out=out) is out
    assert np.array_equal(out, got)
    assert npuenc.mel_size(n_mels, n_frames) == got.nbytes


# --- encode ---------------------------------------------------------------------------------------

def test_encode_is_the_same_whichever_way(context, model, noise):
    states = model.encode(noise)
    info = model.info()
    assert states.shape == (info.n_ctx, info.n_state) == (1500, 64)
    assert states.dtype == np.float32 and np.isfinite(states).all() and states.std() > 0.1
    assert model.encode_size() == states.nbytes
    assert np.array_equal(model.encode_mel(context.mel(noise)), states)
    assert np.array_equal(model.encode_mel(context.mel(noise)[None])[0], states)
    out = np.empty_like(states)
    assert model.encode(noise, out=out) is out
    assert np.array_equal(out, states)
    with model.submit(noise) as pending:
        assert np.array_equal(pending.result(), states)
    assert np.array_equal(model.submit_mel(context.mel(noise)).result(), states)
    short = (noise * 32767).astype(np.int16)
    exact = model.encode(short.astype(np.float32) / 32768)
    assert np.array_equal(model.encode(short), exact)
    assert np.array_equal(model.encode(short.tobytes()), exact)
    assert np.array_equal(model.encode(memoryview(short)), exact)


def test_batches_and_lengths(model, noise):
    batch = np.stack([noise, noise[::-1], 0.5 * noise])
    lengths = [32000, 1000, 0]
    states = model.encode(batch, lengths=lengths, n_ctx=100)
    assert states.shape == (3, 100, 64)
    for item, length, got in zip(batch, lengths, states):
        assert np.array_equal(got, model.encode(item[:length].copy(), n_ctx=100))
    assert not np.array_equal(states[0], states[1])
    assert model.encode_size(batch=3, n_ctx=100) == states.nbytes


def test_states_in_sixteen_bits(model, noise):
    states = real(model.encode(noise))
    for dtype, unit in ((np.float16, UF16), (np.uint16, U16)):
        got = model.encode(noise, out_type=dtype)
        assert got.dtype == dtype
        close(got, states, unit * np.abs(states) + 2.0**-25)
        assert model.encode_size(out_type=dtype) == got.nbytes


def test_encoder_takes_any_length(model, noise):
    encoder = npuenc.Encoder(model)
    info = model.info()
    window = 320 * info.n_ctx
    assert encoder(noise[:0]).shape == (0, info.n_state)
    assert np.array_equal(encoder(noise[:1]), model.encode(noise[:1])[:1])
    assert np.array_equal(encoder(noise[:641]), model.encode(noise[:641])[:3])
    long = np.resize(noise, window + 32000 + 5)
    states = encoder(long)
    assert states.shape == (info.n_ctx + 101, info.n_state)
    assert np.array_equal(states[:info.n_ctx], model.encode(long[:window]))
    assert np.array_equal(states[info.n_ctx:], model.encode(long[window:])[:101])
    steps = []
    encoder(long, progress=lambda done, total: steps.append((done, total)))
    assert steps == sorted(steps) and steps[-1][0] == steps[-1][1] and len({t for _, t in steps}) == 1


def test_model_from_memory(context, model_path, noise, tmp_path):
    data = bytearray(pathlib.Path(model_path, "model.safetensors").read_bytes())
    path = tmp_path / "\N{GREEK SMALL LETTER ALPHA} alone.safetensors"
    path.write_bytes(data)
    with npuenc.Model(context, path) as first, \
            npuenc.Model.from_memory(context, data, precision=npuenc.Precision.F32) as second:
        assert second.info() == first.info()
        data[:] = bytes(len(data))
        assert np.array_equal(first.encode(noise), second.encode(noise))
