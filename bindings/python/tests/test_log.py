# SPDX-License-Identifier: MIT
"""Messages of the library, on their way into Python."""

import gc
import logging
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import npuenc

ONE = np.ones((1, 1), np.float32)


def test_messages_go_to_the_logger(caplog, model_path, noise):
    with caplog.at_level(logging.DEBUG, logger="npuenc"):
        with npuenc.Context(n_threads=1) as context:
            npuenc.Model(context, model_path).encode(noise, n_ctx=100)
    records = [record for record in caplog.records if record.name == "npuenc"]
    assert any(record.levelno == logging.DEBUG and record.getMessage().startswith("encoded 1 x 100")
               for record in records)
    assert {record.levelno for record in records} <= {logging.DEBUG, logging.INFO, logging.WARNING}


def test_the_level_is_the_loggers_or_the_given_one(caplog, model_path, noise):
    def lines(**options):
        caplog.clear()
        with npuenc.Context(n_threads=1, **options) as context:
            npuenc.Model(context, model_path).encode(noise, n_ctx=100)
        return len(caplog.records)

    with caplog.at_level(logging.WARNING, logger="npuenc"):
        assert lines() == 0
    with caplog.at_level(logging.DEBUG, logger="npuenc"):
        assert lines() > 0
        assert lines(log_level=npuenc.LogLevel.WARN) == 0
        assert lines(log_level=npuenc.LogLevel.OFF) == 0


def test_a_handler_of_ones_own(model_path, noise):
    lines = []

    def handler(level, text):
        lines.append((level, text, threading.current_thread()))

    context = npuenc.Context(n_threads=1, log=handler, log_level=npuenc.LogLevel.DEBUG)
    model = npuenc.Model(context, model_path)
    lines.clear()
    pending = model.submit(noise, n_ctx=100)
    pending.result()
    level, text, thread = lines[-1]
    assert level == npuenc.LogLevel.DEBUG and text.startswith("encoded")
    assert thread is threading.current_thread()


def test_a_handler_lives_as_long_as_what_may_call_it(model_path, noise):
    class Handler:
        lines = 0

        def __call__(self, level, text):
            Handler.lines += 1

    handler = Handler()
    reference = weakref.ref(handler)
    context = npuenc.Context(n_threads=1, log=handler, log_level=npuenc.LogLevel.DEBUG)
    model = npuenc.Model(context, model_path)
    context.close()
    del handler, context
    gc.collect()
    before = Handler.lines
    model.encode(noise, n_ctx=100)
    assert Handler.lines > before
    del model
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_a_handler_harms_nothing(monkeypatch, model_path, noise, kind):
    caught = []
    monkeypatch.setattr(sys, "unraisablehook", lambda it: caught.append((it.exc_type, it.object)))

    def handler(level, text):
        raise kind("from the handler")

    with npuenc.Context(n_threads=1, log=handler, log_level=npuenc.LogLevel.DEBUG) as context:
        with npuenc.Model(context, model_path) as model:
            states = model.encode(noise, n_ctx=100)
            assert np.array_equal(model.submit(noise, n_ctx=100).result(), states)
    assert len(caught) >= 2 and set(caught) == {(kind, handler)}


AT_THE_END = """
import os, threading, time
import numpy as np, npuenc
context = npuenc.Context(n_threads=1, log=lambda level, text: None, log_level=npuenc.LogLevel.DEBUG)
model = npuenc.Model(context, os.environ["NPUENC_TEST_MODEL"])
def work():
    while True:
        model.encode(np.zeros(3200, np.float32), n_ctx=10)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
pending = model.submit(np.zeros((64, 480000), np.int16))
time.sleep(0.2)
"""


def test_the_end_of_the_interpreter_is_safe():
    """Threads that still log, and a call that is in flight."""
    for _ in range(3):
        result = subprocess.run([sys.executable, "-X", "dev", "-c", AT_THE_END], check=False,
                                timeout=60, stderr=subprocess.PIPE, text=True)
        assert (result.returncode, result.stderr) == (0, "")


FORKED_IN_A_MESSAGE = """
import os, sys
import numpy as np, npuenc
from npuenc import _raw
children = []
def handler(level, text):
    child = os.fork()
    if child == 0:
        _raw.npuenc_log_end()  # as at the end of the interpreter: waits for messages in flight
        os._exit(3)
    children.append(os.waitpid(child, 0)[1])
context = npuenc.Context(n_threads=1, log=handler, log_level=npuenc.LogLevel.DEBUG)
npuenc.Model(context, os.environ["NPUENC_TEST_MODEL"])
sys.exit(0 if children and set(children) == {3 << 8} else 1)
"""


def test_a_child_forked_in_a_message_ends():
    """It does not wait for messages of threads that it does not have."""
    result = subprocess.run([sys.executable, "-c", FORKED_IN_A_MESSAGE], check=False, timeout=60)
    assert result.returncode == 0
