# SPDX-License-Identifier: MIT
"""The wheel, what the library says of itself, and the README's program."""

import dataclasses
import enum
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from conftest import SOURCE

import npuenc
from npuenc import _raw

HEADER = (pathlib.Path(os.environ["NPUENC_SOURCE"]) / "include/npuenc/npuenc.h").read_text("utf-8")


def test_contents_of_the_wheel():
    wheel, = pathlib.Path(os.environ["NPUENC_WHEELS"]).glob("*.whl")
    assert wheel.name.startswith(f"npuenc-{npuenc.__version__}-cp")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        metadata = file.read(f"npuenc-{npuenc.__version__}.dist-info/METADATA").decode("utf-8")
    extension, = [name for name in names if name.endswith(".so")]
    assert re.fullmatch(r"npuenc/_native\.[\w.-]+\.so", extension)
    modules = {f"npuenc/{path.name}" for path in (SOURCE / "npuenc").glob("*.py")}
    assert {name for name in names if ".dist-info/" not in name} == modules | {
        extension, "npuenc/py.typed", "npuenc/_raw.pyi"}
    assert re.search(r"^Requires-Dist: numpy", metadata, re.M)
    assert "# npuenc for Python" in metadata


def test_the_wheel_is_what_is_tested():
    assert not pathlib.Path(npuenc.__file__).is_relative_to(SOURCE)


def test_versions_agree():
    version = ".".join(re.search(rf"NPUENC_VERSION_{part} (\d+)", HEADER)[1]
                       for part in ("MAJOR", "MINOR", "PATCH"))
    assert npuenc.__version__ == npuenc.version_string() == version
    assert npuenc.version() == sum(int(number) << shift
                                   for number, shift in zip(version.split("."), (16, 8, 0)))


@pytest.mark.parametrize("kind, prefix", [
    (npuenc.Status, "NPUENC_E_"), (npuenc.DeviceType, "NPUENC_DEVICE_"),
    (npuenc.Precision, "NPUENC_PRECISION_"), (npuenc.LogLevel, "NPUENC_LOG_")])
def test_values_are_the_headers(kind, prefix):
    values = {name: int(value) for name, value in re.findall(rf"{prefix}(\w+) = (-?\d+)", HEADER)}
    if kind is npuenc.Status:
        values["OK"] = 0
    assert {member.name: member.value for member in kind} == values


def test_a_value_of_another_version_is_data():
    from npuenc.values import known
    assert known(npuenc.Precision, 77) == 77 and not isinstance(known(npuenc.Precision, 77), enum.Enum)


def test_devices_and_context(context):
    devices = npuenc.devices()
    assert devices[0].device_type is npuenc.DeviceType.CPU
    assert devices[0].status is npuenc.Status.OK and devices[0].index == 0
    assert devices[0].n_cores >= 1 and devices[0].memory_bytes > 0 and devices[0].name
    assert all(device.device_type is npuenc.DeviceType.NPU for device in devices[1:])
    info = context.info()
    assert info.n_threads == 1 and info.status is npuenc.Status.OK
    assert info.device_type in (npuenc.DeviceType.CPU, npuenc.DeviceType.NPU)
    assert isinstance(context.reason(), str) and isinstance(info.fell_back, bool)
    with npuenc.Context(device_type=npuenc.DeviceType.CPU, n_threads=2) as cpu:
        assert cpu.info().device_name == devices[0].name and cpu.info().n_threads == 2


def test_model_info(context, model, model_path):
    info = model.info()
    assert (info.n_mels, info.n_ctx, info.n_state, info.n_head, info.n_layer) == (80, 1500, 64, 2, 2)
    assert info.format == "safetensors" and info.weight_type == "f32" and info.name == "custom"
    assert info.precision is npuenc.Precision.F32 and info.file_bytes > 4 * info.n_parameters > 0
    for precision in (npuenc.Precision.BF16, npuenc.Precision.INT8):
        with npuenc.Model(context, model_path, precision=precision,
                          linear_device=npuenc.DeviceType.CPU,
                          attention_device=npuenc.DeviceType.CPU,
                          conv_device=npuenc.DeviceType.CPU,
                          elementwise_device=npuenc.DeviceType.CPU) as other:
            assert other.info().precision is precision
            assert other.info().linear_device is npuenc.DeviceType.CPU
    with pytest.raises(npuenc.UnsupportedError):
        npuenc.Model(context, model_path, linear_device=npuenc.DeviceType.NPU)


def test_runs_tell_of_their_call(context, model, noise):
    run = npuenc.Run(context)
    assert run.progress() == (0, 0) and run.ops() == [] and run.stats().n_calls == 0
    model.encode(noise, n_ctx=100, run=run)
    done, total = run.progress()
    assert done == total > 0
    stats, ops = run.stats(), run.ops()
    assert stats.n_calls == 1 and stats.wall_ns > 0 and stats.macs > 0
    assert {"mel", "conv1"} <= {op.name for op in ops}
    assert {op.layer for op in ops} == {-1, 0, 1}
    assert sum(op.macs for op in ops) == stats.macs
    assert all(isinstance(value, int) for value in dataclasses.astuple(stats))
    assert context.stats().n_calls == 1


def test_every_struct_has_its_size():
    for name in re.findall(r"typedef struct (npuenc_\w+) \{", HEADER):
        assert getattr(_raw, name)().struct_size > 4


def test_programs_of_the_readme(tmp_path, model_path, noise):
    """The ten lines, as they are."""
    text = (SOURCE / "README.md").read_text("utf-8")
    program = re.search(r"```python\n(# states\.py.*?)```", text, re.S)[1]
    (tmp_path / "states.py").write_text(program, encoding="utf-8")
    (noise * 32767).astype("<i2").tofile(tmp_path / "speech.s16")
    result = subprocess.run([sys.executable, "states.py", model_path, "speech.s16"], check=True,
                            cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert "(100, 64)" in result.stdout
    for other in re.findall(r"```python\n(?!# states\.py)(.*?)```", text, re.S):
        names = {"model_path": model_path, "pcm": noise[:3200], "np": np,
                 "npuenc": npuenc}
        exec(compile(other, "README.md", "exec"), names)  # pylint: disable=exec-used
