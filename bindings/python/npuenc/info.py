# SPDX-License-Identifier: MIT
"""The header's output structs, field by field; include/npuenc/npuenc.h says what each means."""

import dataclasses
from typing import Any, Callable, ClassVar, TypeVar, Union

from . import _raw
from .errors import check
from .handle import Handle
from .values import DeviceType, Precision, Status, known

Device = Union[DeviceType, int]
Precise = Union[Precision, int]


@dataclasses.dataclass(frozen=True)
class DeviceInfo:
    """A device that the system shows, usable or not."""
    _struct: ClassVar[Any] = _raw.npuenc_device_info
    device_type: Device
    index: int
    """Among the devices of its type."""
    status: Union[Status, int]
    """OK when usable, else what opening it would fail with."""
    n_cores: int
    n_columns: int
    memory_bytes: int
    name: str
    isa: str
    bus_address: str
    driver: str
    firmware: str
    runtime: str
    reason: str
    """Why it is not usable, and what to do about it."""


@dataclasses.dataclass(frozen=True)
class ContextInfo:
    _struct: ClassVar[Any] = _raw.npuenc_ctx_info
    device_type: Device
    """The device that runs, never AUTO."""
    device_index: int
    n_threads: int
    status: Union[Status, int]
    fell_back: bool
    """AUTO was asked for and the CPU was taken: Context.reason says why."""
    device_name: str
    isa: str


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    _struct: ClassVar[Any] = _raw.npuenc_model_info
    n_mels: int
    n_ctx: int
    """States of a full window."""
    n_state: int
    """Width of a state."""
    n_head: int
    n_layer: int
    n_vocab: int
    precision: Precise
    wide_precision: Precise
    linear_device: Device
    attention_device: Device
    conv_device: Device
    elementwise_device: Device
    n_parameters: int
    file_bytes: int
    weight_bytes: int
    name: str
    format: str
    weight_type: str


@dataclasses.dataclass(frozen=True)
class Stats:
    """What a call took, or all calls of a context; times in nanoseconds of wall clock."""
    _struct: ClassVar[Any] = _raw.npuenc_stats
    n_calls: int
    wall_ns: int
    queue_ns: int
    mel_ns: int
    macs: int
    n_submissions: int
    n_syncs: int
    bytes_to_device: int
    bytes_from_device: int
    pack_ns: int
    submit_ns: int
    sync_ns: int
    device_ns: int
    unpack_ns: int
    accumulate_ns: int


@dataclasses.dataclass(frozen=True)
class OpInfo:
    """One operator of a run's last call."""
    _struct: ClassVar[Any] = _raw.npuenc_op_info
    device_type: Device
    precision: Precise
    layer: int
    """From 0; -1: not of a layer."""
    n_calls: int
    wall_ns: int
    macs: int
    name: str


_KINDS: dict[str, Any] = {
    "device_type": DeviceType,
    "linear_device": DeviceType,
    "attention_device": DeviceType,
    "conv_device": DeviceType,
    "elementwise_device": DeviceType,
    "status": Status,
    "precision": Precision,
    "wide_precision": Precision,
    "fell_back": bool,
}

Info = TypeVar("Info", DeviceInfo, ContextInfo, ModelInfo, Stats, OpInfo)


def ask(kind: type[Info], function: Callable[..., int], handle: Handle, *arguments: int) -> Info:
    """What function(handle, *arguments, struct) writes into the struct of that kind."""
    struct = kind._struct()
    check(function(handle.pointer, *arguments, struct))
    return taken(kind, struct)


def taken(kind: type[Info], struct: Any) -> Info:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        value = getattr(struct, field.name)
        meaning = _KINDS.get(field.name)
        values[field.name] = (value if meaning is None else
                              bool(value) if meaning is bool else known(meaning, value))
    return kind(**values)
