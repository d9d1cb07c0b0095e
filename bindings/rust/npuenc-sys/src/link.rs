// SPDX-License-Identifier: MIT
//! libnpuenc linked: the functions are the library's own.
use crate::LoadError;

macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        extern "C" {
            $(pub fn $name($($arg: $kind),*) $(-> $result)?;)*
        }
    };
}

/// Makes the functions usable: always so unless the feature `dlopen` is on.
///
/// # Errors
///
/// Never, as the library is linked.
#[inline(always)]
pub fn load() -> Result<(), LoadError> {
    Ok(())
}
