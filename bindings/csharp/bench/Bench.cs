// SPDX-License-Identifier: MIT
// Bench MODEL: nanoseconds of a call through the safe layer, the fastest of many batches.
using System;
using System.Diagnostics;
using NpuEnc;

internal static class Bench
{
    private const int Batches = 50, CallsPerBatch = 10000;

    private static int sink; // so that no call can be left out

    private static void Main(string[] arguments)
    {
        var options = new ContextOptions { DeviceType = DeviceType.Cpu, Threads = 1 };
        using (var context = new Context(options))
        using (Model model = context.LoadModel(arguments[0]))
        {
            Measure("bare", () => sink += Library.VersionNumber);
            var encode = new EncodeOptions();
            Measure("size", () => sink += (int)model.EncodeSize(encode));
            var shape = new MatMulOptions { M = 1, N = 1, K = 1 };
            float[] a = { 2 }, b = { 3 }, c = new float[1];
            Measure("matmul", () => context.MatMul(shape, a, b, c));
        }
    }

    private static void Measure(string name, Action call)
    {
        double least = double.PositiveInfinity;
        for (int batch = 0; batch < Batches; ++batch)
        {
            var time = Stopwatch.StartNew();
            for (int i = 0; i < CallsPerBatch; ++i)
                call();
            least = Math.Min(least, time.Elapsed.TotalMilliseconds * 1e6 / CallsPerBatch);
        }
        Console.WriteLine("{0} {1:F1}", name, least);
    }
}
