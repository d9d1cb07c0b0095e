// SPDX-License-Identifier: MIT
using System;
using System.Threading;
using NpuEnc.Raw;

namespace NpuEnc
{
    /// <summary>
    /// An open device with its threads. It may be used from any number of threads at once, and
    /// disposed of while they do: their calls go on, later ones throw ObjectDisposedException. What was
    /// made from it stays usable.
    /// </summary>
    public sealed class Context : IDisposable
    {
        private readonly CtxHandle handle;

        /// <summary>Opens a device. An exception's detail says why it cannot be used.</summary>
        public Context(ContextOptions options = null)
        {
            options = options ?? new ContextOptions();
            LogSink log = options.Log == null ? null : new LogSink(options.Log);
            npuenc_open_options raw = options.Raw(log);
            Failure.Check(npuenc.npuenc_open(ref raw, out handle));
            handle.Log = log;
        }

        internal CtxHandle Handle =>
            handle.IsDisposed ? throw new ObjectDisposedException(nameof(Context)) : handle;

        /// For what was made from the context and outlives it.
        internal CtxHandle HandleOfParts => handle;

        internal SubmissionQueue Submissions { get; } = new SubmissionQueue();

        public ContextInfo Info => ContextInfo.Get(Handle);

        /// <summary>
        /// Why it runs on the device that it runs on, and what kept every better one from being used.
        /// Empty when there is nothing to say.
        /// </summary>
        public string Reason
        {
            get
            {
                CtxHandle context = Handle;
                return Utf8.Read((buffer, capacity) => npuenc.npuenc_ctx_reason(context, buffer, capacity));
            }
        }

        /// <summary>Sums over all calls that have ended.</summary>
        public unsafe Statistics GetStatistics()
        {
            var stats = new npuenc_stats { struct_size = (uint)sizeof(npuenc_stats) };
            Failure.Check(npuenc.npuenc_ctx_stats(Handle, ref stats));
            return new Statistics(stats);
        }

        public Run CreateRun()
        {
            return new Run(RunHandle.Create(Handle));
        }

        /// <summary>c = a b. Types that the options leave out are those of the arrays.</summary>
        public void MatMul(MatMulOptions options, BufferView a, BufferView b, BufferView c, Run run = null,
                           CancellationToken token = default(CancellationToken))
        {
            NotNull(options, nameof(options));
            DataType aType = a.TypeOr(options.AType, nameof(a), DataType.BF16);
            DataType bType = b.TypeOr(options.BType, nameof(b), DataType.BF16);
            DataType cType = c.TypeOr(options.CType, nameof(c), DataType.BF16);
            npuenc_matmul_desc desc = options.Raw(aType, bType, cType);
            using (Pin aPin = a.Pin(aType, nameof(a)))
            using (Pin bPin = b.Pin(bType, nameof(b)))
            using (Pin cPin = c.Pin(cType, nameof(c)))
            using (var call = new Call(this, run, token))
                call.Check(npuenc.npuenc_matmul(Handle, ref desc, aPin.Pointer, aPin.Bytes, bPin.Pointer,
                                                bPin.Bytes, cPin.Pointer, cPin.Bytes, call.Run));
        }

        /// <summary>
        /// Packs a matrix for <see cref="Weight.Linear"/>; all is copied. scales: Outputs floats for S8
        /// data. bias: Outputs floats or nothing.
        /// </summary>
        public Weight CreateWeight(WeightOptions options, BufferView data,
                                   BufferView scales = default(BufferView),
                                   BufferView bias = default(BufferView))
        {
            NotNull(options, nameof(options));
            DataType type = data.TypeOr(options.Type, nameof(data));
            npuenc_weight_desc desc = options.Raw(type);
            using (Pin dataPin = data.Pin(type, nameof(data)))
            using (Pin scalesPin = scales.PinOptional(typeof(float[]), nameof(scales)))
            using (Pin biasPin = bias.PinOptional(typeof(float[]), nameof(bias)))
            {
                CtxHandle context = Handle;
                Failure.Check(npuenc.npuenc_weight_create(
                    context, ref desc, dataPin.Pointer, dataPin.Bytes, scalesPin.Pointer, scalesPin.Bytes,
                    biasPin.Pointer, biasPin.Bytes, out WeightHandle weight));
                weight.Hold(context);
                return new Weight(this, weight);
            }
        }

        /// <summary>
        /// Attention. mask: int[Batch] for KeyLengths, float[..][..][Queries][Keys] for AddF32, else
        /// nothing.
        /// </summary>
        public void Attention(AttentionOptions options, BufferView q, BufferView k, BufferView v,
                              BufferView output, BufferView mask = default(BufferView), Run run = null,
                              CancellationToken token = default(CancellationToken))
        {
            NotNull(options, nameof(options));
            DataType type = q.TypeOr(options.Type, nameof(q), DataType.BF16);
            npuenc_attention_desc desc = options.Raw(type);
            Type maskType = options.Mask == Mask.KeyLengths ? typeof(int[]) : typeof(float[]);
            using (Pin qPin = q.Pin(type, nameof(q)))
            using (Pin kPin = k.Pin(type, nameof(k)))
            using (Pin vPin = v.Pin(type, nameof(v)))
            using (Pin maskPin = mask.PinOptional(maskType, nameof(mask)))
            using (Pin outputPin = output.Pin(type, nameof(output)))
            using (var call = new Call(this, run, token))
                call.Check(npuenc.npuenc_attention(
                    Handle, ref desc, qPin.Pointer, qPin.Bytes, kPin.Pointer, kPin.Bytes, vPin.Pointer,
                    vPin.Bytes, maskPin.Pointer, maskPin.Bytes, outputPin.Pointer, outputPin.Bytes, call.Run));
        }

        /// <summary>The size in bytes of a log-mel.</summary>
        public static long MelSize(MelOptions options = null)
        {
            npuenc_mel_desc desc = (options ?? new MelOptions()).Raw(Input.PcmF32);
            Failure.Check(npuenc.npuenc_mel_size(ref desc, out ulong bytes));
            return (long)bytes;
        }

        /// <summary>Log-mel of one window, [Mels][Frames].</summary>
        public float[] Mel(BufferView pcm, MelOptions options = null, Run run = null,
                           CancellationToken token = default(CancellationToken))
        {
            var mel = new float[MelSize(options) / sizeof(float)];
            MelInto(pcm, mel, options, run, token);
            return mel;
        }

        /// <summary>The same into a buffer of the caller's.</summary>
        public void MelInto(BufferView pcm, BufferView output, MelOptions options = null, Run run = null,
                            CancellationToken token = default(CancellationToken))
        {
            options = options ?? new MelOptions();
            Input input = Model.InputOf(options.Input, pcm);
            npuenc_mel_desc desc = options.Raw(input);
            using (Pin pcmPin = pcm.Pin(Model.ArrayOf(input), nameof(pcm)))
            using (Pin outputPin = output.Pin(DataType.F32, nameof(output)))
            using (var call = new Call(this, run, token))
                call.Check(npuenc.npuenc_mel(Handle, ref desc, pcmPin.Pointer, pcmPin.Bytes,
                                             outputPin.Pointer, outputPin.Bytes, call.Run));
        }

        /// <summary>
        /// Loads the encoder of a Whisper model: whisper.cpp's ggml-*.bin, a Hugging Face directory or
        /// .safetensors file, a CTranslate2 directory or model.bin.
        /// </summary>
        public unsafe Model LoadModel(string path, ModelOptions options = null)
        {
            NotNull(path, nameof(path));
            if (path.IndexOf('\0') >= 0)
                throw new ArgumentException("a path holds no NUL", nameof(path));
            npuenc_model_options raw = (options ?? new ModelOptions()).Raw();
            CtxHandle context = Handle;
            fixed (byte* text = Utf8.Encode(path))
            {
                Failure.Check(npuenc.npuenc_model_load(context, (IntPtr)text, ref raw, out ModelHandle model));
                model.Hold(context);
                return new Model(this, model);
            }
        }

        /// <summary>The same from the bytes of one file; nothing of them is kept.</summary>
        public Model LoadModelFromMemory(BufferView data, ModelOptions options = null)
        {
            npuenc_model_options raw = (options ?? new ModelOptions()).Raw();
            CtxHandle context = Handle;
            using (Pin pin = data.Pin(typeof(byte[]), nameof(data)))
            {
                Failure.Check(npuenc.npuenc_model_load_memory(context, pin.Pointer, pin.Bytes, ref raw,
                                                              out ModelHandle model));
                model.Hold(context);
                return new Model(this, model);
            }
        }

        internal static void NotNull(object value, string name)
        {
            if (value == null)
                throw new ArgumentNullException(name);
        }

        /// <summary>
        /// Does not wait: the device is freed when no call uses it any more and all that was made from
        /// it has been freed too.
        /// </summary>
        public void Dispose()
        {
            handle.Dispose();
        }
    }

    /// <summary>One packed matrix on a context's device. For any number of threads at once.</summary>
    public sealed class Weight : IDisposable
    {
        private readonly Context context;
        private readonly WeightHandle handle;

        internal Weight(Context context, WeightHandle handle)
        {
            this.context = context;
            this.handle = handle;
        }

        private WeightHandle Handle =>
            handle.IsDisposed ? throw new ObjectDisposedException(nameof(Weight)) : handle;

        /// <summary>y = x W^T + bias.</summary>
        public void Linear(LinearOptions options, BufferView x, BufferView y, Run run = null,
                           CancellationToken token = default(CancellationToken))
        {
            Context.NotNull(options, nameof(options));
            DataType xType = x.TypeOr(options.XType, nameof(x));
            DataType yType = y.TypeOr(options.YType, nameof(y));
            npuenc_linear_desc desc = options.Raw(xType, yType);
            using (Pin xPin = x.Pin(xType, nameof(x)))
            using (Pin yPin = y.Pin(yType, nameof(y)))
            using (var call = new Call(context, run, token))
                call.Check(npuenc.npuenc_linear(Handle, ref desc, xPin.Pointer, xPin.Bytes, yPin.Pointer,
                                                yPin.Bytes, call.Run));
        }

        public void Dispose()
        {
            handle.Dispose();
        }
    }
}
