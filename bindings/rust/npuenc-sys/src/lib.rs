// SPDX-License-Identifier: MIT
//! Raw bindings to libnpuenc, the Whisper speech encoder on AMD NPUs and on CPUs.
//!
//! Names, values and rules are those of the header `npuenc/npuenc.h`; the crate `npuenc` is the safe
//! layer above. Every struct implements [`Default`]: zeros, which mean "default" in all input
//! structs, with `struct_size` set.
//!
//! libnpuenc is linked, as `pkg-config` says. With the feature `dlopen` it is loaded by [`load`]
//! instead, and every function panics until that has succeeded.
//!
//! ```
//! npuenc_sys::load()?;
//! let version = unsafe { npuenc_sys::npuenc_version() };
//! assert_eq!(version >> 16, npuenc_sys::NPUENC_VERSION_MAJOR as u32);
//! # Ok::<(), npuenc_sys::LoadError>(())
//! ```
#![warn(missing_docs)]

use std::fmt;

/// `Default` for a struct of the header.
macro_rules! defaults {
    ($name:ident) => {
        impl Default for $name {
            fn default() -> Self {
                // SAFETY: integers, floats, arrays of them and pointers may all be zero.
                let zeros: Self = unsafe { std::mem::zeroed() };
                Self {
                    struct_size: std::mem::size_of::<Self>() as u32,
                    ..zeros
                }
            }
        }
    };
}

#[cfg_attr(feature = "dlopen", path = "dlopen.rs")]
#[macro_use]
mod link;

// What is generated has its documentation in the header.
#[allow(
    missing_docs,
    non_camel_case_types,
    clippy::missing_safety_doc,
    clippy::too_many_arguments
)]
#[rustfmt::skip]
mod raw;

pub use link::load;
pub use raw::*;

/// Why libnpuenc could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError(String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LoadError {}
