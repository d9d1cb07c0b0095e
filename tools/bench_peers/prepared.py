# SPDX-License-Identifier: MIT
"""Recordings and one model's weights, in the form that each engine takes. Kept in the cache."""

import contextlib
import copy
import importlib.metadata
import io
import logging
import os
import pathlib
import sys

from . import cache, native
from .failure import Failure

sys.path[:0] = [str(cache.ROOT / "tests" / "golden"), str(cache.TOOLS)]

RECORDINGS = pathlib.Path("/usr/share/pocketsphinx/test/data/librivox")


def recordings():
    """The longest last."""
    paths = sorted(RECORDINGS.glob("*.wav"), key=lambda path: (path.stat().st_size, path))
    if not paths:
        raise Failure(f"no recordings in {RECORDINGS}: run `apt-get install pocketsphinx-testdata`,"
                      " or give --recording")
    return paths


def version(package):
    return importlib.metadata.version(package)


@contextlib.contextmanager
def converters_kept_quiet():
    """No progress bars and hints on this terminal, and nothing sent home: NNCF's and OpenVINO's
    tools report their use to their makers, but not from machines that call themselves CI."""
    ci = os.environ.get("CI")
    os.environ["CI"] = "true"
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)
        if ci is None:
            del os.environ["CI"]
        else:
            os.environ["CI"] = ci


class Model:
    """A Whisper model, the recordings that it is measured with, and one of them, padded to its
    window: the last, until `hearing` says otherwise."""

    def __init__(self, name, recordings):
        # pylint: disable=import-outside-toplevel
        import check_states
        import reference
        import weights
        self.reference, self.check_states = reference, check_states
        try:
            self.directory = cache.fetch_model.model_directory(name)
        except cache.fetch_model.Failure as error:
            raise Failure(error) from error
        self.name, self.recording = name, recordings[-1]
        self.weights = weights.read_ctranslate2(self.directory)
        self.model_digest = check_states.sha256(self.directory / "model.bin")
        self.digests = {path: check_states.sha256(path) for path in recordings}
        self.shape = [self.weights.n_ctx, self.weights.n_state]

    def hearing(self, recording):
        """The same model with another of its recordings."""
        other = copy.copy(self)
        other.recording = recording
        return other

    def source(self, name):
        """The text of a file that something here is made by: when it changes, so does the key."""
        path = pathlib.Path(__file__).with_name(name + ".py")
        return path.read_text("utf-8")

    def description(self):
        """The input, for the report."""
        samples = len(self.reference.read_recording(self.recording))
        return {"recording": self.recording.name, "sha256": self.digests[self.recording],
                "seconds": samples / self.reference.SAMPLE_RATE}

    def mel(self):
        """The log-mel as .npy, float32."""
        def make(directory):
            import numpy as np  # pylint: disable=import-outside-toplevel
            samples = self.reference.read_recording(self.recording)
            mel = self.reference.log_mel(samples, self.weights.n_mels, self.weights.n_ctx)
            np.save(directory / "mel.npy", mel.astype(np.float32))
        digest = cache.key(self.digests[self.recording], self.weights.n_mels, self.weights.n_ctx,
                           pathlib.Path(self.reference.__file__).read_text("utf-8"))
        return cache.kept("mel", digest, make) / "mel.npy"

    def accuracy(self, states):
        """How far a result is from the float64 encoder."""
        expected = self.reference.cached_states(self.directory, self.recording)
        return self.check_states.compare(states, expected)

    def onnx(self, form):
        """`fused`, `plain` or `fused-int8`: fused with its linear layers quantised, weights by
        channel when it is made, activations when it runs."""
        def make(directory):
            # pylint: disable=import-outside-toplevel
            import onnx
            from . import graphs
            if form != "fused-int8":
                onnx.save(getattr(graphs, form)(self.weights), directory / "model.onnx")
                return
            source = self.onnx("fused")
            from onnxruntime import quantization
            native.say(f"quantising {self.name} for ONNX Runtime")
            with converters_kept_quiet():
                quantization.quantize_dynamic(
                    source, directory / "model.onnx", op_types_to_quantize=["MatMul"],
                    weight_type=quantization.QuantType.QInt8, per_channel=True,
                    extra_options={"MatMulConstBOnly": True,
                                   "DefaultTensorType": onnx.TensorProto.FLOAT})
        digest = cache.key(self.model_digest, form, self.source("graphs"), self.source("prepared"),
                           version("onnx"), version("onnxruntime"))
        return cache.kept(f"onnx-{self.name}-{form}", digest, make) / "model.onnx"

    def openvino(self, form):
        """`f32`, or `int8`: quantised by NNCF, calibrated on the very recordings that are measured.
        Its activations have fixed scales, which are wrong for speech that is unlike."""
        def make(directory):
            # pylint: disable=import-outside-toplevel
            source = self.onnx("plain")
            mels = [self.hearing(path).mel() for path in self.digests]
            with converters_kept_quiet():
                import numpy as np
                import openvino
                model = openvino.Core().read_model(source)
                if form == "int8":
                    native.say(f"calibrating {self.name} for OpenVINO with NNCF")
                    import nncf
                    model = nncf.quantize(
                        model, nncf.Dataset([np.load(mel)[None] for mel in mels]),
                        subset_size=len(mels), model_type=nncf.ModelType.TRANSFORMER,
                        preset=nncf.QuantizationPreset.MIXED)
                openvino.save_model(model, directory / "model.xml", compress_to_fp16=False)
        digest = cache.key(self.model_digest, *self.digests.values(), form, self.source("graphs"),
                           self.source("prepared"), version("openvino"), version("nncf"))
        return cache.kept(f"openvino-{self.name}-{form}", digest, make) / "model.xml"

    def ggml(self):
        """whisper.cpp's file in f16, in which these weights are exact."""
        def make(directory):
            import convert  # pylint: disable=import-outside-toplevel
            convert.write_ggml(self.weights, directory / "model.bin", "f16",
                               convert.ggml_tokens(self.directory))
        digest = cache.key(self.model_digest, self.source("prepared"))
        return cache.kept(f"ggml-{self.name}", digest, make) / "model.bin"
