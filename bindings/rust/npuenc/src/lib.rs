// SPDX-License-Identifier: MIT
#![doc = include_str!("../README.md")]
#![warn(missing_docs, unsafe_op_in_unsafe_fn)]

mod context;
mod device;
mod element;
mod error;
mod handle;
mod loan;
mod logging;
mod model;
mod operators;
mod pending;
mod run;
mod stats;
mod values;

pub use context::{Builder, Context, ContextInfo};
pub use device::{devices, DeviceInfo};
pub use element::{
    Activation, AttentionElement, Bf16, Element, Product, Sample, WeightElement, F16,
};
pub use error::{Error, Result};
pub use model::{Encode, Input, Model, ModelInfo, ModelOptions};
pub use operators::{Attention, Linear, Mask, Matmul, Mel, Weight, WeightOptions};
pub use pending::{Finished, Pending};
pub use run::{Canceller, Progress, Run};
pub use stats::{Operation, Stats};
pub use values::{DeviceType, LogLevel, Precision, Status};

use npuenc_sys as sys;
use std::ffi::CStr;

/// The version of the library in use: major, minor, patch.
///
/// # Errors
///
/// With the feature `dlopen`: there is no libnpuenc.
#[inline]
pub fn version() -> Result<(u32, u32, u32)> {
    error::require_library()?;
    // SAFETY: it takes nothing and never fails.
    let version = unsafe { sys::npuenc_version() };
    Ok((version >> 16, version >> 8 & 0xff, version & 0xff))
}

/// The same as text, "1.0.0".
///
/// # Errors
///
/// With the feature `dlopen`: there is no libnpuenc.
pub fn version_string() -> Result<&'static str> {
    error::require_library()?;
    // SAFETY: static storage.
    let text = unsafe { CStr::from_ptr(sys::npuenc_version_string()) };
    text.to_str()
        .map_err(|_| Error::new(Status::Internal, "the version is not text"))
}

/// The version of the header that this crate was made from: major, minor, patch.
pub const HEADER_VERSION: (u32, u32, u32) = (
    sys::NPUENC_VERSION_MAJOR as u32,
    sys::NPUENC_VERSION_MINOR as u32,
    sys::NPUENC_VERSION_PATCH as u32,
);
