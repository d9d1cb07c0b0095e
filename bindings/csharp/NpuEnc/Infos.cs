// SPDX-License-Identifier: MIT
// What the library tells: of a device, a context, a model, a call, an operator.
using System;
using NpuEnc.Raw;

namespace NpuEnc
{
    /// <summary>A device that the system shows. Strings are empty where something is not known.</summary>
    public sealed class DeviceInfo
    {
        private DeviceInfo(npuenc_device_info info)
        {
            DeviceType = (DeviceType)info.device_type;
            Index = (int)info.index;
            Status = (Status)info.status;
            Cores = (int)info.n_cores;
            Columns = (int)info.n_columns;
            MemoryBytes = (long)info.memory_bytes;
            Name = info.name.ToString();
            Isa = info.isa.ToString();
            BusAddress = info.bus_address.ToString();
            Driver = info.driver.ToString();
            Firmware = info.firmware.ToString();
            Runtime = info.runtime.ToString();
            Reason = info.reason.ToString();
        }

        internal static unsafe DeviceInfo Get(uint index)
        {
            var info = new npuenc_device_info { struct_size = (uint)sizeof(npuenc_device_info) };
            Failure.Check(npuenc.npuenc_device_get(index, ref info));
            return new DeviceInfo(info);
        }

        public DeviceType DeviceType { get; }

        /// <summary>Among the devices of its type.</summary>
        public int Index { get; }

        /// <summary>Ok when usable, else what opening it would fail with.</summary>
        public Status Status { get; }

        /// <summary>CPU: physical cores that this process may use; NPU: compute tiles.</summary>
        public int Cores { get; }

        /// <summary>NPU: columns of the array; CPU: 0.</summary>
        public int Columns { get; }

        public long MemoryBytes { get; }

        /// <summary>As the driver or the processor calls it.</summary>
        public string Name { get; }

        /// <summary>CPU: the instruction set in use; NPU: the array's generation.</summary>
        public string Isa { get; }

        public string BusAddress { get; }

        public string Driver { get; }

        public string Firmware { get; }

        /// <summary>XRT's version.</summary>
        public string Runtime { get; }

        /// <summary>Why it is not usable, and what to do about it.</summary>
        public string Reason { get; }
    }

    /// <summary>What a context runs on.</summary>
    public sealed class ContextInfo
    {
        private ContextInfo(npuenc_ctx_info info)
        {
            DeviceType = (DeviceType)info.device_type;
            DeviceIndex = (int)info.device_index;
            Threads = (int)info.n_threads;
            Status = (Status)info.status;
            FellBack = info.fell_back != 0;
            DeviceName = info.device_name.ToString();
            Isa = info.isa.ToString();
        }

        internal static unsafe ContextInfo Get(CtxHandle context)
        {
            var info = new npuenc_ctx_info { struct_size = (uint)sizeof(npuenc_ctx_info) };
            Failure.Check(npuenc.npuenc_ctx_get_info(context, ref info));
            return new ContextInfo(info);
        }

        /// <summary>The device that runs, never Auto.</summary>
        public DeviceType DeviceType { get; }

        public int DeviceIndex { get; }

        /// <summary>Threads on the host, the caller's included.</summary>
        public int Threads { get; }

        /// <summary>Ok, or ContextLost.</summary>
        public Status Status { get; }

        /// <summary>Auto was asked for and the CPU was taken: see <see cref="Context.Reason"/>.</summary>
        public bool FellBack { get; }

        public string DeviceName { get; }

        /// <summary>The CPU's instruction set in use.</summary>
        public string Isa { get; }
    }

    public sealed class ModelInfo
    {
        private ModelInfo(npuenc_model_info info)
        {
            Mels = (int)info.n_mels;
            States = (int)info.n_ctx;
            Width = (int)info.n_state;
            Heads = (int)info.n_head;
            Layers = (int)info.n_layer;
            Vocabulary = (int)info.n_vocab;
            Precision = (Precision)info.precision;
            WidePrecision = (Precision)info.wide_precision;
            LinearDevice = (DeviceType)info.linear_device;
            AttentionDevice = (DeviceType)info.attention_device;
            ConvolutionDevice = (DeviceType)info.conv_device;
            ElementwiseDevice = (DeviceType)info.elementwise_device;
            Parameters = (long)info.n_parameters;
            FileBytes = (long)info.file_bytes;
            WeightBytes = (long)info.weight_bytes;
            Name = info.name.ToString();
            Format = info.format.ToString();
            WeightType = info.weight_type.ToString();
        }

        internal static unsafe ModelInfo Get(ModelHandle model)
        {
            var info = new npuenc_model_info { struct_size = (uint)sizeof(npuenc_model_info) };
            Failure.Check(npuenc.npuenc_model_get_info(model, ref info));
            return new ModelInfo(info);
        }

        /// <summary>Bands of the input: 80 or 128.</summary>
        public int Mels { get; }

        /// <summary>States of a full window: 1500 in every published model.</summary>
        public int States { get; }

        /// <summary>Elements of a state.</summary>
        public int Width { get; }

        public int Heads { get; }

        public int Layers { get; }

        /// <summary>0 where the file does not say.</summary>
        public int Vocabulary { get; }

        /// <summary>In use, never Auto.</summary>
        public Precision Precision { get; }

        /// <summary>Of the first layer's projections, which are the most sensitive.</summary>
        public Precision WidePrecision { get; }

        public DeviceType LinearDevice { get; }

        public DeviceType AttentionDevice { get; }

        public DeviceType ConvolutionDevice { get; }

        public DeviceType ElementwiseDevice { get; }

        /// <summary>Of the encoder.</summary>
        public long Parameters { get; }

        /// <summary>Of all files of the model.</summary>
        public long FileBytes { get; }

        /// <summary>Memory that the packed weights take.</summary>
        public long WeightBytes { get; }

        /// <summary>After the published model of this shape: "tiny.en"; or "custom".</summary>
        public string Name { get; }

        /// <summary>"ggml", "safetensors", "ctranslate2".</summary>
        public string Format { get; }

        /// <summary>Of the matrices in the file: "f16", "q5_0".</summary>
        public string WeightType { get; }
    }

    /// <summary>
    /// What a call took, or all calls of a context. Times are of the wall clock; what concerns the NPU
    /// is 0 on the CPU.
    /// </summary>
    public sealed class Statistics
    {
        internal Statistics(npuenc_stats stats)
        {
            Calls = stats.n_calls;
            Wall = Time(stats.wall_ns);
            Queue = Time(stats.queue_ns);
            Mel = Time(stats.mel_ns);
            MultiplyAdds = (long)stats.macs;
            Submissions = (long)stats.n_submissions;
            Synchronisations = (long)stats.n_syncs;
            BytesToDevice = (long)stats.bytes_to_device;
            BytesFromDevice = (long)stats.bytes_from_device;
            Pack = Time(stats.pack_ns);
            Submit = Time(stats.submit_ns);
            Synchronise = Time(stats.sync_ns);
            Device = Time(stats.device_ns);
            Unpack = Time(stats.unpack_ns);
            Accumulate = Time(stats.accumulate_ns);
        }

        internal static TimeSpan Time(ulong nanoseconds)
        {
            return new TimeSpan((long)(nanoseconds / 100)); // ticks of 100 ns
        }

        /// <summary>That ended, in whatever way.</summary>
        public long Calls { get; }

        /// <summary>Inside the calls; a submitted one counts from its start.</summary>
        public TimeSpan Wall { get; }

        /// <summary>Submitted calls: from submission to start.</summary>
        public TimeSpan Queue { get; }

        public TimeSpan Mel { get; }

        public long MultiplyAdds { get; }

        /// <summary>To the NPU.</summary>
        public long Submissions { get; }

        public long Synchronisations { get; }

        public long BytesToDevice { get; }

        public long BytesFromDevice { get; }

        /// <summary>Host: operands into device order.</summary>
        public TimeSpan Pack { get; }

        public TimeSpan Submit { get; }

        public TimeSpan Synchronise { get; }

        /// <summary>Waiting for the device.</summary>
        public TimeSpan Device { get; }

        /// <summary>Host: results out of device order.</summary>
        public TimeSpan Unpack { get; }

        /// <summary>Host: adding partial sums.</summary>
        public TimeSpan Accumulate { get; }
    }

    /// <summary>One operator of a run's last call; the windows of a batch are added up.</summary>
    public sealed class OperatorInfo
    {
        private OperatorInfo(npuenc_op_info info)
        {
            DeviceType = (DeviceType)info.device_type;
            Precision = (Precision)info.precision;
            Layer = info.layer;
            Calls = info.n_calls;
            Wall = Statistics.Time(info.wall_ns);
            MultiplyAdds = (long)info.macs;
            Name = info.name.ToString();
        }

        internal static unsafe OperatorInfo Get(RunHandle run, uint index)
        {
            var info = new npuenc_op_info { struct_size = (uint)sizeof(npuenc_op_info) };
            Failure.Check(npuenc.npuenc_run_op_get(run, index, ref info));
            return new OperatorInfo(info);
        }

        /// <summary>That ran it: Cpu or Npu.</summary>
        public DeviceType DeviceType { get; }

        public Precision Precision { get; }

        /// <summary>From 0; -1: not of a layer.</summary>
        public int Layer { get; }

        public long Calls { get; }

        public TimeSpan Wall { get; }

        public long MultiplyAdds { get; }

        /// <summary>"mel", "conv1", "qkv", "attention", "mlp", ...</summary>
        public string Name { get; }
    }

    /// <summary>How many of a call's steps are done. Both are 0 before the first.</summary>
    public struct RunProgress
    {
        internal RunProgress(uint done, uint total)
        {
            Done = (int)done;
            Total = (int)total;
        }

        public int Done { get; }

        public int Total { get; }

        /// <summary>0 to 1.</summary>
        public double Fraction => Total == 0 ? 0 : (double)Done / Total;
    }
}
