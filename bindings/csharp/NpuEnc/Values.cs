// SPDX-License-Identifier: MIT
using NpuEnc.Raw;

namespace NpuEnc
{
    /// <summary>What a call of the library ended with.</summary>
    public enum Status
    {
        Ok = npuenc_status.NPUENC_OK,
        /// <summary>A defect of npuenc: please report it.</summary>
        Internal = npuenc_status.NPUENC_E_INTERNAL,
        /// <summary>An argument is out of its documented range.</summary>
        Invalid = npuenc_status.NPUENC_E_INVALID,
        /// <summary>Memory or threads could not be had.</summary>
        NoMemory = npuenc_status.NPUENC_E_NOMEM,
        /// <summary>No such device or file.</summary>
        NotFound = npuenc_status.NPUENC_E_NOT_FOUND,
        /// <summary>Valid, but not on this device or in this build.</summary>
        Unsupported = npuenc_status.NPUENC_E_UNSUPPORTED,
        /// <summary>A struct or file of a later version.</summary>
        TooNew = npuenc_status.NPUENC_E_TOO_NEW,
        /// <summary>A model file is damaged or not a Whisper encoder.</summary>
        BadModel = npuenc_status.NPUENC_E_BAD_MODEL,
        /// <summary>A file could not be read.</summary>
        IO = npuenc_status.NPUENC_E_IO,
        /// <summary>The device, its driver or its firmware failed this call.</summary>
        Device = npuenc_status.NPUENC_E_DEVICE,
        /// <summary>The run is in use by another call, or the device by others.</summary>
        Busy = npuenc_status.NPUENC_E_BUSY,
        /// <summary><see cref="Run.Cancel"/> ended the call.</summary>
        Canceled = npuenc_status.NPUENC_E_CANCELED,
        /// <summary>The device did not answer in time; the call is over.</summary>
        Timeout = npuenc_status.NPUENC_E_TIMEOUT,
        /// <summary>A buffer is smaller than the shape needs.</summary>
        Buffer = npuenc_status.NPUENC_E_BUFFER,
        /// <summary>The handle was made before fork() by the parent process.</summary>
        Forked = npuenc_status.NPUENC_E_FORKED,
        /// <summary>A wait ran out of time; the call goes on.</summary>
        Pending = npuenc_status.NPUENC_E_PENDING,
        /// <summary>The context cannot go on after a failure; open a new one.</summary>
        ContextLost = npuenc_status.NPUENC_E_CTX_LOST
    }

    public enum DeviceType
    {
        /// <summary>The first NPU that is usable, else the CPU.</summary>
        Auto = npuenc_device_type.NPUENC_DEVICE_AUTO,
        Cpu = npuenc_device_type.NPUENC_DEVICE_CPU,
        /// <summary>An NPU or an error: never the CPU instead.</summary>
        Npu = npuenc_device_type.NPUENC_DEVICE_NPU
    }

    /// <summary>Types of elements. BF16 and F16 are held in ushort.</summary>
    public enum DataType
    {
        /// <summary>That of the array which is passed.</summary>
        OfArray = 0,
        F32 = npuenc_dtype.NPUENC_F32,
        BF16 = npuenc_dtype.NPUENC_BF16,
        S8 = npuenc_dtype.NPUENC_S8,
        S32 = npuenc_dtype.NPUENC_S32,
        F16 = npuenc_dtype.NPUENC_F16
    }

    /// <summary>What products are computed in.</summary>
    public enum Precision
    {
        Auto = npuenc_precision.NPUENC_PRECISION_AUTO,
        F32 = npuenc_precision.NPUENC_PRECISION_F32,
        BF16 = npuenc_precision.NPUENC_PRECISION_BF16,
        Int8 = npuenc_precision.NPUENC_PRECISION_INT8,
        /// <summary>Reported, not to be asked for: each operand is the sum of two bf16.</summary>
        BF16X2 = npuenc_precision.NPUENC_PRECISION_BF16X2
    }

    /// <summary>What an encoder is given.</summary>
    public enum Input
    {
        /// <summary>Mono, 16 kHz, nominally in [-1, 1].</summary>
        PcmF32 = npuenc_input.NPUENC_INPUT_PCM_F32,
        /// <summary>Mono, 16 kHz, 32768 standing for 1.</summary>
        PcmS16 = npuenc_input.NPUENC_INPUT_PCM_S16,
        /// <summary>Log-mel as of <see cref="Context.Mel"/>, 100 frames a second.</summary>
        MelF32 = npuenc_input.NPUENC_INPUT_MEL_F32
    }

    /// <summary>What hides keys from queries.</summary>
    public enum Mask
    {
        None = npuenc_mask.NPUENC_MASK_NONE,
        /// <summary>Item i sees its first lengths[i] keys only.</summary>
        KeyLengths = npuenc_mask.NPUENC_MASK_KEY_LENGTHS,
        /// <summary>Query i sees key j when j &lt;= i + keys - queries.</summary>
        Causal = npuenc_mask.NPUENC_MASK_CAUSAL,
        /// <summary>A float is added to every score; -infinity hides a key.</summary>
        AddF32 = npuenc_mask.NPUENC_MASK_ADD_F32
    }

    public enum LogLevel
    {
        Off = npuenc_log_level.NPUENC_LOG_OFF,
        /// <summary>As <see cref="Warning"/>.</summary>
        Default = npuenc_log_level.NPUENC_LOG_DEFAULT,
        Error = npuenc_log_level.NPUENC_LOG_ERROR,
        Warning = npuenc_log_level.NPUENC_LOG_WARN,
        Info = npuenc_log_level.NPUENC_LOG_INFO,
        Debug = npuenc_log_level.NPUENC_LOG_DEBUG
    }
}
