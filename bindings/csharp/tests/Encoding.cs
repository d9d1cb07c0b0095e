// SPDX-License-Identifier: MIT
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using NpuEnc;

/// Models, encodes in every form, progress and what runs tell.
internal static class Encoding
{
    private static void Same(float[] expected, float[] got, string what)
    {
        Expect.Equal(expected.Length, got.Length, what + ": length");
        for (int i = 0; i < got.Length; ++i)
            if (BitConverter.ToInt32(BitConverter.GetBytes(expected[i]), 0) != BitConverter.ToInt32(BitConverter.GetBytes(got[i]), 0))
                throw new Failed(what + ": element " + i + " is " + got[i] + " instead of " + expected[i]);
    }

    /// Reports on the thread that it is called on, unlike the runtime's Progress.
    internal sealed class Reports : IProgress<RunProgress>
    {
        internal readonly List<RunProgress> All = new List<RunProgress>();
        internal Action<RunProgress> Then = _ => { };

        public void Report(RunProgress progress)
        {
            All.Add(progress);
            Then(progress);
        }
    }

    [Test]
    private static void ModelFromPathAndMemory()
    {
        float[] pcm = Setting.Speech(16000), expected;
        // Alone, without config.json beside it.
        string file = Path.Combine(Setting.Variable("NPUENC_WORK"), "alone.safetensors");
        File.Copy(Path.Combine(Setting.TestModel, "model.safetensors"), file, true);
        using (Model loaded = Setting.Context.LoadModel(file))
            expected = loaded.Encode(pcm);
        Expect.True(expected.Any(state => state != expected[0]), "all states are the same");
        using (Model loaded = Setting.Context.LoadModelFromMemory(File.ReadAllBytes(file)))
        {
            Same(expected, loaded.Encode(pcm), "from memory");
            Expect.Equal("safetensors", loaded.Info.Format, "format");
        }
        ModelInfo info = Setting.Model.Info;
        Expect.Equal(80, info.Mels, "mels");
        Expect.Equal(1500, info.States, "states");
        Expect.Equal(64, info.Width, "width");
        Expect.Equal(2, info.Heads, "heads");
        Expect.Equal(2, info.Layers, "layers");
        Expect.Equal("custom", info.Name, "name");
        Expect.Equal(DeviceType.Cpu, info.LinearDevice, "device");
        Expect.True(info.Precision != Precision.Auto && info.WidePrecision != Precision.Auto, "precision is automatic");
        Expect.True(info.Parameters > 0 && info.FileBytes > 0 && info.WeightBytes > 0, "sizes are empty");
        using (Model loaded = Setting.Context.LoadModel(Setting.TestModel, new ModelOptions { Precision = Precision.Int8 }))
            Expect.Equal(Precision.Int8, loaded.Info.Precision, "precision that was asked for");
    }

    [Test]
    private static void PathsAreUtf8()
    {
        string link = Path.Combine(Setting.Variable("NPUENC_WORK"), "modèle-模型.safetensors");
        File.Copy(Path.Combine(Setting.TestModel, "model.safetensors"), link, true);
        using (Model loaded = Setting.Context.LoadModel(link))
            Expect.Equal(64, loaded.Info.Width, "width");
        File.Delete(link);
    }

    [Test]
    private static void EveryFormGivesTheSameStates()
    {
        float[] pcm = Setting.Speech(8000);
        var shorts = new short[pcm.Length];
        var rounded = new float[pcm.Length];
        for (int i = 0; i < pcm.Length; ++i)
            rounded[i] = (shorts[i] = (short)(32768 * pcm[i])) / 32768f;
        float[] expected = Setting.Model.Encode(rounded);
        Expect.Equal(4L * expected.Length, Setting.Model.EncodeSize(), "size");
        Same(expected, Setting.Model.Encode(shorts), "shorts");
        Same(expected, Setting.Model.EncodeAsync(rounded).Result, "submitted");
        var reports = new Reports();
        Same(expected, Setting.Model.Encode(rounded, progress: reports), "with progress");
        using (var source = new CancellationTokenSource())
            Same(expected, Setting.Model.Encode(rounded, token: source.Token), "with a token");
        var states = new float[expected.Length];
        Setting.Model.EncodeIntoAsync(rounded, states).Wait();
        Same(expected, states, "submitted, into an array");

        float[] mel = Setting.Context.Mel(rounded);
        Same(expected, Setting.Model.Encode(mel, new EncodeOptions { Input = Input.MelF32 }), "log-mel");

        var half = new ushort[expected.Length];
        Setting.Model.EncodeInto(rounded, half, new EncodeOptions { OutputType = DataType.BF16 });
        for (int i = 0; i < half.Length; ++i)
            Expect.Equal(Setting.BF16(expected[i]), half[i], "BF16 element " + i);
        Setting.Model.EncodeInto(rounded, half, new EncodeOptions { OutputType = DataType.F16 });
        for (int i = 0; i < half.Length; ++i)
        {
            double error = Setting.UnitF16 * Math.Abs(expected[i]) + Math.Pow(2, -25);
            Expect.Within(expected[i], Setting.OfF16(half[i]), error, () => "F16 element " + i);
        }
    }

    [Test]
    private static void BatchWithLengthsAndStates()
    {
        const int states = 50, window = 320 * states, width = 64;
        float[] pcm = Setting.Speech(2 * window);
        var options = new EncodeOptions { Batch = 2, ItemLength = window, States = states, Lengths = new[] { window, 5000 } };
        float[] both = Setting.Model.Encode(pcm, options);
        Expect.Equal(2 * states * width, both.Length, "length");
        var one = new EncodeOptions { States = states };
        Same(both.Take(states * width).ToArray(),
             Setting.Model.Encode(new ArraySegment<float>(pcm, 0, window), one), "first item");
        Same(both.Skip(states * width).ToArray(),
             Setting.Model.Encode(new ArraySegment<float>(pcm, window, 5000), one), "second item");
        Same(both, Setting.Model.EncodeAsync(pcm, options).Result, "submitted");
    }

    [Test]
    private static unsafe void PointersInAndOut()
    {
        float[] pcm = Setting.Speech(4000);
        var options = new EncodeOptions { States = 20 };
        float[] expected = Setting.Model.Encode(pcm, options), states = new float[expected.Length];
        fixed (float* input = pcm, output = states)
        {
            Setting.Model.EncodeInto(BufferView.Of(input, pcm.Length), BufferView.Of(output, states.Length), options);
            Same(expected, states, "pointers");
            Array.Clear(states, 0, states.Length);
            Setting.Model.EncodeIntoAsync(BufferView.Of(input, pcm.Length),
                                          new BufferView((IntPtr)output, 4L * states.Length), options).Wait();
        }
        Same(expected, states, "pointers, submitted");
    }

    [Test]
    private static void TasksEndInOrder()
    {
        float[] pcm = Setting.Speech(4000);
        var tasks = new List<Task<float[]>>();
        float[] expected = Setting.Model.Encode(pcm);
        for (int i = 0; i < 20; ++i)
            tasks.Add(Setting.Model.EncodeAsync(pcm));
        foreach (Task<float[]> task in tasks)
            Same(expected, task.Result, "one of many");
    }

    [Test]
    private static void ProgressRisesToTheEnd()
    {
        foreach (bool submitted in new[] { false, true })
        {
            var reports = new Reports();
            float[] pcm = Setting.Speech(480000);
            var options = new EncodeOptions { Batch = 8, ItemLength = 60000 };
            if (submitted)
                Setting.Model.EncodeAsync(pcm, options, reports).Wait();
            else
                Setting.Model.Encode(pcm, options, reports);
            List<RunProgress> all = reports.All;
            Expect.True(all.Count >= 1, "no report");
            for (int i = 1; i < all.Count; ++i)
                Expect.True(all[i].Done >= all[i - 1].Done, "progress falls");
            Expect.Equal(1.0, all[all.Count - 1].Fraction, "last report");
        }
    }

    [Test]
    private static void RunsTell()
    {
        using (Run run = Setting.Context.CreateRun())
        {
            Expect.Equal(0, run.Progress.Total, "total before the first call");
            run.Wait();
            Setting.Model.Encode(Setting.Speech(3200), run: run);
            Expect.Equal(1.0, run.Progress.Fraction, "progress");
            Statistics stats = run.GetStatistics();
            Expect.Equal(1L, stats.Calls, "calls");
            Expect.True(stats.MultiplyAdds > 0 && stats.Wall > TimeSpan.Zero && stats.Mel > TimeSpan.Zero, "statistics are empty");
            IReadOnlyList<OperatorInfo> operators = run.GetOperators();
            Expect.Equal("mel", operators[0].Name, "first operator");
            Expect.Equal(stats.MultiplyAdds, operators.Sum(one => one.MultiplyAdds), "multiply-adds of all operators");
            Expect.True(operators.Any(one => one.Layer == 1) && operators.All(one => one.DeviceType == DeviceType.Cpu), "operators");

            Task task = Setting.Model.EncodeAsync(Setting.Speech(3200), run: run);
            Expect.True(run.Wait(TimeSpan.FromMinutes(1)), "a wait of a minute");
            task.Wait();
            Expect.Equal(1.0, run.Progress.Fraction, "progress of a task");
        }
        Expect.True(Setting.Context.GetStatistics().Calls > 0, "no calls of the context");
    }

    [Test]
    private static void LibraryAndDevices()
    {
        Expect.Equal(Library.Version, (Library.VersionNumber >> 16) + "." + (Library.VersionNumber >> 8 & 255) + "."
                     + (Library.VersionNumber & 255), "version");
        Expect.Equal("a buffer is smaller than its shape needs".Length > 0, Library.TextOf(Status.Buffer).Length > 0, "text");
        IReadOnlyList<DeviceInfo> devices = Library.GetDevices();
        Expect.Equal(Library.DeviceCount, devices.Count, "devices");
        Expect.Equal(DeviceType.Cpu, devices[0].DeviceType, "first device");
        Expect.Equal(Status.Ok, devices[0].Status, "its status");
        Expect.True(devices[0].Name.Length > 0 && devices[0].Cores > 0 && devices[0].MemoryBytes > 0, "it is not described");
        Expect.Fails(Status.NotFound, () => Library.GetDevice(devices.Count), "a device too many");
        using (var context = new Context(Setting.OnCpu(2)))
        {
            ContextInfo info = context.Info;
            Expect.Equal(DeviceType.Cpu, info.DeviceType, "device");
            Expect.Equal(2, info.Threads, "threads");
            Expect.Equal(devices[0].Isa, info.Isa, "instruction set");
            Expect.Equal(devices[0].Name, info.DeviceName, "name");
            Expect.Equal(Status.Ok, info.Status, "status");
            Expect.True(!info.FellBack, "fell back");
        }
        if (devices.Any(device => device.DeviceType == DeviceType.Npu && device.Status == Status.Ok))
            return;
        using (var context = new Context())
        {
            Expect.True(context.Info.FellBack, "AUTO took the CPU and does not say so");
            Expect.True(context.Reason.Length > 0, "and gives no reason");
        }
    }
}
