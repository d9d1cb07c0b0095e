// SPDX-License-Identifier: MIT
using System;
using System.Threading;
using System.Threading.Tasks;
using NpuEnc.Raw;

namespace NpuEnc
{
    /// <summary>
    /// The immutable weights of an encoder. It may be used from any number of threads at once, and
    /// disposed of while they do: their calls go on, later ones throw ObjectDisposedException.
    /// </summary>
    public sealed class Model : IDisposable
    {
        private readonly ModelHandle handle;

        internal Model(Context context, ModelHandle handle)
        {
            Context = context;
            this.handle = handle;
        }

        internal Context Context { get; }

        internal ModelHandle Handle =>
            handle.IsDisposed ? throw new ObjectDisposedException(nameof(Model)) : handle;

        public ModelInfo Info => ModelInfo.Get(Handle);

        /// <summary>The size in bytes of the states.</summary>
        public long EncodeSize(EncodeOptions options = null)
        {
            npuenc_encode_desc desc = (options ?? new EncodeOptions()).Raw(Input.PcmF32);
            Failure.Check(npuenc.npuenc_encode_size(Handle, ref desc, out ulong bytes));
            return (long)bytes;
        }

        /// <summary>
        /// Encodes a batch to [Batch][States][Width]. The input is float[] or short[] with PCM of 16
        /// kHz, or log-mel if the options say so. Progress is reported on the calling thread; what the
        /// report throws ends the call.
        /// </summary>
        public float[] Encode(BufferView input, EncodeOptions options = null,
                              IProgress<RunProgress> progress = null, Run run = null,
                              CancellationToken token = default(CancellationToken))
        {
            float[] states = NewStates(options);
            EncodeInto(input, states, options, progress, run, token);
            return states;
        }

        /// <summary>The same into a buffer of the caller's: float[], or ushort[] for BF16 and F16.</summary>
        public unsafe void EncodeInto(BufferView input, BufferView output, EncodeOptions options = null,
                                      IProgress<RunProgress> progress = null, Run run = null,
                                      CancellationToken token = default(CancellationToken))
        {
            options = options ?? new EncodeOptions();
            if (progress != null)
            {
                new Submission(this, options, input, output, progress, run, token).Wait();
                return;
            }
            npuenc_encode_desc desc = Describe(options, input, output);
            int[] lengths = options.Lengths;
            fixed (int* lengthsPointer = lengths)
            using (Pin inputPin = PinInput(input, desc))
            using (Pin outputPin = PinOutput(output, desc))
            using (var call = new Call(Context, run, token))
                call.Check(npuenc.npuenc_encode(Handle, ref desc, inputPin.Pointer, inputPin.Bytes,
                                                (IntPtr)lengthsPointer, CountOf(lengths), outputPin.Pointer,
                                                outputPin.Bytes, call.Run));
        }

        /// <summary>
        /// Starts the same and returns; what is wrong with the arguments is thrown now. One thread of a
        /// context waits for all that it was given. Progress is reported on that thread.
        /// </summary>
        public Task<float[]> EncodeAsync(BufferView input, EncodeOptions options = null,
                                         IProgress<RunProgress> progress = null, Run run = null,
                                         CancellationToken token = default(CancellationToken))
        {
            float[] states = NewStates(options);
            return Start(input, states, options, progress, run, token, states);
        }

        /// <summary>
        /// The same into a buffer of the caller's, which must be left alone until the task has ended.
        /// </summary>
        public Task EncodeIntoAsync(BufferView input, BufferView output, EncodeOptions options = null,
                                    IProgress<RunProgress> progress = null, Run run = null,
                                    CancellationToken token = default(CancellationToken))
        {
            return Start(input, output, options, progress, run, token, true);
        }

        private Task<T> Start<T>(BufferView input, BufferView output, EncodeOptions options,
                                 IProgress<RunProgress> progress, Run run, CancellationToken token, T result)
        {
            if (token.IsCancellationRequested)
                return Task.FromCanceled<T>(token);
            options = options ?? new EncodeOptions();
            return Context.Submissions.Add(
                () => new Submission(this, options, input, output, progress, run, token), result);
        }

        private float[] NewStates(EncodeOptions options)
        {
            if (options != null && options.OutputType != DataType.OfArray && options.OutputType != DataType.F32)
                throw new ArgumentException(
                    "the states are returned as F32; other types go into a buffer of the caller's",
                    nameof(options));
            return new float[EncodeSize(options) / sizeof(float)];
        }

        internal static npuenc_encode_desc Describe(EncodeOptions options, BufferView input, BufferView output)
        {
            npuenc_encode_desc desc = options.Raw(InputOf(options.Input, input));
            if (options.OutputType == DataType.OfArray)
            {
                if (output.Is(typeof(ushort[])))
                    throw new ArgumentException("the options have to say whether ushort[] is for BF16 or F16",
                                                nameof(output));
                desc.output_type = (int)DataType.F32;
            }
            return desc;
        }

        internal static Input InputOf(Input? given, BufferView input)
        {
            return given ?? (input.Is(typeof(short[])) ? Input.PcmS16 : Input.PcmF32);
        }

        internal static Type ArrayOf(Input input)
        {
            return input == Input.PcmS16 ? typeof(short[]) : typeof(float[]);
        }

        internal static Pin PinInput(BufferView input, npuenc_encode_desc desc)
        {
            return input.Pin(ArrayOf((Input)desc.input), nameof(input));
        }

        internal static Pin PinOutput(BufferView output, npuenc_encode_desc desc)
        {
            return output.Pin((DataType)desc.output_type, nameof(output));
        }

        internal static ulong CountOf(int[] lengths)
        {
            return lengths == null ? 0 : (ulong)lengths.Length;
        }

        public void Dispose()
        {
            handle.Dispose();
        }
    }
}
