// SPDX-License-Identifier: MIT
//! libnpuenc loaded at run time: the functions go through a table that is filled once.
use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::sync::Mutex;

use crate::raw::Functions;
use crate::LoadError;

/// The soname of version 1.0.
const LIBRARY: &[u8] = b"libnpuenc.so.1\0";

macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        pub(crate) struct Functions {
            $($name: unsafe extern "C" fn($($kind),*) $(-> $result)?,)*
        }

        impl Functions {
            /// Every function, or the name of the first that is missing.
            pub(crate) fn find(
                symbol: impl Fn(&str) -> *mut c_void,
            ) -> Result<Self, &'static str> {
                Ok(Self {
                    $($name: {
                        let address = symbol(concat!(stringify!($name), "\0"));
                        if address.is_null() {
                            return Err(stringify!($name));
                        }
                        // SAFETY: the library's function of this name has this type.
                        unsafe {
                            std::mem::transmute::<
                                *mut c_void,
                                unsafe extern "C" fn($($kind),*) $(-> $result)?,
                            >(address)
                        }
                    },)*
                })
            }
        }

        $(
            #[inline]
            pub unsafe fn $name($($arg: $kind),*) $(-> $result)? {
                (crate::link::functions().$name)($($arg),*)
            }
        )*
    };
}

mod table {
    use super::Functions;
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, Ordering};

    static TABLE: AtomicPtr<Functions> = AtomicPtr::new(ptr::null_mut());

    #[inline]
    pub(crate) fn get() -> Option<&'static Functions> {
        // SAFETY: null, or what `set` has leaked.
        unsafe { TABLE.load(Ordering::Acquire).as_ref() }
    }

    /// Called once.
    pub(crate) fn set(functions: Functions) {
        TABLE.store(Box::into_raw(Box::new(functions)), Ordering::Release);
    }
}

#[inline]
pub(crate) fn functions() -> &'static Functions {
    table::get().expect("npuenc_sys::load() has not succeeded before the first call of npuenc")
}

// Of the C library, with which std links.
extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlclose(library: *mut c_void) -> c_int;
    fn dlerror() -> *mut c_char;
}
const RTLD_NOW: c_int = 2;

/// Loads libnpuenc.so.1 and finds all of its functions, unless that has been done.
///
/// The dynamic linker looks for it where it always does: `LD_LIBRARY_PATH`, the program's runpath,
/// the system's directories. The library stays loaded until the process ends.
///
/// # Errors
///
/// The library is not there, cannot be loaded, or lacks a function. A later call tries again.
#[inline]
pub fn load() -> Result<(), LoadError> {
    match table::get() {
        Some(_) => Ok(()),
        None => load_now(),
    }
}

#[cold]
fn load_now() -> Result<(), LoadError> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock();
    if table::get().is_some() {
        return Ok(());
    }
    // SAFETY: the name ends with NUL. A library's constructors are trusted like any other code that
    // is linked.
    let library = unsafe { dlopen(LIBRARY.as_ptr().cast(), RTLD_NOW) };
    if library.is_null() {
        // SAFETY: dlopen has failed on this thread, so there is a text that ends with NUL.
        let problem = unsafe { CStr::from_ptr(dlerror()) };
        return Err(LoadError(problem.to_string_lossy().into_owned()));
    }
    // SAFETY: library is open and the macro's names end with NUL.
    let symbol = |name: &str| unsafe { dlsym(library, name.as_ptr().cast()) };
    match Functions::find(symbol) {
        Ok(functions) => {
            table::set(functions);
            Ok(())
        }
        Err(name) => {
            // SAFETY: nothing of it is in use.
            unsafe { dlclose(library) };
            Err(LoadError(format!("libnpuenc.so.1 has no function {name}")))
        }
    }
}
