// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using NpuEnc;

/// What a program may do wrong, or do at an awkward moment.
internal static class Misuse
{
    private static readonly MatMulOptions TwoByTwo = new MatMulOptions { M = 2, N = 2, K = 2 };

    [Test]
    private static void DisposeTwiceAndUseAfterwards()
    {
        var context = new Context(Setting.OnCpu(1));
        Model model = context.LoadModel(Setting.TestModel);
        Weight weight = context.CreateWeight(new WeightOptions { Outputs = 1, Inputs = 1 }, new float[1]);
        Run run = context.CreateRun();
        context.Dispose();
        context.Dispose();
        var four = new float[4];
        Expect.Throws<ObjectDisposedException>(() => context.MatMul(TwoByTwo, four, four, new float[4]), "matmul");
        Expect.Throws<ObjectDisposedException>(() => context.Attention(new AttentionOptions(), four, four, four, four), "attention");
        Expect.Throws<ObjectDisposedException>(() => context.Mel(four), "mel");
        Expect.Throws<ObjectDisposedException>(() => context.CreateRun(), "run");
        Expect.Throws<ObjectDisposedException>(() => context.CreateWeight(new WeightOptions(), four), "weight");
        Expect.Throws<ObjectDisposedException>(() => context.LoadModel(Setting.TestModel), "model");
        Expect.Throws<ObjectDisposedException>(() => context.LoadModelFromMemory(new byte[1]), "model from memory");
        Expect.Throws<ObjectDisposedException>(() => context.Info.ToString(), "info");
        Expect.Throws<ObjectDisposedException>(() => context.Reason.ToString(), "reason");
        Expect.Throws<ObjectDisposedException>(() => context.GetStatistics(), "statistics");
        // What was made from it lives on.
        Expect.Equal(1500 * 64, model.Encode(new float[100]).Length, "states");
        weight.Linear(new LinearOptions { Rows = 1 }, new float[1], new float[1]);
        Expect.Equal(0, run.Progress.Done, "progress");
        foreach (IDisposable one in new IDisposable[] { model, weight, run, model, weight, run })
            one.Dispose();
        Expect.Throws<ObjectDisposedException>(() => model.Encode(four), "encode");
        Expect.Throws<ObjectDisposedException>(() => model.EncodeAsync(four), "submit");
        Expect.Throws<ObjectDisposedException>(() => model.EncodeIntoAsync(four, four), "submit into an array");
        Expect.Throws<ObjectDisposedException>(() => model.EncodeSize(), "size");
        Expect.Throws<ObjectDisposedException>(() => model.Info.ToString(), "model's info");
        Expect.Throws<ObjectDisposedException>(() => weight.Linear(new LinearOptions(), four, four), "linear");
        Expect.Throws<ObjectDisposedException>(() => run.Wait(), "wait");
        Expect.Throws<ObjectDisposedException>(() => run.Cancel(), "cancel");
        Expect.Throws<ObjectDisposedException>(() => run.Progress.ToString(), "progress");
        Expect.Throws<ObjectDisposedException>(() => run.GetOperators(), "operators");
        Expect.Throws<ObjectDisposedException>(() => Setting.Context.MatMul(TwoByTwo, four, four, new float[4], run), "a call with it");
        Expect.Throws<ObjectDisposedException>(() => Setting.Model.EncodeAsync(four, run: run), "a submission with it");
    }

    [Test]
    private static void WrongSizes()
    {
        float[] four = new float[4], three = new float[3];
        Expect.Fails(Status.Buffer, () => Setting.Context.MatMul(TwoByTwo, three, four, new float[4]), "a too small");
        Expect.Fails(Status.Buffer, () => Setting.Context.MatMul(TwoByTwo, four, four, three), "c too small");
        Expect.Fails(Status.Invalid, () => Setting.Context.MatMul(TwoByTwo, four, new float[0], new float[4]), "b empty");
        Expect.Throws<ArgumentOutOfRangeException>(
            () => Setting.Context.MatMul(new MatMulOptions { M = -1, N = 2, K = 2 }, four, four, new float[4]), "negative size");
        Expect.Throws<ArgumentOutOfRangeException>(
            () => Setting.Context.MatMul(new MatMulOptions { M = 1, N = 2, K = 2, Lda = -2 }, four, four, new float[4]), "negative stride");
        Expect.Fails(Status.Invalid, () => Setting.Context.MatMul(new MatMulOptions { M = 2, N = 2, K = 2, Lda = 1 }, four, four, new float[4]), "lda");
        Expect.Fails(Status.Buffer, () => Setting.Model.EncodeInto(four, three), "states too small");
        Expect.Fails(Status.Buffer, () => Setting.Model.EncodeIntoAsync(four, three), "states too small, submitted");
        Expect.Fails(Status.Invalid, () => Setting.Model.Encode(new float[480001]), "longer than the window");
        Expect.Fails(Status.Invalid, () => Setting.Model.Encode(new[] { float.NaN }), "not a number");
        Expect.Fails(Status.Invalid, () => Setting.Model.EncodeAsync(new[] { float.NaN }).GetAwaiter().GetResult(), "not a number, submitted");
        Expect.Fails(Status.Invalid, () => Setting.Model.Encode(four, new EncodeOptions { Lengths = new[] { -1 } }), "negative length");
        Expect.Fails(Status.Invalid, () => Setting.Model.Encode(four, new EncodeOptions { Lengths = new[] { 1, 1 } }), "two lengths");
        Expect.Throws<ArgumentOutOfRangeException>(() => Setting.Context.CreateRun().Wait(TimeSpan.FromSeconds(-5)), "timeout");
        Expect.Throws<ArgumentOutOfRangeException>(() => new BufferView(IntPtr.Zero, -1), "negative bytes");
        Expect.Throws<ArgumentOutOfRangeException>(() => new Context(new ContextOptions { Threads = -1 }), "negative threads");
        Expect.Fails(Status.Invalid, () => new Context(new ContextOptions { Threads = 100000 }), "threads");
        Expect.Fails(Status.Invalid, () => new Context(new ContextOptions { DeviceType = (DeviceType)7 }), "device type");
        Expect.Fails(Status.NotFound, () => new Context(new ContextOptions { DeviceType = DeviceType.Cpu, DeviceIndex = 1 }), "device index");
    }

    [Test]
    private static void WrongTypes()
    {
        float[] four = new float[4];
        Expect.Throws<ArgumentException>(() => Setting.Context.MatMul(new MatMulOptions { M = 2, N = 2, K = 2, AType = DataType.S8 }, four, four, four), "float[] as S8");
        Expect.Throws<ArgumentException>(() => Setting.Context.MatMul(TwoByTwo, new short[4], four, four), "short[]");
        Expect.Throws<ArgumentException>(
            () => Setting.Context.MatMul(new MatMulOptions { M = 2, N = 2, K = 2, AType = DataType.BF16 }, new short[4], new ushort[4], four), "short[] as BF16");
        Expect.Fails(Status.Invalid, () => Setting.Context.MatMul(TwoByTwo, four, four, new int[4]), "F32 to S32");
        Expect.Throws<ArgumentException>(() => Setting.Model.Encode(new int[4]), "int[] as PCM");
        Expect.Throws<ArgumentException>(() => Setting.Model.Encode(new short[4], new EncodeOptions { Input = Input.PcmF32 }), "short[] as floats");
        Expect.Throws<ArgumentException>(() => Setting.Model.Encode(new ushort[4]), "ushort[] as PCM");
        Expect.Throws<ArgumentException>(() => Setting.Model.EncodeInto(four, new ushort[96000]), "ushort[] of an unknown type");
        Expect.Throws<ArgumentException>(() => Setting.Model.Encode(four, new EncodeOptions { OutputType = DataType.BF16 }), "BF16 as float[]");
        Expect.Throws<ArgumentException>(() => Setting.Context.CreateWeight(new WeightOptions { Outputs = 2, Inputs = 2 }, new ushort[4]), "weights of an unknown type");
        Expect.Throws<ArgumentException>(() => Setting.Context.CreateWeight(new WeightOptions { Outputs = 2, Inputs = 2 }, four, bias: new int[2]), "int[] as bias");
        Expect.Throws<ArgumentException>(() => Setting.Context.LoadModelFromMemory(new float[4]), "float[] as a file");
        Expect.Throws<ArgumentException>(() => Setting.Context.LoadModel("a\0b"), "NUL in a path");
        Expect.Fails(Status.NotFound, () => Setting.Context.LoadModel("/nonexistent"), "no file");
        Expect.Fails(Status.BadModel, () => Setting.Context.LoadModelFromMemory(new byte[1000]), "no model");
        Expect.Fails(Status.Unsupported, () => Setting.Context.LoadModel(Setting.TestModel, new ModelOptions { LinearDevice = DeviceType.Npu }), "NPU");
        Expect.Fails(Status.Invalid, () => Setting.Context.LoadModel(Setting.TestModel, new ModelOptions { Precision = (Precision)9 }), "precision");
        Expect.Fails(Status.Invalid, () => Setting.Context.Mel(four, new MelOptions { Mels = 81 }), "bands");
    }

    [Test]
    private static void NullArguments()
    {
        float[] four = new float[4], none = null;
        Expect.Equal("a", Expect.Throws<ArgumentNullException>(() => Setting.Context.MatMul(TwoByTwo, none, four, four), "a").ParamName, "name");
        Expect.Throws<ArgumentNullException>(() => Setting.Context.MatMul(TwoByTwo, four, four, none), "c");
        Expect.Throws<ArgumentNullException>(() => Setting.Context.MatMul(null, four, four, four), "options");
        Expect.Throws<ArgumentNullException>(() => Setting.Context.Attention(null, four, four, four, four), "options of attention");
        Expect.Throws<ArgumentNullException>(() => Setting.Context.Mel(none), "pcm");
        Expect.Throws<ArgumentNullException>(() => Setting.Context.CreateWeight(null, four), "options of a weight");
        Expect.Throws<ArgumentNullException>(() => Setting.Context.CreateWeight(new WeightOptions(), none), "data");
        Expect.Throws<ArgumentNullException>(() => Setting.Context.LoadModel(null), "path");
        Expect.Throws<ArgumentNullException>(() => Setting.Context.LoadModelFromMemory(default(BufferView)), "file");
        Expect.Throws<ArgumentNullException>(() => Setting.Model.Encode(none), "input");
        Expect.Throws<ArgumentNullException>(() => Setting.Model.EncodeInto(four, none), "output");
        Expect.Throws<ArgumentNullException>(() => Setting.Model.EncodeIntoAsync(none, four), "input of a task");
        Expect.Throws<ArgumentNullException>(() => new BufferView(IntPtr.Zero, 4), "pointer");
    }

    /// The library refuses an output that overlaps an input: it sees the arrays themselves, no copies.
    [Test]
    private static void NothingIsCopied()
    {
        var room = new float[100000];
        Expect.Fails(Status.Invalid, () => Setting.Context.MatMul(TwoByTwo, room, new float[4], room), "a is c");
        Setting.Context.MatMul(TwoByTwo, new ArraySegment<float>(room, 0, 4), new float[4], new ArraySegment<float>(room, 4, 4));
        Expect.Fails(Status.Invalid, () => Setting.Context.MatMul(TwoByTwo, new ArraySegment<float>(room, 0, 4), new float[4],
                                                                  new ArraySegment<float>(room, 3, 4)), "c begins in a");
        Expect.Fails(Status.Invalid, () => Setting.Model.EncodeInto(new ArraySegment<float>(room, 0, 1000), room), "PCM in the states");
        Expect.Fails(Status.Invalid, () => Setting.Model.EncodeIntoAsync(new ArraySegment<float>(room, 0, 1000), room), "submitted");
        Setting.Model.EncodeIntoAsync(new ArraySegment<float>(room, 0, 1000), new ArraySegment<float>(room, 1000, 96000)).Wait();
        Expect.Fails(Status.Invalid, () => Setting.Context.MelInto(new ArraySegment<float>(room, 0, 1000), room,
                                                                   new MelOptions { Frames = 100 }), "PCM in the mel");
    }

    // ---- cancellation

    private static readonly EncodeOptions Long = new EncodeOptions { Batch = 4096, ItemLength = 10 };

    private static readonly Lazy<float[]> LongOutput = new Lazy<float[]>(() => new float[4096 * 64 * 100]);

    /// A second of work and more.
    private static EncodeOptions LongWork(out float[] pcm, out float[] states)
    {
        Long.States = 100;
        pcm = new float[4096 * 10];
        states = LongOutput.Value;
        return Long;
    }

    [Test]
    private static void TokenEndsCalls()
    {
        EncodeOptions options = LongWork(out float[] pcm, out float[] states);
        foreach (int delay in new[] { 0, 1, 30 })
        {
            using (var source = new CancellationTokenSource())
            {
                source.CancelAfter(delay);
                var canceled = Expect.Throws<OperationCanceledException>(
                    () => Setting.Model.EncodeInto(pcm, states, options, token: source.Token), "encode, " + delay);
                Expect.Equal(source.Token, canceled.CancellationToken, "token");
            }
            using (var source = new CancellationTokenSource())
            {
                source.CancelAfter(delay);
                Expect.Throws<OperationCanceledException>(
                    () => Setting.Model.EncodeInto(pcm, states, options, new Encoding.Reports(), token: source.Token), "with progress");
            }
            using (var source = new CancellationTokenSource())
            {
                source.CancelAfter(delay);
                Expect.Throws<OperationCanceledException>(() => BigProduct(source.Token), "matmul");
            }
        }
        using (var source = new CancellationTokenSource())
        {
            source.Cancel();
            Expect.Throws<OperationCanceledException>(() => Setting.Model.Encode(pcm, token: source.Token), "canceled before");
            Expect.True(Setting.Model.EncodeAsync(pcm, token: source.Token).IsCanceled, "task of a canceled token");
        }
        CancellationToken orphan;
        using (var source = new CancellationTokenSource())
            orphan = source.Token;
        try
        {
            Setting.Model.EncodeAsync(pcm, token: orphan).Wait(); // the runtime's choice whether this is an error
        }
        catch (ObjectDisposedException)
        {
        }
        Setting.Model.Encode(new float[100]); // the model goes on
    }

    private static void BigProduct(CancellationToken token)
    {
        using (var context = new Context(Setting.OnCpu(1)))
        {
            var shape = new MatMulOptions { M = 4096, N = 4096, K = 4096 };
            var square = new sbyte[1 << 24];
            var sums = new int[1 << 24];
            for (;;)
                context.MatMul(shape, square, square, sums, token: token);
        }
    }

    [Test]
    private static void TokenEndsTasks()
    {
        EncodeOptions options = LongWork(out float[] pcm, out float[] states);
        using (var source = new CancellationTokenSource())
        {
            Task running = Setting.Model.EncodeIntoAsync(pcm, states, options, token: source.Token);
            Task<float[]> waiting = Setting.Model.EncodeAsync(new float[100], token: source.Token);
            Task<float[]> other = Setting.Model.EncodeAsync(new float[100]);
            source.CancelAfter(20);
            foreach (Task task in new[] { running, waiting })
            {
                Expect.True(((IAsyncResult)task).AsyncWaitHandle.WaitOne(60000), "a canceled task goes on");
                Expect.True(task.IsCanceled, "status " + task.Status);
            }
            Expect.Equal(96000, other.Result.Length, "the other task");
        }
    }

    [Test]
    private static void RunCancelIsAFailure()
    {
        EncodeOptions options = LongWork(out float[] pcm, out float[] states);
        using (Run run = Setting.Context.CreateRun())
        {
            Task task = Setting.Model.EncodeIntoAsync(pcm, states, options, run: run);
            Expect.True(!run.Wait(TimeSpan.FromMilliseconds(1)), "ended within a millisecond");
            Expect.Fails(Status.Busy, () => run.GetStatistics(), "statistics in flight");
            Expect.Fails(Status.Busy, () => Setting.Model.Encode(new float[100], run: run), "a second call of the run");
            run.Cancel();
            Expect.Fails(Status.Canceled, () => run.Wait(), "wait");
            Expect.Fails(Status.Canceled, () => task.GetAwaiter().GetResult(), "task");
            Setting.Model.Encode(new float[100], run: run);
        }
    }

    [Test]
    private static void ReportsThatThrowEndTheCall()
    {
        EncodeOptions options = LongWork(out float[] pcm, out float[] states);
        foreach (bool submitted in new[] { false, true })
        {
            var reports = new Encoding.Reports { Then = _ => throw new InvalidTimeZoneException("mine") };
            using (Run run = Setting.Context.CreateRun())
            {
                var thrown = Expect.Throws<InvalidTimeZoneException>(() =>
                {
                    if (submitted)
                        Setting.Model.EncodeIntoAsync(pcm, states, options, reports, run).GetAwaiter().GetResult();
                    else
                        Setting.Model.EncodeInto(pcm, states, options, reports, run);
                }, "report");
                Expect.Equal("mine", thrown.Message, "exception");
                Expect.Equal(1, reports.All.Count, "reports");
                Expect.Fails(Status.Canceled, () => run.Wait(), "what the call ended with");
            }
        }
    }

    // ---- dispose in flight

    [Test]
    private static void DisposeWhileOthersEncode()
    {
        for (int round = 0; round < 20; ++round)
        {
            var context = new Context(Setting.OnCpu(2));
            Model model = context.LoadModel(Setting.TestModel);
            var pcm = new float[100];
            var options = new EncodeOptions { States = 30 };
            int encoded = 0;
            Task[] tasks = Enumerable.Range(0, 4).Select(_ => Task.Factory.StartNew(() =>
            {
                try
                {
                    for (;;)
                    {
                        model.Encode(pcm, options);
                        Interlocked.Increment(ref encoded);
                    }
                }
                catch (ObjectDisposedException)
                {
                }
            }, TaskCreationOptions.LongRunning)).ToArray();
            SpinWait.SpinUntil(() => Volatile.Read(ref encoded) > round);
            if (round % 2 == 0)
                context.Dispose();
            model.Dispose();
            Expect.True(Task.WaitAll(tasks, 60000), "an encode does not end");
            context.Dispose();
        }
    }

    [Test]
    private static void DisposeWhileTasksRun()
    {
        EncodeOptions options = LongWork(out float[] pcm, out float[] states);
        using (var source = new CancellationTokenSource())
        {
            var context = new Context(Setting.OnCpu(1));
            Model model = context.LoadModel(Setting.TestModel);
            Run run = context.CreateRun();
            Task first = model.EncodeIntoAsync(pcm, states, options, run: run, token: source.Token);
            Task<float[]> second = model.EncodeAsync(new float[100]);
            model.Dispose();
            run.Dispose(); // the task holds it
            source.CancelAfter(10);
            context.Dispose();
            Expect.Throws<TaskCanceledException>(() => first.GetAwaiter().GetResult(), "first");
            Expect.Equal(96000, second.Result.Length, "second");
        }
    }

    [Test]
    private static void ForgottenObjectsAreFreed()
    {
        if (Environment.GetEnvironmentVariable("LD_PRELOAD") != null)
            throw new Skip("AddressSanitizer keeps what is freed");
        long before = 0;
        for (int i = 0; i < 300; ++i)
        {
            Forget();
            if (i % 20 != 19)
                continue;
            GC.Collect();
            GC.WaitForPendingFinalizers();
            if (i == 99)
                before = Setting.ResidentBytes();
        }
        long grown = Setting.ResidentBytes() - before;
        // Contexts that are never closed leave 11 MB.
        Expect.True(grown < 5 << 20, "200 forgotten contexts left " + grown + " bytes");
    }

    private static void Forget()
    {
        ContextOptions options = Setting.OnCpu(1);
        options.Log = (level, message) => { };
        var context = new Context(options);
        context.LoadModel(Setting.TestModel).EncodeSize();
        context.CreateRun();
        context.CreateWeight(new WeightOptions { Outputs = 100, Inputs = 100 }, new float[10000]);
    }

    // ---- log

    [Test]
    private static void LogReachesTheHandler()
    {
        var lines = new List<string>();
        ContextOptions options = Setting.OnCpu();
        options.Log = (level, message) =>
        {
            lock (lines)
                lines.Add(level + ": " + message);
        };
        using (var context = new Context(options))
            Expect.Equal(0, lines.Count, "messages above the default level");
        options.LogLevel = LogLevel.Debug;
        using (var context = new Context(options))
        {
            Expect.True(lines.Count > 0, "no message of opening");
            using (Model model = context.LoadModel(Setting.TestModel))
            {
                // The handler belongs to the model too.
                options.Log = null;
                context.Dispose();
                GC.Collect();
                GC.WaitForPendingFinalizers();
                int count = lines.Count;
                model.Encode(new float[100]);
                Expect.Equal(count + 1, lines.Count, "messages of an encode");
                model.EncodeAsync(new float[100]).Wait();
                Expect.Equal(count + 2, lines.Count, "messages of a submitted one");
                Expect.True(lines.Last().StartsWith("Debug: encoded"), lines.Last());
            }
        }
    }

    [Test]
    private static void ExceptionsInTheLogAreSwallowed()
    {
        int calls = 0;
        ContextOptions options = Setting.OnCpu();
        options.LogLevel = LogLevel.Debug;
        options.Log = (level, message) =>
        {
            Interlocked.Increment(ref calls);
            throw new InvalidOperationException("in the log");
        };
        using (var context = new Context(options))
        using (Model model = context.LoadModel(Setting.TestModel))
        {
            model.Encode(new float[100]);
            model.EncodeAsync(new float[100]).Wait();
        }
        Expect.True(calls > 0, "the handler was not called");
    }

    // ---- load

    [Test]
    private static void AMillionShortCallsLeaveMemoryFlat()
    {
        var shape = new MatMulOptions { M = 1, N = 1, K = 1 };
        using (var context = new Context(Setting.OnCpu(1)))
        {
            long before = 0;
            for (int i = 0; i < 1000000; ++i)
            {
                // New arrays for every call, so that the collector moves and frees while calls run.
                float[] a = { i & 1023 }, b = { 2 }, c = new float[1];
                context.MatMul(shape, a, b, c);
                if (c[0] != 2 * (i & 1023))
                    throw new Failed("call " + i + " gives " + c[0]);
                if (i == 200000)
                    before = Setting.ResidentBytes();
            }
            long grown = Setting.ResidentBytes() - before;
            // A leak of 16 bytes a call, the least that an allocator gives, would be 12 MiB.
            Expect.True(grown < 8 << 20, "800000 calls left " + grown + " bytes");
        }
    }

    [Test]
    private static void EightThreadsUnderCollection()
    {
        var random = new Random(9);
        float[] a = Setting.RandomFloats(random, 64 * 64), b = Setting.RandomFloats(random, 64 * 64), expected = new float[64 * 64];
        var shape = new MatMulOptions { M = 64, N = 64, K = 64 };
        Setting.Context.MatMul(shape, a, b, expected);
        float[] pcm = Setting.Speech(3200), states = Setting.Model.Encode(pcm, new EncodeOptions { States = 10 });
        var end = Stopwatch.StartNew();
        Task[] tasks = Enumerable.Range(0, 8).Select(number => Task.Factory.StartNew(() =>
        {
            while (end.ElapsedMilliseconds < 3000)
            {
                // Copies, so that arrays are made and moved all the time.
                float[] own = (float[])a.Clone(), result = new float[expected.Length];
                Setting.Context.MatMul(shape, own, b, result);
                Expect.True(result.SequenceEqual(expected), "thread " + number + ": wrong product");
                if (number % 2 == 0)
                    result = Setting.Model.Encode((float[])pcm.Clone(), new EncodeOptions { States = 10 });
                else
                    result = Setting.Model.EncodeAsync((float[])pcm.Clone(), new EncodeOptions { States = 10 }).Result;
                Expect.True(result.SequenceEqual(states), "thread " + number + ": wrong states");
                if (number == 0)
                    GC.Collect();
            }
        }, TaskCreationOptions.LongRunning)).ToArray();
        Task.WaitAll(tasks);
    }
}
