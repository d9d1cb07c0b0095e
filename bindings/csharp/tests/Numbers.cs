// SPDX-License-Identifier: MIT
using System;
using NpuEnc;

/// Results beside plain loops in double. Tolerances are derived from the arithmetic that npuenc.h states.
internal static class Numbers
{
    // ---- matmul

    private sealed class Product
    {
        internal MatMulOptions Options;
        internal Func<long, double> A, B, C;
        internal string Types;

        /// The exact sum and the sum of the magnitudes.
        private double Sum(int item, int row, int column, out double magnitude)
        {
            MatMulOptions o = Options;
            long lda = o.Lda != 0 ? o.Lda : o.K, ldb = o.Ldb != 0 ? o.Ldb : o.BTransposed ? o.K : o.N;
            long strideA = o.StrideA != 0 ? o.StrideA : o.M * lda;
            long strideB = o.BShared ? 0 : o.StrideB != 0 ? o.StrideB : (o.BTransposed ? o.N : o.K) * ldb;
            double sum = magnitude = 0;
            for (int i = 0; i < o.K; ++i)
            {
                long b = o.BTransposed ? column * ldb + i : i * ldb + column;
                double term = A(item * strideA + row * lda + i) * B(item * strideB + b);
                sum += term;
                magnitude += Math.Abs(term);
            }
            return sum;
        }

        internal void Check(Func<double, double, double> expectedOf, Func<double, double, double> toleranceOf)
        {
            MatMulOptions o = Options;
            long ldc = o.Ldc != 0 ? o.Ldc : o.N, strideC = o.StrideC != 0 ? o.StrideC : o.M * ldc;
            for (int item = 0; item < Math.Max(1, o.Batch); ++item)
                for (int row = 0; row < o.M; ++row)
                    for (int column = 0; column < o.N; ++column)
                    {
                        double sum = Sum(item, row, column, out double magnitude);
                        Expect.Within(expectedOf(sum, magnitude), C(item * strideC + row * ldc + column),
                                      toleranceOf(sum, magnitude),
                                      () => Types + " item " + item + " row " + row + " column " + column);
                    }
        }
    }

    private static MatMulOptions[] Shapes()
    {
        return new[]
        {
            new MatMulOptions { M = 1, N = 1, K = 1 },
            new MatMulOptions { M = 5, N = 33, K = 70 },
            new MatMulOptions { M = 17, N = 9, K = 40, BTransposed = true },
            new MatMulOptions { M = 3, N = 20, K = 11, Batch = 3 },
            new MatMulOptions { M = 4, N = 18, K = 8, Batch = 2, BShared = true },
            new MatMulOptions { M = 4, N = 7, K = 6, Batch = 2, Lda = 9, Ldb = 8, Ldc = 11, StrideA = 40, StrideB = 50, StrideC = 60 },
            new MatMulOptions { M = 4, N = 7, K = 0 }
        };
    }

    private const int Room = 8192; // elements: enough for every shape

    [Test]
    private static void MatMulF32()
    {
        var random = new Random(1);
        foreach (MatMulOptions shape in Shapes())
        {
            float[] a = Setting.RandomFloats(random, Room), b = Setting.RandomFloats(random, Room), c = new float[Room];
            Setting.Context.MatMul(shape, a, b, c);
            new Product { Options = shape, A = i => a[i], B = i => b[i], C = i => c[i], Types = "F32" }
                .Check((sum, magnitude) => sum, (sum, magnitude) => Setting.SumError(shape.K) * magnitude);
        }
    }

    [Test]
    private static void MatMulBF16()
    {
        var random = new Random(2);
        foreach (MatMulOptions shape in Shapes())
        {
            ushort[] a = Setting.RandomBF16(random, Room), b = Setting.RandomBF16(random, Room), rounded = new ushort[Room];
            var c = new float[Room];
            Setting.Context.MatMul(shape, a, b, c);
            Setting.Context.MatMul(shape, a, b, rounded);
            var product = new Product
            {
                Options = shape, A = i => Setting.OfBF16(a[i]), B = i => Setting.OfBF16(b[i]), C = i => c[i], Types = "BF16 to F32"
            };
            Func<double, double, double> tolerance = (sum, magnitude) => Setting.SumError(shape.K) * magnitude;
            product.Check((sum, magnitude) => sum, tolerance);
            product.C = i => Setting.OfBF16(rounded[i]);
            product.Types = "BF16";
            product.Check((sum, magnitude) => sum, (sum, magnitude) =>
                tolerance(sum, magnitude) + Setting.UnitBF16 * (Math.Abs(sum) + tolerance(sum, magnitude)));
        }
    }

    [Test]
    private static void MatMulS8()
    {
        var random = new Random(3);
        foreach (MatMulOptions shape in Shapes())
        {
            sbyte[] a = Setting.RandomBytes(random, Room), b = Setting.RandomBytes(random, Room), scaled = new sbyte[Room];
            var c = new int[Room];
            Setting.Context.MatMul(shape, a, b, c);
            var product = new Product { Options = shape, A = i => a[i], B = i => b[i], C = i => c[i], Types = "S8 to S32" };
            product.Check((sum, magnitude) => sum, (sum, magnitude) => 0);

            const float scale = 0.00173f;
            shape.Scale = scale;
            shape.ZeroPoint = -3;
            Setting.Context.MatMul(shape, a, b, scaled);
            product.C = i => scaled[i];
            product.Types = "S8";
            product.Check((sum, magnitude) => Math.Max(-128, Math.Min(127,
                Math.Round((double)(float)((double)(float)sum * scale), MidpointRounding.ToEven) - 3)), (sum, magnitude) => 0);
        }
    }

    [Test]
    private static unsafe void MatMulWithPointers()
    {
        var random = new Random(4);
        float[] a = Setting.RandomFloats(random, 6), b = Setting.RandomFloats(random, 6), expected = new float[4];
        var shape = new MatMulOptions { M = 2, N = 2, K = 3 };
        Setting.Context.MatMul(shape, a, b, expected);
        float* c = stackalloc float[4];
        fixed (float* aStart = a, bStart = b)
        {
            var typed = new MatMulOptions { M = 2, N = 2, K = 3, AType = DataType.F32, BType = DataType.F32, CType = DataType.F32 };
            Setting.Context.MatMul(typed, BufferView.Of(aStart, 6), new BufferView((IntPtr)bStart, 24), BufferView.Of(c, 4));
        }
        for (int i = 0; i < 4; ++i)
            Expect.Equal(expected[i], c[i], "element " + i);
        // A part of an array, with room before and behind.
        var room = new float[9];
        Setting.Context.MatMul(shape, new ArraySegment<float>(a, 0, 6), b, new ArraySegment<float>(room, 3, 4));
        for (int i = 0; i < 9; ++i)
            Expect.Equal(i < 3 || i > 6 ? 0 : expected[i - 3], room[i], "element " + i + " of a part");
    }

    // ---- attention

    private sealed class Attention
    {
        internal AttentionOptions Options;
        internal Func<long, double> Q, K, V, Out;
        internal Func<int, int, int, int, double> Added;

        private static double OrOne(float scale)
        {
            return scale == 0 ? 1 : scale;
        }

        /// A score is off by the sum's error and four roundings of it and of the mask, exp by a factor of
        /// e to twice that for numerator and denominator, and by 16 units of its own with the division;
        /// the second product by the error of its sum. But for F32, probabilities are rounded to bf16, of
        /// an exp within 2^-13.7. Results of BF16 are rounded to it, those of S8 to an integer.
        internal void Check(string what)
        {
            AttentionOptions o = Options;
            int width = o.Heads * o.HeadDim;
            long ldq = o.Ldq != 0 ? o.Ldq : width, ldk = o.Ldk != 0 ? o.Ldk : width;
            long ldv = o.Ldv != 0 ? o.Ldv : width, ldo = o.Ldo != 0 ? o.Ldo : width;
            double scale = (o.Scale == 0 ? 1 / Math.Sqrt(o.HeadDim) : o.Scale) * OrOne(o.QScale) * OrOne(o.KScale);
            var prob = new double[o.Keys];
            for (int item = 0; item < Math.Max(1, o.Batch); ++item)
                for (int head = 0; head < o.Heads; ++head)
                    for (int query = 0; query < o.Queries; ++query)
                    {
                        double greatest = double.NegativeInfinity, delta = 0, sum = 0;
                        long qStart = (item * o.Queries + query) * ldq + head * o.HeadDim;
                        for (int key = 0; key < o.Keys; ++key)
                        {
                            double dot = 0, magnitude = 0;
                            long kStart = (item * o.Keys + key) * ldk + head * o.HeadDim;
                            for (int i = 0; i < o.HeadDim; ++i)
                            {
                                double term = Q(qStart + i) * K(kStart + i);
                                dot += term;
                                magnitude += Math.Abs(term);
                            }
                            double mask = Added(item, head, query, key);
                            prob[key] = dot * scale + mask;
                            if (double.IsNegativeInfinity(mask))
                                continue;
                            greatest = Math.Max(greatest, prob[key]);
                            delta = Math.Max(delta, (Setting.SumError(o.HeadDim) + Setting.SumError(6)) * magnitude * Math.Abs(scale)
                                             + 4 * Setting.UnitF32 * (Math.Abs(prob[key]) + Math.Abs(mask)));
                        }
                        bool sees = !double.IsNegativeInfinity(greatest);
                        for (int key = 0; key < o.Keys && sees; ++key)
                            sum += prob[key] = Math.Exp(prob[key] - greatest);
                        for (int i = 0; i < o.HeadDim; ++i)
                        {
                            double expected = 0, magnitude = 0, most = 0;
                            for (int key = 0; key < o.Keys && sees; ++key)
                            {
                                double v = V((item * o.Keys + key) * ldv + head * o.HeadDim + i) * OrOne(o.VScale);
                                expected += prob[key] / sum * v;
                                magnitude += prob[key] / sum * Math.Abs(v);
                                most = Math.Max(most, Math.Abs(v));
                            }
                            double tolerance = magnitude * (Math.Exp(2 * delta) - 1 + 16 * Setting.UnitF32 + Setting.SumError(o.Keys))
                                + o.Keys * Math.Pow(2, -120) * most;
                            if (o.Type != DataType.F32)
                                tolerance += (Setting.UnitBF16 + 2.5 / (1 << 14)) * (magnitude + tolerance);
                            if (o.Type == DataType.BF16)
                                tolerance += Setting.UnitBF16 * (Math.Abs(expected) + tolerance);
                            if (o.Type == DataType.S8)
                            {
                                expected = Math.Max(-128, Math.Min(127, expected / OrOne(o.OutScale)));
                                tolerance = 0.5 + tolerance / OrOne(o.OutScale) + 4 * Setting.UnitF32 * Math.Abs(expected);
                            }
                            int column = i, h = head, n = item, row = query;
                            Expect.Within(expected, Out((item * o.Queries + query) * ldo + head * o.HeadDim + i), sees ? tolerance : 0,
                                          () => what + " item " + n + " head " + h + " query " + row + " column " + column);
                        }
                    }
        }
    }

    /// Every mask and every type, with leading dimensions and scales.
    private static void TryMasks(DataType type)
    {
        var random = new Random(5);
        const int batch = 2, heads = 3, queries = 5, keys = 9, dim = 8;
        int[] lengths = { 4, 0 };
        foreach (Mask mask in new[] { Mask.None, Mask.KeyLengths, Mask.Causal, Mask.AddF32 })
            foreach (bool perItem in mask == Mask.AddF32 ? new[] { false, true } : new[] { false })
                foreach (bool perHead in mask == Mask.AddF32 ? new[] { false, true } : new[] { false })
                {
                    var options = new AttentionOptions
                    {
                        Type = type, Batch = batch, Heads = heads, HeadDim = dim, Queries = queries, Keys = keys, Mask = mask,
                        MaskPerItem = perItem, MaskPerHead = perHead, Ldq = 30, Ldk = 26, Ldv = 27, Ldo = 24,
                        Scale = mask == Mask.Causal ? 0.2f : 0
                    };
                    float[] added = Setting.RandomFloats(random, (perItem ? batch : 1) * (perHead ? heads : 1) * queries * keys);
                    added[3] = float.NegativeInfinity;
                    BufferView given = mask == Mask.KeyLengths ? lengths : mask == Mask.AddF32 ? added : default(BufferView);
                    var attention = new Attention { Options = options };
                    attention.Added = (item, head, query, key) =>
                        mask == Mask.KeyLengths ? key < lengths[item] ? 0 : double.NegativeInfinity
                        : mask == Mask.Causal ? key <= query + keys - queries ? 0 : double.NegativeInfinity
                        : mask == Mask.AddF32 ? added[(((perItem ? item : 0) * (perHead ? heads : 1) + (perHead ? head : 0)) * queries + query) * keys + key]
                        : 0;
                    const int room = 512;
                    if (type == DataType.F32)
                    {
                        float[] q = Setting.RandomFloats(random, room), k = Setting.RandomFloats(random, room);
                        float[] v = Setting.RandomFloats(random, room), output = new float[room];
                        options.Type = DataType.OfArray;
                        Setting.Context.Attention(options, q, k, v, output, given);
                        options.Type = type;
                        attention.Q = i => q[i];
                        attention.K = i => k[i];
                        attention.V = i => v[i];
                        attention.Out = i => output[i];
                    }
                    else if (type == DataType.BF16)
                    {
                        ushort[] q = Setting.RandomBF16(random, room), k = Setting.RandomBF16(random, room);
                        ushort[] v = Setting.RandomBF16(random, room), output = new ushort[room];
                        Setting.Context.Attention(options, q, k, v, output, given);
                        attention.Q = i => Setting.OfBF16(q[i]);
                        attention.K = i => Setting.OfBF16(k[i]);
                        attention.V = i => Setting.OfBF16(v[i]);
                        attention.Out = i => Setting.OfBF16(output[i]);
                    }
                    else
                    {
                        sbyte[] q = Setting.RandomBytes(random, room), k = Setting.RandomBytes(random, room);
                        sbyte[] v = Setting.RandomBytes(random, room), output = new sbyte[room];
                        options.QScale = 0.011f;
                        options.KScale = 0.013f;
                        options.VScale = 0.02f;
                        options.OutScale = 0.015f;
                        Setting.Context.Attention(options, q, k, v, output, given);
                        attention.Q = i => q[i];
                        attention.K = i => k[i];
                        attention.V = i => v[i];
                        attention.Out = i => output[i];
                    }
                    attention.Check(type + " " + mask + (perItem ? " per item" : "") + (perHead ? " per head" : ""));
                }
    }

    [Test]
    private static void AttentionF32()
    {
        TryMasks(DataType.F32);
    }

    [Test]
    private static void AttentionBF16()
    {
        TryMasks(DataType.BF16);
    }

    [Test]
    private static void AttentionS8()
    {
        TryMasks(DataType.S8);
    }

    // ---- linear

    private static void CheckLinear(string what, int rows, int outputs, int inputs, Func<long, double> x, Func<long, double> w,
                                    float[] bias, Func<long, double> y, Func<double, double, int, double> tolerance)
    {
        for (int row = 0; row < rows; ++row)
            for (int output = 0; output < outputs; ++output)
            {
                double sum = bias == null ? 0 : bias[output], magnitude = Math.Abs(sum);
                for (int i = 0; i < inputs; ++i)
                {
                    double term = x((long)row * inputs + i) * w((long)output * inputs + i);
                    sum += term;
                    magnitude += Math.Abs(term);
                }
                Expect.Within(sum, y((long)row * outputs + output), tolerance(sum, magnitude, output),
                              () => what + " row " + row + " output " + output);
            }
    }

    [Test]
    private static void LinearOfFloats()
    {
        const int rows = 5, outputs = 21, inputs = 34;
        var random = new Random(6);
        float[] w = Setting.RandomFloats(random, outputs * inputs), bias = Setting.RandomFloats(random, outputs);
        float[] x = Setting.RandomFloats(random, rows * inputs), y = new float[rows * outputs];
        using (Weight weight = Setting.Context.CreateWeight(new WeightOptions { Outputs = outputs, Inputs = inputs }, w, bias: bias))
            weight.Linear(new LinearOptions { Rows = rows }, x, y);
        CheckLinear("F32", rows, outputs, inputs, i => x[i], i => w[i], bias, i => y[i],
                    (sum, magnitude, output) => Setting.SumError(inputs + 1) * magnitude);
    }

    [Test]
    private static void LinearOfShorts()
    {
        const int rows = 3, outputs = 20, inputs = 16;
        var random = new Random(7);
        ushort[] w = Setting.RandomBF16(random, outputs * inputs), x = Setting.RandomBF16(random, rows * inputs);
        ushort[] y = new ushort[rows * outputs];
        var options = new WeightOptions { Type = DataType.BF16, Precision = Precision.BF16, Outputs = outputs, Inputs = inputs };
        var linear = new LinearOptions { Rows = rows, XType = DataType.BF16, YType = DataType.F16 };
        using (Weight weight = Setting.Context.CreateWeight(options, w))
            weight.Linear(linear, x, y);
        CheckLinear("BF16 to F16", rows, outputs, inputs, i => Setting.OfBF16(x[i]), i => Setting.OfBF16(w[i]), null,
                    i => Setting.OfF16(y[i]), (sum, magnitude, output) =>
                    {
                        double error = Setting.SumError(inputs + 1) * magnitude;
                        return error + Setting.UnitF16 * (Math.Abs(sum) + error) + Math.Pow(2, -25); // half of the smallest F16
                    });
    }

    [Test]
    private static void LinearOfBytes()
    {
        const int rows = 4, outputs = 18, inputs = 48;
        var random = new Random(8);
        sbyte[] w = Setting.RandomBytes(random, outputs * inputs);
        float[] scales = new float[outputs], bias = Setting.RandomFloats(random, outputs);
        float[] x = Setting.RandomFloats(random, rows * inputs), y = new float[rows * outputs];
        for (int i = 0; i < outputs; ++i)
            scales[i] = (float)(0.001 + 0.01 * random.NextDouble());
        using (Weight weight = Setting.Context.CreateWeight(new WeightOptions { Outputs = outputs, Inputs = inputs }, w, scales, bias))
            weight.Linear(new LinearOptions { Rows = rows }, x, y);
        // Activations are rounded to 127ths of their row's largest, by half a step at most, 1 at most here.
        var magnitudes = new double[outputs];
        for (int i = 0; i < outputs * inputs; ++i)
            magnitudes[i / inputs] += Math.Abs(w[i] * (double)scales[i / inputs]);
        CheckLinear("S8", rows, outputs, inputs, i => x[i], i => w[i] * (double)scales[i / inputs], bias, i => y[i],
                    (sum, magnitude, output) => magnitudes[output] * 0.5 / 127 * (1 + 1e-6) + Setting.SumError(8) * magnitude);
    }

    // ---- mel

    [Test]
    private static void Mel()
    {
        const int frames = 20, mels = 80, bins = 201;
        int samples = 160 * frames - 100;
        float[] pcm = Setting.Speech(samples);
        Expect.Equal(4L * mels * frames, Context.MelSize(new MelOptions { Frames = frames }), "size");
        float[] mel = Setting.Context.Mel(pcm, new MelOptions { Frames = frames });
        double[] expected = LogMel(i => pcm[i], samples, frames, mels, bins);
        for (int i = 0; i < mel.Length; ++i)
            Expect.Within(expected[i], mel[i], 1e-4, () => "element " + i); // what npuenc.h promises

        var shorts = new short[samples];
        for (int i = 0; i < samples; ++i)
            shorts[i] = (short)Math.Round(32768 * pcm[i]);
        var into = new float[mel.Length];
        Setting.Context.MelInto(shorts, into, new MelOptions { Frames = frames });
        expected = LogMel(i => shorts[i] / 32768.0, samples, frames, mels, bins);
        for (int i = 0; i < mel.Length; ++i)
            Expect.Within(expected[i], into[i], 1e-4, () => "element " + i + " of shorts");
    }

    /// From the definition in openai/whisper.
    private static double[] LogMel(Func<int, double> pcm, int samples, int frames, int mels, int bins)
    {
        int length = 160 * frames;
        var power = new double[bins, frames];
        double[] cosines = new double[400], sines = new double[400];
        for (int i = 0; i < 400; ++i)
        {
            cosines[i] = Math.Cos(2 * Math.PI * i / 400);
            sines[i] = Math.Sin(2 * Math.PI * i / 400);
        }
        for (int frame = 0; frame < frames; ++frame)
        {
            var windowed = new double[400];
            for (int i = 0; i < 400; ++i)
            {
                int at = Math.Abs(160 * frame + i - 200);
                at = at >= length ? 2 * (length - 1) - at : at;
                windowed[i] = (at < samples ? pcm(at) : 0) * (0.5 - 0.5 * cosines[i]);
            }
            for (int bin = 0; bin < bins; ++bin)
            {
                double real = 0, imaginary = 0;
                for (int i = 0; i < 400; ++i)
                {
                    real += windowed[i] * cosines[bin * i % 400];
                    imaginary -= windowed[i] * sines[bin * i % 400];
                }
                power[bin, frame] = real * real + imaginary * imaginary;
            }
        }
        var edges = new double[mels + 2];
        for (int i = 0; i < edges.Length; ++i)
            edges[i] = Hertz(i * MelOf(8000) / (mels + 1));
        var result = new double[mels * frames];
        double maximum = double.NegativeInfinity;
        for (int mel = 0; mel < mels; ++mel)
            for (int frame = 0; frame < frames; ++frame)
            {
                double sum = 0;
                for (int bin = 0; bin < bins; ++bin)
                {
                    double hertz = 40.0 * bin;
                    double filter = Math.Min((hertz - edges[mel]) / (edges[mel + 1] - edges[mel]),
                                             (edges[mel + 2] - hertz) / (edges[mel + 2] - edges[mel + 1]));
                    sum += Math.Max(0, filter) * 2 / (edges[mel + 2] - edges[mel]) * power[bin, frame];
                }
                result[mel * frames + frame] = Math.Log10(Math.Max(1e-10, sum));
                maximum = Math.Max(maximum, result[mel * frames + frame]);
            }
        for (int i = 0; i < result.Length; ++i)
            result[i] = (Math.Max(result[i], maximum - 8) + 4) / 4;
        return result;
    }

    // Slaney's scale: linear to 1000 Hz, logarithmic above.
    private static double MelOf(double hertz)
    {
        return hertz < 1000 ? hertz * 3 / 200 : 15 + Math.Log(hertz / 1000) / (Math.Log(6.4) / 27);
    }

    private static double Hertz(double mel)
    {
        return mel < 15 ? mel * 200 / 3 : 1000 * Math.Exp(Math.Log(6.4) / 27 * (mel - 15));
    }
}
