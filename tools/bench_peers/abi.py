# SPDX-License-Identifier: MIT
"""As much of include/npuenc/npuenc.h as is called here, through ctypes."""

import ctypes
import ctypes.util

from .failure import Failure, Unsupported

OK, UNSUPPORTED = 0, -5
DEVICE_CPU = 1
TYPES = {"f32": 1, "bf16": 2, "s8": 3, "s32": 4}
PRECISIONS = {"f32": 1, "bf16": 2, "int8": 3}
INPUT_MEL_F32 = 2
MATMUL_B_TRANSPOSED = 1

U32, I32, U64, F32 = ctypes.c_uint32, ctypes.c_int32, ctypes.c_uint64, ctypes.c_float


class Struct(ctypes.Structure):
    """Begins with its size; what is not given is zero, the default."""

    def __init__(self, **fields):
        super().__init__(struct_size=ctypes.sizeof(self), **fields)


class OpenOptions(Struct):
    _fields_ = [("struct_size", U32), ("device_type", I32), ("device_index", U32),
                ("n_threads", U32), ("log_level", I32), ("reserved", U32),
                ("log_fn", ctypes.c_void_p), ("log_user", ctypes.c_void_p)]


class ContextInfo(Struct):
    _fields_ = [("struct_size", U32), ("device_type", I32), ("device_index", U32),
                ("n_threads", U32), ("status", I32), ("fell_back", U32),
                ("device_name", ctypes.c_char * 64), ("isa", ctypes.c_char * 32)]


class ModelOptions(Struct):
    _fields_ = [("struct_size", U32), ("precision", I32), ("linear_device", I32),
                ("attention_device", I32), ("conv_device", I32), ("elementwise_device", I32)]


class EncodeDesc(Struct):
    _fields_ = [("struct_size", U32), ("input", I32), ("output_type", I32), ("batch", U32),
                ("n_per_item", U32), ("n_ctx", U32)]


class MatmulDesc(Struct):
    _fields_ = [("struct_size", U32), ("a_type", I32), ("b_type", I32), ("c_type", I32),
                ("batch", U32), ("m", U32), ("n", U32), ("k", U32), ("flags", U32), ("scale", F32),
                ("zero_point", I32), ("reserved", U32), ("lda", U64), ("ldb", U64), ("ldc", U64),
                ("stride_a", U64), ("stride_b", U64), ("stride_c", U64)]


class WeightDesc(Struct):
    _fields_ = [("struct_size", U32), ("type", I32), ("precision", I32), ("n_out", U32),
                ("n_in", U32), ("reserved", U32), ("ld", U64)]


class LinearDesc(Struct):
    _fields_ = [("struct_size", U32), ("x_type", I32), ("y_type", I32), ("rows", U32),
                ("ldx", U64), ("ldy", U64)]


class AttentionDesc(Struct):
    _fields_ = [("struct_size", U32), ("type", I32), ("batch", U32), ("n_head", U32),
                ("head_dim", U32), ("q_len", U32), ("kv_len", U32), ("mask", I32), ("flags", U32),
                ("scale", F32), ("q_scale", F32), ("k_scale", F32), ("v_scale", F32),
                ("out_scale", F32), ("ldq", U64), ("ldk", U64), ("ldv", U64), ("ldo", U64)]


def buffer(array):
    """A numpy array as the two arguments that stand for it."""
    return ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)


NOTHING = (ctypes.c_void_p(), ctypes.c_size_t(0))


class Library:
    """libnpuenc.so with a context on the CPU. Handles live as long as the process does."""

    def __init__(self, path, threads):
        try:
            self.functions = ctypes.CDLL(str(path))
        except OSError as error:
            raise Failure(f"cannot load {path}: {error}") from error
        if not hasattr(self.functions, "npuenc_version_string"):
            raise Failure(f"{path} is not npuenc's library")
        self.functions.npuenc_version_string.restype = ctypes.c_char_p
        self.functions.npuenc_status_string.restype = ctypes.c_char_p
        self.functions.npuenc_last_error.restype = ctypes.c_size_t
        self.context = ctypes.c_void_p()
        options = OpenOptions(device_type=DEVICE_CPU, n_threads=threads)
        self.call("npuenc_open", ctypes.byref(options), ctypes.byref(self.context))

    def call(self, name, *arguments):
        status = getattr(self.functions, name)(*arguments)
        if status == OK:
            return
        detail = ctypes.create_string_buffer(512)
        self.functions.npuenc_last_error(detail, ctypes.c_size_t(len(detail)))
        text = (f"{name}: {self.functions.npuenc_status_string(status).decode()}: "
                f"{detail.value.decode('utf-8', 'replace')}")
        raise Unsupported(text) if status == UNSUPPORTED else Failure(text)

    def version(self):
        info = ContextInfo()
        self.call("npuenc_ctx_get_info", self.context, ctypes.byref(info))
        return f"{self.functions.npuenc_version_string().decode()} ({info.isa.decode()})"

    def load(self, model, precision):
        """A model's handle."""
        handle = ctypes.c_void_p()
        options = ModelOptions(precision=PRECISIONS[precision])
        self.call("npuenc_model_load", self.context, str(model).encode(), ctypes.byref(options),
                  ctypes.byref(handle))
        return handle

    def encode(self, model, mel, states):
        """mel [batch][n_mels][frames] to states [batch][n_ctx][n_state], both float32."""
        desc = EncodeDesc(input=INPUT_MEL_F32, batch=len(mel))
        self.call("npuenc_encode", model, ctypes.byref(desc), *buffer(mel), *NOTHING,
                  *buffer(states), None)
