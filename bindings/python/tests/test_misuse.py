# SPDX-License-Identifier: MIT
"""Whatever a program does wrongly ends in an exception, and whatever it does at once ends well."""

import array
import gc
import os
import pathlib
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest
from conftest import address

import npuenc
from npuenc import _raw, calls

ONE = np.ones((1, 1), np.float32)


# --- closing --------------------------------------------------------------------------------------

def test_closing_twice_and_using_after(context, model, noise):
    weight = npuenc.Weight(context, ONE)
    run = npuenc.Run(context)
    for owner in (weight, run, model, context):
        assert not owner.closed
        owner.close()
        owner.close()
        assert owner.closed
        with pytest.raises(ValueError, match="closed"):
            with owner:
                pass
    for call in (context.info, context.reason, context.stats, lambda: context.matmul(ONE, ONE),
                 lambda: context.attention(ONE[None, None], ONE[None, None], ONE[None, None]),
                 lambda: context.mel(noise), lambda: npuenc.Weight(context, ONE),
                 lambda: npuenc.Run(context), lambda: npuenc.Model(context, "."),
                 lambda: npuenc.Model.from_memory(context, b""), lambda: weight.linear(ONE),
                 model.info, model.encode_size, lambda: model.encode(noise),
                 lambda: model.encode_mel(np.zeros((80, 2), np.float32)),
                 lambda: model.submit(noise), run.wait, run.cancel, run.progress, run.stats,
                 run.ops):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_closed_run_for_a_call(context):
    run = npuenc.Run(context)
    run.close()
    with pytest.raises(ValueError, match="Run is closed"):
        context.matmul(ONE, ONE, run=run)


def test_handles_may_be_closed_in_any_order(model_path, noise):
    context = npuenc.Context(n_threads=1)
    model = npuenc.Model(context, model_path)
    weight = npuenc.Weight(context, 3 * ONE)
    run = npuenc.Run(context)
    context.close()
    assert weight.linear(ONE)[0, 0] == 3
    states = model.encode(noise, run=run)
    pending = model.submit(noise)
    model.close()
    assert np.array_equal(pending.result(), states)
    assert run.stats().n_calls == 1


def test_closing_under_the_calls_of_others(model_path, noise):
    """Each thread's call goes on to its end."""
    for _ in range(10):
        context = npuenc.Context(n_threads=1)
        model = npuenc.Model(context, model_path)
        expected = model.encode(noise, n_ctx=100)
        wrong = []
        begun = threading.Barrier(3)

        def work():
            begun.wait()
            try:
                while True:
                    if not np.array_equal(model.encode(noise, n_ctx=100), expected):
                        wrong.append("states")
            except ValueError:
                pass
            except BaseException as problem:
                wrong.append(problem)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        begun.wait()
        time.sleep(0.01)
        model.close()
        context.close()
        for thread in threads:
            thread.join()
        assert not wrong


# --- arguments ------------------------------------------------------------------------------------

def test_wrong_types(context, model, noise):
    two = np.ones((2, 2), np.float32)
    for wrong in ([[1.0]], 3, "text", None):
        with pytest.raises(TypeError, match="buffer protocol"):
            context.matmul(wrong, two)
        with pytest.raises(TypeError, match="buffer protocol"):
            model.encode(wrong)
    for dtype in (np.float64, np.int64, np.uint8, bool, object, ">f4", "U3"):
        with pytest.raises(TypeError, match="npuenc has not"):
            context.matmul(two.astype(dtype), two.astype(dtype))
        with pytest.raises(TypeError, match="expected float32 or int16"):
            model.encode(noise[:10].astype(dtype))
    with pytest.raises(npuenc.InvalidError):
        context.matmul(two, two.astype(np.int8))
    with pytest.raises(npuenc.InvalidError):
        context.matmul(two, two, out_type=np.int32)
    with pytest.raises(TypeError, match="out is not an array"):
        context.matmul(two, two, out=bytearray(16))
    with pytest.raises(TypeError, match="one type"):
        context.attention(two[None, None], two[None, None].astype(np.int8), two[None, None])
    with pytest.raises(TypeError):
        model.encode_mel(np.zeros((80, 10)))
    with pytest.raises(TypeError, match="whole numbers"):
        model.encode(noise, lengths=[1.5])
    with pytest.raises(TypeError):
        npuenc.Context(n_threads="many")
    for n in (-1, 1 << 32):
        with pytest.raises(OverflowError):
            npuenc.Context(n_threads=n)
        with pytest.raises(OverflowError):
            model.encode(noise, lengths=[n])
    with pytest.raises(TypeError):
        npuenc.Model(context, 3)
    with pytest.raises(ValueError, match="null"):
        npuenc.Model(context, "a\0b")
    with pytest.raises(TypeError):
        npuenc.Model.from_memory(context, "text")
    with pytest.raises(AttributeError):
        context.matmul(two, two, run=context.info())


def test_wrong_sizes(context, model, noise):
    a, b = np.ones((2, 3), np.float32), np.ones((3, 4), np.float32)
    for left, right in ((a, a), (b, a), (a[0], b), (a, b[0]), (a, np.stack([b, b])),
                        (np.stack([a, a]), np.stack([b, b, b])), (a[None, None], b)):
        with pytest.raises(ValueError):
            context.matmul(left, right)
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected \(2, 4\)"):
        context.matmul(a, b, out=a.copy())
    with pytest.raises(TypeError, match="float64"):
        context.matmul(a, b, out=np.empty((2, 4)), out_type=np.float32)
    with pytest.raises(npuenc.InvalidError, match="window"):
        model.encode(np.zeros(480001, np.float32))
    with pytest.raises(npuenc.InvalidError, match="more than n_per_item"):
        model.encode(noise, lengths=[noise.size + 1])
    with pytest.raises(npuenc.InvalidError, match="n_lengths"):
        model.encode(noise, lengths=[1, 2])
    with pytest.raises(npuenc.InvalidError, match="n_ctx"):
        model.encode(noise, n_ctx=1501)
    with pytest.raises(npuenc.InvalidError):
        context.mel(np.zeros(321, np.int16), n_frames=2)
    with pytest.raises(npuenc.InvalidError):
        context.mel(noise, n_mels=81)
    with pytest.raises(ValueError, match="whole samples"):
        model.encode(b"abc")
    with pytest.raises(ValueError):
        model.encode(np.zeros((1, 1, 1), np.float32))
    with pytest.raises(ValueError):
        model.encode(np.zeros((0, 10), np.float32))
    with pytest.raises(ValueError):
        model.encode_mel(np.zeros((79, 10), np.float32))
    with pytest.raises(ValueError):
        npuenc.Encoder(model)(np.zeros((2, 10), np.float32))
    with pytest.raises(ValueError):
        npuenc.Weight(context, a[0])
    for name in ("bias", "scales"):
        with pytest.raises(ValueError, match=name):
            npuenc.Weight(context, a.astype(np.int8), **{name: a[0]})
    with pytest.raises(npuenc.Error):
        npuenc.Weight(context, a.astype(np.int8))
    with pytest.raises(ValueError):
        npuenc.Weight(context, a).linear(a[:, :2])
    q = np.ones((2, 3, 1, 4), np.float32)
    for wrong in ({"mask": np.zeros((3, 3), np.float32)}, {"lengths": [1]},
                  {"lengths": [1, 1], "causal": True},
                  {"mask": np.zeros((2, 2, 3, 3), np.float32)}):
        with pytest.raises(ValueError):
            context.attention(q, q, q, **wrong)
    with pytest.raises(npuenc.InvalidError):
        context.attention(q, q, q, lengths=[4, 1])
    with pytest.raises(ValueError):
        context.attention(q, q[:, :2], q)
    bad = noise.copy()
    bad[5] = np.nan
    with pytest.raises(npuenc.InvalidError, match="finite"):
        model.encode(bad)


def test_layouts_that_would_need_a_copy(context, model):
    square = np.ones((4, 4), np.float32)
    cube = np.ones((2, 4, 4, 4), np.float32)
    for wrong in (square[:, ::2], square[::-1], np.broadcast_to(square[0], (4, 4)),
                  np.ones((4, 4), np.complex64).real):
        with pytest.raises(ValueError):
            context.matmul(wrong, np.ones((wrong.shape[1], 3), np.float32))
        with pytest.raises((ValueError, npuenc.Error)):
            context.matmul(wrong, square[:wrong.shape[1]], out=wrong[:, :4])
    for wrong in (cube[:, :, ::2], cube[..., ::2], cube[:, :3], cube[:, ::-1]):
        with pytest.raises(ValueError):
            context.attention(wrong, wrong, wrong)
    with pytest.raises(ValueError, match="contiguous"):
        model.encode(np.ones(20, np.float32)[::2])
    with pytest.raises(ValueError, match="contiguous"):
        model.encode(np.ones(10, np.float32), n_ctx=2, out=np.ones((2, 128), np.float32)[:, ::2])
    with pytest.raises(npuenc.Error, match="align"):
        context.matmul(np.frombuffer(bytes(17), np.uint8)[1:].view(np.float32).reshape(2, 2),
                       square[:2, :2])
    with pytest.raises(npuenc.InvalidError, match="overlap"):
        context.matmul(square, square, out=square)


def test_read_only_results(context, model, noise):
    frozen = np.zeros((1, 1), np.float32)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        context.matmul(ONE, ONE, out=frozen)
    states = np.zeros((2, 64), np.float32)
    states.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        model.encode(noise[:640], n_ctx=2, out=states)
    assert not states.any()


def test_raw_layer_checks_too(context):
    """Below the safe layer: the types of handles, of buffers and of their elements."""
    handle = context._handle.pointer
    desc = _raw.npuenc_matmul_desc()
    desc.a_type = desc.b_type = desc.c_type = _raw.NPUENC_F32
    desc.m = desc.n = desc.k = 2
    full = array.array("f", [1] * 4)
    assert _raw.npuenc_matmul(handle, desc, full, full, array.array("f", [0] * 4), None) == 0
    for wrong in ((desc, desc, full, full, full, None), (handle, handle, full, full, full, None),
                  (handle, desc, 3, full, full, None), (handle, desc, full, full, full, handle)):
        with pytest.raises(TypeError):
            _raw.npuenc_matmul(*wrong)
    with pytest.raises(BufferError):
        _raw.npuenc_matmul(handle, desc, full, full, bytes(16), None)
    with pytest.raises(BufferError, match="backwards"):
        _raw.npuenc_matmul(handle, desc, np.ones(4, np.float32)[::-1], full, full, None)
    status = _raw.npuenc_matmul(handle, desc, full, full, array.array("f", [0] * 3), None)
    assert status == npuenc.Status.BUFFER
    assert _raw.npuenc_matmul(None, desc, full, full, array.array("f", [0] * 4), None) \
        == npuenc.Status.INVALID
    assert _raw.npuenc_matmul(handle, desc, None, full, array.array("f", [0] * 4), None) \
        == npuenc.Status.INVALID
    with pytest.raises(OverflowError):
        desc.m = -1
    with pytest.raises(TypeError):
        desc.scale = "1"
    desc.reserved = 1
    assert _raw.npuenc_matmul(handle, desc, full, full, array.array("f", [0] * 4), None) \
        == npuenc.Status.INVALID


# --- errors ---------------------------------------------------------------------------------------

def test_errors_say_what_went_wrong(context, tmp_path):
    with pytest.raises(npuenc.NotFoundError) as caught:
        npuenc.Model(context, tmp_path / "absent.bin")
    error = caught.value
    assert isinstance(error, (npuenc.Error, FileNotFoundError)) and isinstance(error, OSError)
    assert error.status is npuenc.Status.NOT_FOUND and "absent.bin" in error.detail
    assert str(error) == f"{_raw.npuenc_status_string(error.status)}: {error.detail}"
    (tmp_path / "bad.bin").write_bytes(bytes(100))
    with pytest.raises(npuenc.BadModelError) as caught:
        npuenc.Model(context, os.fsencode(tmp_path / "bad.bin"))
    assert isinstance(caught.value, ValueError)
    with pytest.raises(npuenc.BadModelError):
        npuenc.Model.from_memory(context, bytes(100))
    with pytest.raises(npuenc.NotFoundError):
        npuenc.Context(device_type=npuenc.DeviceType.CPU, device_index=7)
    with pytest.raises(npuenc.InvalidError):
        npuenc.Context(device_type=99)


@pytest.mark.parametrize("status", list(npuenc.Status)[1:] + [-99])
def test_every_status_has_an_exception(status):
    from npuenc.errors import error_of
    error = error_of(status)
    assert isinstance(error, npuenc.Error) and error.status == status and str(error)
    assert (type(error) is npuenc.Error) == (status == -99)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and again.status == error.status and str(again) == str(error)


# --- cancelling -----------------------------------------------------------------------------------

LONG = np.zeros((64, 480000), np.int16)  # as many windows as nobody waits for


def test_cancelling_from_another_thread(context, model):
    """It could not be cancelled if the interpreter was held while it ran."""
    run = npuenc.Run(context)
    ended = []

    def work():
        with pytest.raises(npuenc.CanceledError):
            model.encode(LONG, run=run)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    while run.progress()[0] == 0:
        time.sleep(0.001)
    with pytest.raises(npuenc.BusyError):
        run.stats()
    with pytest.raises(npuenc.BusyError):
        context.matmul(ONE, ONE, run=run)
    with pytest.raises(npuenc.PendingError):
        run.wait(0.01)
    run.cancel()
    thread.join()
    assert ended
    with pytest.raises(npuenc.CanceledError):
        run.wait()
    assert context.matmul(ONE, ONE, run=run)[0, 0] == 1
    run.wait()


def test_cancelling_what_was_submitted(model):
    pending = model.submit(LONG)
    while pending.run.progress()[0] == 0:
        time.sleep(0.001)
    assert not pending.done()
    with pytest.raises(TimeoutError):
        pending.result(timeout=0.01)
    pending.cancel()
    for _ in range(2):
        with pytest.raises(npuenc.CanceledError):
            pending.result()
    assert pending.done()
    pending.cancel()
    pending.close()


def test_leaving_a_block_cancels(model):
    with pytest.raises(KeyError):
        with model.submit(LONG) as pending:
            raise KeyError
    with pytest.raises(npuenc.CanceledError):
        pending.result()


def test_an_exception_in_progress_cancels(context, model):
    run = npuenc.Run(context)

    def stop(done, total):
        assert 0 <= done < total
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        model.encode(LONG, run=run, progress=stop)
    with pytest.raises(npuenc.CanceledError):
        run.wait()


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np, npuenc
context = npuenc.Context(n_threads=1)
model = npuenc.Model(context, os.environ["NPUENC_TEST_MODEL"])
run = npuenc.Run(context)
sound = np.zeros((500, 480000), np.int16)  # much more than a second's work
def interrupt():
    while not (run.progress()[1] or context.stats().n_calls):  # until a call is in flight
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    CALL
except KeyboardInterrupt:
    sys.exit(42 if ENDED else 43)
"""
CANCELED = "run.progress()[0] < run.progress()[1]"


@pytest.mark.parametrize("call, ended", [
    ("model.encode(sound, run=run)", CANCELED),
    ("with model.submit(sound, run=run) as pending: pending.result()", CANCELED),
    ("npuenc.Encoder(model)(sound.reshape(-1))", "context.stats().n_calls < 500"),
])
def test_ctrl_c_cancels(call, ended):
    program = INTERRUPTED.replace("CALL", call).replace("ENDED", ended)
    result = subprocess.run([sys.executable, "-c", program], check=False, timeout=100)
    assert result.returncode == 42


def test_ctrl_c_just_when_a_call_has_ended(monkeypatch):
    """It comes between the lock's being acquired and the loop's seeing that."""
    class InterruptedLock:
        def __init__(self):
            self.lock, self.waits = threading.Lock(), 0

        def acquire(self, timeout=-1.0):
            self.waits += 1
            assert self.waits < 1000, "waits for what has ended"
            acquired = self.lock.acquire(timeout=timeout)
            if acquired and timeout >= 0:
                raise KeyboardInterrupt
            return acquired

        def release(self):
            self.lock.release()

    monkeypatch.setattr(calls, "threading", types.SimpleNamespace(Lock=InterruptedLock,
                                                                  Thread=threading.Thread))
    nothing = types.SimpleNamespace(pointer=None)
    with pytest.raises(KeyboardInterrupt):
        calls.perform_watched(lambda owner, run: 0, nothing, (), nothing, None)


def test_a_signal_that_is_handled_does_not_cancel(model, noise):
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(True))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        states = model.encode(np.resize(noise, (4, 480000)))
        while not heard:
            pass
    finally:
        signal.signal(signal.SIGALRM, before)
    assert np.array_equal(states[0], model.encode(np.resize(noise, 480000)))


# --- memory ---------------------------------------------------------------------------------------

def test_what_was_submitted_keeps_its_memory(context, model, noise):
    short = (noise * 32767).astype(np.int16)
    expected = model.encode(short)
    sound = bytearray(short.tobytes())
    pending = model.submit(sound)
    with pytest.raises(BufferError):
        sound.extend(bytes(10))
    assert np.array_equal(pending.result(), expected)
    given = short.copy()
    pending = model.submit(given)
    del given
    gc.collect()
    filler = [np.full(short.size, 9, np.int16) for _ in range(20)]
    assert np.array_equal(pending.result(), expected) and filler


def test_dropped_in_flight(model):
    """The input and the result are freed with it, while the library would still be at work."""
    begun = time.monotonic()
    for i in range(20):
        pending = model.submit(LONG, out=np.empty((64, 1500, 64), np.float32))
        if i % 2:
            while pending.run.progress()[0] == 0:
                pass
        del pending
    gc.collect()
    waiting = [model.submit(LONG[:8]) for _ in range(3)]
    ring = [waiting]
    ring.append(ring)
    del waiting, ring
    gc.collect()
    model.encode(LONG[0])
    assert time.monotonic() - begun < 60


def test_garbage_that_still_calls():
    """A ring is finalised in any order: here what calls comes after what it calls."""
    caught = []

    class Caller:
        def __del__(self):
            for call in (lambda: self.context.matmul(ONE, ONE), self.context.info, self.run.progress):
                try:
                    call()
                except npuenc.InvalidError as problem:
                    caught.append(problem)

    context = npuenc.Context(n_threads=1)
    run = npuenc.Run(context)
    caller = Caller()
    caller.context, caller.run, caller.ring = context, run, caller
    del context, run, caller
    gc.collect()
    assert len(caught) == 3


def test_nothing_is_copied(context, model, noise):
    out = np.empty((1500, 64), np.float32)
    before = address(out)
    states = model.encode(noise, out=out)
    assert states is out and address(states) == before
    with model.submit(noise, out=out) as pending:
        assert pending.result() is out and address(out) == before
    # The library is given the caller's own memory: what is there last counts.
    seen = []
    real = _raw.npuenc_matmul
    import npuenc.context as module

    def spy(handle, desc, a, b, c, run):
        seen.append((address(np.asarray(a)), address(np.asarray(b)), address(c)))
        return real(handle, desc, a, b, c, run)

    class Spied:
        npuenc_matmul = staticmethod(spy)

        def __getattr__(self, name):
            return getattr(_raw, name)

    a, b, c = np.ones((8, 9), np.float32)[:, 1:], np.ones((4, 8), np.float32), \
        np.zeros((8, 4), np.float32)
    try:
        module._raw = Spied()
        assert context.matmul(a, b.T, out=c) is c
    finally:
        module._raw = _raw
    assert seen == [(address(a), address(b), address(c))] and (c == 8).all()


def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_a_million_short_calls(context):
    out = np.empty((1, 1), np.float32)
    raw, handle = _raw.npuenc_status_string, context

    def some(count):
        for i in range(count):
            npuenc.version()
            raw(-2)
            if i % 8 == 0:
                handle.matmul(ONE, ONE, out=out)
            if i % 64 == 0:
                handle.info()
                npuenc.Run(handle).progress()
                try:
                    handle.mel(ONE)
                except ValueError:
                    pass
                try:
                    handle.matmul(ONE, ONE, out=ONE)
                except npuenc.Error:
                    pass

    some(20000)
    gc.collect()
    before, references = resident(), (sys.getrefcount(ONE), sys.getrefcount(out))
    some(500000)
    gc.collect()
    # A leak of a single pointer in each is 8 MB.
    assert resident() - before < 2 << 20
    assert (sys.getrefcount(ONE), sys.getrefcount(out)) == references


# --- threads and processes ------------------------------------------------------------------------

def test_eight_threads(model_path, noise):
    with npuenc.Context(n_threads=2) as context, npuenc.Model(context, model_path) as model:
        expected = model.encode(noise, n_ctx=100)
        square = np.random.default_rng(3).standard_normal((64, 64)).astype(np.float32)
        product = context.matmul(square, square)
        weight = npuenc.Weight(context, square)
        right = []

        def work(number):
            for i in range(6):
                if (number + i) % 3 == 0:
                    right.append(np.array_equal(model.encode(noise, n_ctx=100), expected))
                elif (number + i) % 3 == 1:
                    right.append(np.array_equal(model.submit(noise, n_ctx=100).result(), expected))
                else:
                    right.append(np.array_equal(context.matmul(square, square), product))
                    weight.linear(square)
                    context.mel(noise)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert right == [True] * 48


def is_let_go(context, call):
    """Whether another thread of Python saw the call in flight: it finds its run busy."""
    run = npuenc.Run(context)
    ended = threading.Event()

    def work():
        for _ in range(200):
            call(run)
            if ended.is_set():
                break
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    seen = False
    while not seen and not ended.is_set():
        try:
            run.stats()
        except npuenc.BusyError:
            seen = True
    ended.set()
    thread.join()
    return seen


def test_the_interpreter_is_let_go(context, model, noise):
    # A thread that holds the interpreter gives it away between two calls only, when none is in
    # flight.
    big = np.ones((700, 700), np.float32)
    q = np.ones((1, 300, 4, 32), np.float32)
    weight = npuenc.Weight(context, big)
    for call in (lambda run: context.matmul(big, big, run=run),
                 lambda run: context.attention(q, q, q, run=run),
                 lambda run: context.mel(noise, run=run),
                 lambda run: weight.linear(big, run=run),
                 lambda run: model.encode(noise, n_ctx=100, run=run)):
        assert is_let_go(context, call)


def test_fork_is_an_error_of_its_own(context, model, noise):
    run = npuenc.Run(context)
    weight = npuenc.Weight(context, ONE)
    pending = model.submit(noise)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for call in (context.info, context.stats, lambda: context.matmul(ONE, ONE),
                         lambda: weight.linear(ONE), lambda: model.encode(noise), run.progress,
                         pending.result, lambda: npuenc.Run(context)):
                try:
                    call()
                except npuenc.ForkedError:
                    continue
                os.write(2, b"no ForkedError\n")
                os._exit(1)
            for owner in (pending, run, weight, model, context):
                owner.close()
            with npuenc.Context(n_threads=1) as own:
                status = 0 if own.matmul(ONE, ONE)[0, 0] == 1 else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert pending.result().shape == (1500, 64)
