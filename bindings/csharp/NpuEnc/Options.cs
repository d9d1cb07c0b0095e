// SPDX-License-Identifier: MIT
// What calls are told. A new object holds the defaults: 0 means "default" wherever npuenc.h says so.
using System;
using NpuEnc.Raw;

namespace NpuEnc
{
    public sealed class ContextOptions
    {
        public DeviceType DeviceType { get; set; }

        /// <summary>Which of that type, as <see cref="DeviceInfo.Index"/>; 0 for Auto.</summary>
        public int DeviceIndex { get; set; }

        /// <summary>Threads on the host, the caller's included; 0: one for each physical core.</summary>
        public int Threads { get; set; }

        /// <summary>Messages up to this level are delivered.</summary>
        public LogLevel LogLevel { get; set; }

        /// <summary>
        /// Receives messages, on threads that are inside a call, by several of them at once if several
        /// are. Must not call npuenc. Exceptions that it throws are swallowed.
        /// </summary>
        public Action<LogLevel, string> Log { get; set; }

        internal unsafe npuenc_open_options Raw(LogSink sink)
        {
            return new npuenc_open_options
            {
                struct_size = (uint)sizeof(npuenc_open_options),
                device_type = (int)DeviceType,
                device_index = Sizes.UInt32(DeviceIndex, nameof(DeviceIndex)),
                n_threads = Sizes.UInt32(Threads, nameof(Threads)),
                log_level = (int)LogLevel,
                log_fn = sink == null ? IntPtr.Zero : LogSink.FunctionPointer,
                log_user = sink == null ? IntPtr.Zero : sink.User
            };
        }
    }

    /// <summary>In what a model computes, and where.</summary>
    public sealed class ModelOptions
    {
        /// <summary>Of all products: Auto, F32, BF16 or Int8.</summary>
        public Precision Precision { get; set; }

        /// <summary>Projections and MLP.</summary>
        public DeviceType LinearDevice { get; set; }

        /// <summary>Products and softmax of attention.</summary>
        public DeviceType AttentionDevice { get; set; }

        public DeviceType ConvolutionDevice { get; set; }

        /// <summary>Norms.</summary>
        public DeviceType ElementwiseDevice { get; set; }

        internal unsafe npuenc_model_options Raw()
        {
            return new npuenc_model_options
            {
                struct_size = (uint)sizeof(npuenc_model_options),
                precision = (int)Precision,
                linear_device = (int)LinearDevice,
                attention_device = (int)AttentionDevice,
                conv_device = (int)ConvolutionDevice,
                elementwise_device = (int)ElementwiseDevice
            };
        }
    }

    /// <summary>c[i] = a[i] b[i], row-major: a is [M][K], b [K][N], c [M][N].</summary>
    public sealed class MatMulOptions
    {
        /// <summary>As of the arrays; ushort[] holds BF16. To be given with pointers.</summary>
        public DataType AType { get; set; }

        public DataType BType { get; set; }

        public DataType CType { get; set; }

        /// <summary>0: 1.</summary>
        public int Batch { get; set; }

        public int M { get; set; }

        public int N { get; set; }

        public int K { get; set; }

        /// <summary>b is [N][K].</summary>
        public bool BTransposed { get; set; }

        /// <summary>One b for the whole batch.</summary>
        public bool BShared { get; set; }

        /// <summary>For S8 results; 0: 1.</summary>
        public float Scale { get; set; }

        /// <summary>For S8 results: -128 to 127.</summary>
        public int ZeroPoint { get; set; }

        /// <summary>Elements from row to row; 0: the row's length.</summary>
        public long Lda { get; set; }

        public long Ldb { get; set; }

        public long Ldc { get; set; }

        /// <summary>Elements from item to item; 0: rows * leading dimension.</summary>
        public long StrideA { get; set; }

        public long StrideB { get; set; }

        public long StrideC { get; set; }

        internal unsafe npuenc_matmul_desc Raw(DataType a, DataType b, DataType c)
        {
            return new npuenc_matmul_desc
            {
                struct_size = (uint)sizeof(npuenc_matmul_desc),
                a_type = (int)a,
                b_type = (int)b,
                c_type = (int)c,
                batch = Sizes.UInt32(Batch, nameof(Batch)),
                m = Sizes.UInt32(M, nameof(M)),
                n = Sizes.UInt32(N, nameof(N)),
                k = Sizes.UInt32(K, nameof(K)),
                flags = (BTransposed ? npuenc.NPUENC_MATMUL_B_TRANSPOSED : 0)
                    | (BShared ? npuenc.NPUENC_MATMUL_B_SHARED : 0),
                scale = Scale,
                zero_point = ZeroPoint,
                lda = Sizes.UInt64(Lda, nameof(Lda)),
                ldb = Sizes.UInt64(Ldb, nameof(Ldb)),
                ldc = Sizes.UInt64(Ldc, nameof(Ldc)),
                stride_a = Sizes.UInt64(StrideA, nameof(StrideA)),
                stride_b = Sizes.UInt64(StrideB, nameof(StrideB)),
                stride_c = Sizes.UInt64(StrideC, nameof(StrideC))
            };
        }
    }

    /// <summary>One matrix W[Outputs][Inputs].</summary>
    public sealed class WeightOptions
    {
        /// <summary>Of the data: F32, F16, BF16, or S8 with scales. Of the array if it is not ushort[].</summary>
        public DataType Type { get; set; }

        public Precision Precision { get; set; }

        public int Outputs { get; set; }

        public int Inputs { get; set; }

        /// <summary>Elements from row to row; 0: Inputs.</summary>
        public long Ld { get; set; }

        internal unsafe npuenc_weight_desc Raw(DataType type)
        {
            return new npuenc_weight_desc
            {
                struct_size = (uint)sizeof(npuenc_weight_desc),
                type = (int)type,
                precision = (int)Precision,
                n_out = Sizes.UInt32(Outputs, nameof(Outputs)),
                n_in = Sizes.UInt32(Inputs, nameof(Inputs)),
                ld = Sizes.UInt64(Ld, nameof(Ld))
            };
        }
    }

    /// <summary>y[Rows][Outputs] = x[Rows][Inputs] W^T + bias.</summary>
    public sealed class LinearOptions
    {
        /// <summary>F32, BF16 or F16. Of the array if it is not ushort[].</summary>
        public DataType XType { get; set; }

        public DataType YType { get; set; }

        public int Rows { get; set; }

        /// <summary>Elements from row to row; 0: the row's length.</summary>
        public long Ldx { get; set; }

        public long Ldy { get; set; }

        internal unsafe npuenc_linear_desc Raw(DataType x, DataType y)
        {
            return new npuenc_linear_desc
            {
                struct_size = (uint)sizeof(npuenc_linear_desc),
                x_type = (int)x,
                y_type = (int)y,
                rows = Sizes.UInt32(Rows, nameof(Rows)),
                ldx = Sizes.UInt64(Ldx, nameof(Ldx)),
                ldy = Sizes.UInt64(Ldy, nameof(Ldy))
            };
        }
    }

    /// <summary>
    /// out = softmax(q k^T * Scale + mask) v for every item and head: q and out are
    /// [Batch][Queries][Heads][HeadDim], k and v [Batch][Keys][Heads][HeadDim].
    /// </summary>
    public sealed class AttentionOptions
    {
        /// <summary>Of all four; as of the arrays, ushort[] holding BF16. To be given with pointers.</summary>
        public DataType Type { get; set; }

        /// <summary>0: 1.</summary>
        public int Batch { get; set; }

        public int Heads { get; set; }

        public int HeadDim { get; set; }

        public int Queries { get; set; }

        public int Keys { get; set; }

        public Mask Mask { get; set; }

        /// <summary>AddF32: the mask has its own [..] for every item.</summary>
        public bool MaskPerItem { get; set; }

        /// <summary>AddF32: and for every head.</summary>
        public bool MaskPerHead { get; set; }

        /// <summary>Of the scores; 0: 1 / sqrt(HeadDim).</summary>
        public float Scale { get; set; }

        /// <summary>For S8; 0: 1.</summary>
        public float QScale { get; set; }

        public float KScale { get; set; }

        public float VScale { get; set; }

        public float OutScale { get; set; }

        /// <summary>Elements from position to position; 0: Heads * HeadDim.</summary>
        public long Ldq { get; set; }

        public long Ldk { get; set; }

        public long Ldv { get; set; }

        public long Ldo { get; set; }

        internal unsafe npuenc_attention_desc Raw(DataType type)
        {
            return new npuenc_attention_desc
            {
                struct_size = (uint)sizeof(npuenc_attention_desc),
                type = (int)type,
                batch = Sizes.UInt32(Batch, nameof(Batch)),
                n_head = Sizes.UInt32(Heads, nameof(Heads)),
                head_dim = Sizes.UInt32(HeadDim, nameof(HeadDim)),
                q_len = Sizes.UInt32(Queries, nameof(Queries)),
                kv_len = Sizes.UInt32(Keys, nameof(Keys)),
                mask = (int)Mask,
                flags = (MaskPerItem ? npuenc.NPUENC_ATTENTION_MASK_PER_ITEM : 0)
                    | (MaskPerHead ? npuenc.NPUENC_ATTENTION_MASK_PER_HEAD : 0),
                scale = Scale,
                q_scale = QScale,
                k_scale = KScale,
                v_scale = VScale,
                out_scale = OutScale,
                ldq = Sizes.UInt64(Ldq, nameof(Ldq)),
                ldk = Sizes.UInt64(Ldk, nameof(Ldk)),
                ldv = Sizes.UInt64(Ldv, nameof(Ldv)),
                ldo = Sizes.UInt64(Ldo, nameof(Ldo))
            };
        }
    }

    /// <summary>One window of log-mel.</summary>
    public sealed class MelOptions
    {
        /// <summary>PcmF32 or PcmS16; null: as of the array.</summary>
        public Input? Input { get; set; }

        /// <summary>80 or 128; 0: 80.</summary>
        public int Mels { get; set; }

        /// <summary>Of the window; 0: 3000, which is 30 s.</summary>
        public int Frames { get; set; }

        internal unsafe npuenc_mel_desc Raw(Input input)
        {
            return new npuenc_mel_desc
            {
                struct_size = (uint)sizeof(npuenc_mel_desc),
                input = (int)input,
                n_mels = Sizes.UInt32(Mels, nameof(Mels)),
                n_frames = Sizes.UInt32(Frames, nameof(Frames))
            };
        }
    }

    /// <summary>A batch of windows.</summary>
    public sealed class EncodeOptions
    {
        /// <summary>null: PCM as of the array.</summary>
        public Input? Input { get; set; }

        /// <summary>F32 (the default), BF16 or F16.</summary>
        public DataType OutputType { get; set; }

        /// <summary>0: 1.</summary>
        public int Batch { get; set; }

        /// <summary>
        /// Samples or frames from one item to the next; 0: the input's size divided by the batch.
        /// </summary>
        public int ItemLength { get; set; }

        /// <summary>States per window; 0: the model's.</summary>
        public int States { get; set; }

        /// <summary>The samples or frames that are valid of each item; null: all.</summary>
        public int[] Lengths { get; set; }

        internal unsafe npuenc_encode_desc Raw(Input input)
        {
            return new npuenc_encode_desc
            {
                struct_size = (uint)sizeof(npuenc_encode_desc),
                input = (int)input,
                output_type = (int)OutputType,
                batch = Sizes.UInt32(Batch, nameof(Batch)),
                n_per_item = Sizes.UInt32(ItemLength, nameof(ItemLength)),
                n_ctx = Sizes.UInt32(States, nameof(States))
            };
        }
    }
}
