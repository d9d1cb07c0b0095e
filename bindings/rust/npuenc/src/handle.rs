// SPDX-License-Identifier: MIT
//! Ownership of what npuenc gives out.
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::thread;

use npuenc_sys as sys;

use crate::error::{call, Error, Result};
use crate::logging;
use crate::values::Status;

/// A handle's type, with the function that frees it.
pub(crate) trait Free {
    /// # Safety
    ///
    /// The handle is npuenc's and is not used any more.
    unsafe fn free(handle: *mut Self);
}

macro_rules! free_by {
    ($handle:ident, $function:path) => {
        impl Free for sys::$handle {
            unsafe fn free(handle: *mut Self) {
                // SAFETY: as of this function.
                unsafe { $function(handle) }
            }
        }
    };
}
free_by!(npuenc_ctx, sys::npuenc_close);
free_by!(npuenc_model, sys::npuenc_model_free);
free_by!(npuenc_weight, sys::npuenc_weight_free);
free_by!(npuenc_run, sys::npuenc_run_free);

/// A handle that is freed when it goes.
pub(crate) struct Raw<T: Free>(NonNull<T>);

// SAFETY: the header lets handles be used and freed from any thread, and used from several at once.
unsafe impl<T: Free> Send for Raw<T> {}
unsafe impl<T: Free> Sync for Raw<T> {}

impl<T: Free> Raw<T> {
    /// The handle that a function returns through a pointer.
    pub(crate) fn made(function: impl FnOnce(*mut *mut T) -> i32) -> Result<Self> {
        let mut made = ptr::null_mut();
        call(|| function(&mut made))?;
        match NonNull::new(made) {
            Some(handle) => Ok(Self(handle)),
            None => Err(Error::new(Status::Internal, "a handle is NULL")),
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T: Free> Drop for Raw<T> {
    fn drop(&mut self) {
        // SAFETY: nobody has it any more.
        unsafe { T::free(self.0.as_ptr()) }
    }
}

/// Something whose end calls npuenc. A log handler must not do that: what it lets go of goes on a
/// thread of its own, and if there cannot be one, it stays.
pub(crate) struct Owned<T: Send + 'static>(ManuallyDrop<T>);

impl<T: Send + 'static> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(ManuallyDrop::new(value))
    }
}

impl<T: Send + 'static> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + 'static> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Send + 'static> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let value = ManuallyDrop::new(unsafe { ManuallyDrop::take(&mut self.0) });
        if logging::in_handler() {
            let _ = thread::Builder::new().spawn(move || drop(ManuallyDrop::into_inner(value)));
        } else {
            drop(ManuallyDrop::into_inner(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{channel, Sender};
    use std::thread::{current, ThreadId};

    struct Noted(Sender<ThreadId>);

    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.send(current().id()).unwrap();
        }
    }

    #[test]
    fn ends_at_once_but_in_a_handler_elsewhere() {
        let (sender, receiver) = channel();
        drop(Owned::new(Noted(sender.clone())));
        assert_eq!(receiver.try_recv(), Ok(current().id()));
        logging::handle(|| drop(Owned::new(Noted(sender))));
        assert_ne!(receiver.recv(), Ok(current().id()));
        assert!(receiver.recv().is_err(), "it ends once");
    }
}
