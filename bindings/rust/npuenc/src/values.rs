// SPDX-License-Identifier: MIT
//! The header's enumerations. What a later library reports is `Other`, not an error.
use npuenc_sys as sys;

macro_rules! values {
    ($(#[$about:meta])* $name:ident {
        $($(#[$note:meta])* $variant:ident = $value:ident,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$note])* $variant,)*
            /// A value that this version of the crate has no name for.
            Other(i32),
        }

        impl $name {
            /// The value's name in this crate.
            pub fn from_code(code: i32) -> Self {
                match code {
                    $(sys::$value => Self::$variant,)*
                    other => Self::Other(other),
                }
            }

            /// The header's value.
            pub fn code(self) -> i32 {
                match self {
                    $(Self::$variant => sys::$value,)*
                    Self::Other(code) => code,
                }
            }
        }
    };
}

values! {
    /// Why a call failed.
    Status {
        /// A defect of npuenc: please report it.
        Internal = NPUENC_E_INTERNAL,
        /// An argument is out of its documented range.
        Invalid = NPUENC_E_INVALID,
        /// Memory or threads could not be had.
        NoMemory = NPUENC_E_NOMEM,
        /// No such device or file.
        NotFound = NPUENC_E_NOT_FOUND,
        /// Valid, but not on this device or in this build.
        Unsupported = NPUENC_E_UNSUPPORTED,
        /// A struct or file of a later version.
        TooNew = NPUENC_E_TOO_NEW,
        /// A model file is damaged or not a Whisper encoder.
        BadModel = NPUENC_E_BAD_MODEL,
        /// A file could not be read.
        Io = NPUENC_E_IO,
        /// The device, its driver or its firmware failed this call.
        Device = NPUENC_E_DEVICE,
        /// The run is in use by another call, or the device by others.
        Busy = NPUENC_E_BUSY,
        /// The call was cancelled.
        Canceled = NPUENC_E_CANCELED,
        /// The device did not answer in time; the call is over.
        Timeout = NPUENC_E_TIMEOUT,
        /// A buffer is smaller than the shape needs.
        Buffer = NPUENC_E_BUFFER,
        /// The handle was made before `fork()` by the parent process.
        Forked = NPUENC_E_FORKED,
        /// A wait ran out of time; the call goes on.
        Pending = NPUENC_E_PENDING,
        /// The context cannot go on after a failure; open a new one.
        ContextLost = NPUENC_E_CTX_LOST,
    }
}

values! {
    /// A kind of device.
    #[derive(Default)]
    DeviceType {
        /// The first NPU that is usable, else the CPU.
        #[default]
        Auto = NPUENC_DEVICE_AUTO,
        /// The CPU.
        Cpu = NPUENC_DEVICE_CPU,
        /// An NPU or an error: never the CPU instead.
        Npu = NPUENC_DEVICE_NPU,
    }
}

values! {
    /// What products are computed in: weights x activations -> sums.
    #[derive(Default)]
    Precision {
        /// Chosen by npuenc.
        #[default]
        Auto = NPUENC_PRECISION_AUTO,
        /// f32 x f32 -> f32.
        F32 = NPUENC_PRECISION_F32,
        /// bf16 x bf16 -> f32.
        Bf16 = NPUENC_PRECISION_BF16,
        /// int8 with a scale per output channel x int8 with a scale per row -> int32.
        Int8 = NPUENC_PRECISION_INT8,
        /// Reported, not to be asked for: each operand is the sum of two bf16.
        Bf16x2 = NPUENC_PRECISION_BF16X2,
    }
}

values! {
    /// How much a log handler is told, or how grave a message is.
    #[derive(Default)]
    LogLevel {
        /// No messages.
        Off = NPUENC_LOG_OFF,
        /// As `Warn`.
        #[default]
        Default = NPUENC_LOG_DEFAULT,
        /// Errors.
        Error = NPUENC_LOG_ERROR,
        /// And warnings.
        Warn = NPUENC_LOG_WARN,
        /// And what is done.
        Info = NPUENC_LOG_INFO,
        /// And how.
        Debug = NPUENC_LOG_DEBUG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_the_same_there_and_back() {
        for code in -20..20 {
            assert_eq!(Status::from_code(code).code(), code);
            assert_eq!(DeviceType::from_code(code).code(), code);
            assert_eq!(Precision::from_code(code).code(), code);
            assert_eq!(LogLevel::from_code(code).code(), code);
        }
        assert_eq!(Status::from_code(-11), Status::Canceled);
        assert_eq!(Status::from_code(-17), Status::Other(-17));
        assert_eq!(DeviceType::default().code(), 0);
        assert_eq!(Precision::default().code(), 0);
        assert_eq!(LogLevel::default().code(), 0);
    }
}
