# SPDX-License-Identifier: MIT
"""What the tests are given: contexts, models, recordings."""

import os
import pathlib
import sys
import wave

import numpy as np
import pytest

import npuenc

RATE = 16000
SOURCE = pathlib.Path(__file__).resolve().parent.parent


def pytest_report_header():
    return f"npuenc {npuenc.version_string()}, numpy {np.__version__}, Python {sys.version}"


@pytest.fixture
def context():
    with npuenc.Context(n_threads=1) as opened:
        yield opened


@pytest.fixture(scope="session")
def model_path():
    """Random weights: 1500 states of 64."""
    return os.environ["NPUENC_TEST_MODEL"]


@pytest.fixture
def model(context, model_path):
    with npuenc.Model(context, model_path) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def noise():
    """Two seconds of it, never the same twice."""
    return np.random.default_rng(7).uniform(-0.5, 0.5, 2 * RATE).astype(np.float32)


@pytest.fixture(scope="session")
def speech():
    """The recording's path."""
    if "NPUENC_SPEECH" not in os.environ:
        pytest.skip("there is no recording: Debian's pocketsphinx-testdata has some")
    return os.environ["NPUENC_SPEECH"]


@pytest.fixture(scope="session")
def real_model():
    if "NPUENC_MODEL" not in os.environ:
        pytest.skip("there are no real weights: tools/fetch-model tiny.en gets them")
    return os.environ["NPUENC_MODEL"]


@pytest.fixture(scope="session")
def long_wav(tmp_path_factory):
    """Seventy seconds of noise, which is three windows."""
    path = tmp_path_factory.mktemp("wav") / "long.wav"
    samples = np.random.default_rng(8).integers(-8000, 8000, 70 * RATE).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def address(array):
    return array.__array_interface__["data"][0]
