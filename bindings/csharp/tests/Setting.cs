// SPDX-License-Identifier: MIT
using System;
using System.IO;
using NpuEnc;

/// What the tests share: contexts, models, recordings, random numbers.
internal static class Setting
{
    internal const double UnitF32 = 1.0 / (1 << 24), UnitBF16 = 1.0 / (1 << 8), UnitF16 = 1.0 / (1 << 11);

    private static readonly Lazy<Context> SharedContext = new Lazy<Context>(() => new Context(OnCpu()));
    private static readonly Lazy<Model> SharedModel = new Lazy<Model>(() => Context.LoadModel(TestModel));

    internal static Context Context => SharedContext.Value;

    /// Small and random.
    internal static Model Model => SharedModel.Value;

    internal static string TestModel => Variable("NPUENC_TEST_MODEL");

    internal static ContextOptions OnCpu(int threads = 0)
    {
        return new ContextOptions { DeviceType = DeviceType.Cpu, Threads = threads };
    }

    internal static string Variable(string name)
    {
        return Environment.GetEnvironmentVariable(name) ?? throw new Skip(name + " is not set");
    }

    internal static float[] Speech(int samples)
    {
        var pcm = new float[samples];
        for (int i = 0; i < samples; ++i)
            pcm[i] = (float)(0.3 * Math.Sin(0.2 * i + 3 * Math.Sin(0.001 * i)));
        return pcm;
    }

    /// The error of a sum of n products in f32, relative to the sum of their magnitudes, in any order,
    /// fused or not (Higham, Accuracy and Stability, equation 3.5).
    internal static double SumError(int n)
    {
        return (n + 1) * UnitF32 / (1 - (n + 1) * UnitF32);
    }

    internal static float[] RandomFloats(Random random, long n)
    {
        var values = new float[n];
        for (long i = 0; i < n; ++i)
            values[i] = (float)(2 * random.NextDouble() - 1);
        return values;
    }

    internal static ushort[] RandomBF16(Random random, long n)
    {
        var values = new ushort[n];
        for (long i = 0; i < n; ++i)
            values[i] = BF16((float)(2 * random.NextDouble() - 1));
        return values;
    }

    internal static sbyte[] RandomBytes(Random random, long n)
    {
        var values = new sbyte[n];
        for (long i = 0; i < n; ++i)
            values[i] = (sbyte)random.Next(-128, 128);
        return values;
    }

    /// To nearest even.
    internal static ushort BF16(float value)
    {
        uint bits = (uint)BitConverter.ToInt32(BitConverter.GetBytes(value), 0);
        return (ushort)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }

    internal static double OfBF16(ushort bits)
    {
        return BitConverter.ToSingle(BitConverter.GetBytes((uint)bits << 16), 0);
    }

    internal static double OfF16(ushort bits)
    {
        int exponent = bits >> 10 & 31, fraction = bits & 1023;
        double value = exponent == 0 ? fraction * Math.Pow(2, -24) : (1024 + fraction) * Math.Pow(2, exponent - 25);
        return bits >> 15 == 0 ? value : -value;
    }

    internal static long ResidentBytes()
    {
        string[] words = File.ReadAllText("/proc/self/statm").Split(' ');
        return long.Parse(words[1]) * Environment.SystemPageSize;
    }
}
