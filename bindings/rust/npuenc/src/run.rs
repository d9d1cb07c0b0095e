// SPDX-License-Identifier: MIT
//! One call: cancel, progress, wait, statistics.
use std::fmt;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use npuenc_sys as sys;

use crate::context::Context;
use crate::error::{call, Result};
use crate::handle::{Owned, Raw};
use crate::stats::{Operation, Stats};

/// Watches one call at a time, of its own context, any number one after another.
///
/// A call that is given a run which another call is using fails with
/// [`Status::Busy`](crate::Status::Busy). All functions of the run may be used from any thread
/// meanwhile.
///
/// ```
/// use npuenc::{Context, DeviceType, Matmul, Run};
///
/// let context = Context::builder().device_type(DeviceType::Cpu).open()?;
/// let run = Run::new(&context)?;
/// let product = Matmul { m: 1, n: 1, k: 2, ..Default::default() };
/// let mut c = [0f32];
/// context.matmul(&product, &[1f32, 2.0], &[3f32, 4.0], &mut c, Some(&run))?;
/// assert_eq!(c, [11.0]);
/// assert_eq!(run.stats()?.macs, 2);
/// # Ok::<(), npuenc::Error>(())
/// ```
pub struct Run(Arc<Owned<Parts>>);

/// The handle goes before its context.
struct Parts {
    raw: Raw<sys::npuenc_run>,
    _context: Context,
}

impl Run {
    /// A run for calls of this context.
    pub fn new(context: &Context) -> Result<Self> {
        // SAFETY: a handle.
        let raw = Raw::made(|out| unsafe { sys::npuenc_run_create(context.as_ptr(), out) })?;
        Ok(Self(Arc::new(Owned::new(Parts {
            raw,
            _context: context.clone(),
        }))))
    }

    /// Asks the call in flight, if there is one, to end with
    /// [`Status::Canceled`](crate::Status::Canceled). A later call is not touched. May be called in
    /// a signal handler.
    pub fn cancel(&self) {
        // SAFETY: a handle.
        unsafe { sys::npuenc_run_cancel(self.as_ptr()) }
    }

    /// Something to give to those who may cancel the call but not look at it.
    pub fn canceller(&self) -> Canceller {
        Canceller(self.shared())
    }

    /// How far the call is.
    pub fn progress(&self) -> Result<Progress> {
        let (mut done, mut total) = (0, 0);
        // SAFETY: a handle and places for two numbers.
        call(|| unsafe { sys::npuenc_run_progress(self.as_ptr(), &mut done, &mut total) })?;
        Ok(Progress { done, total })
    }

    /// Waits until the run's call has ended, `None`: without limit, and returns how it did;
    /// [`Status::Pending`](crate::Status::Pending) when time ran out. Without a call in flight it
    /// returns at once how the last one ended.
    pub fn wait(&self, limit: Option<Duration>) -> Result<()> {
        let limit = limit.map_or(-1, |limit| {
            i64::try_from(limit.as_nanos()).unwrap_or(i64::MAX)
        });
        // SAFETY: a handle.
        call(|| unsafe { sys::npuenc_run_wait(self.as_ptr(), limit) })
    }

    /// Statistics of the last call that ended; [`Status::Busy`](crate::Status::Busy) while one is in
    /// flight.
    pub fn stats(&self) -> Result<Stats> {
        // SAFETY: a handle and a struct with its size.
        Stats::filled(|stats| unsafe { sys::npuenc_run_stats(self.as_ptr(), stats) })
    }

    /// The operators of that call in the order in which they first ran;
    /// [`Status::Busy`](crate::Status::Busy) while one is in flight.
    pub fn operations(&self) -> Result<Vec<Operation>> {
        let mut count = 0;
        // SAFETY: a handle and a place for a number.
        call(|| unsafe { sys::npuenc_run_op_count(self.as_ptr(), &mut count) })?;
        (0..count)
            .map(|i| {
                // SAFETY: a handle and a struct with its size.
                Operation::filled(|info| unsafe { sys::npuenc_run_op_get(self.as_ptr(), i, info) })
            })
            .collect()
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::npuenc_run {
        self.0.raw.as_ptr()
    }

    /// The run of a call that may have none.
    pub(crate) fn of(run: Option<&Self>) -> *mut sys::npuenc_run {
        run.map_or(ptr::null_mut(), Self::as_ptr)
    }

    /// The same run. Not `Clone`: a submitted call's must not get another call.
    pub(crate) fn shared(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").finish_non_exhaustive()
    }
}

/// Cancels what a [`Run`] or a [`Pending`](crate::Pending) is about, from wherever it is.
pub struct Canceller(Run);

impl Canceller {
    /// As [`Run::cancel`].
    pub fn cancel(&self) {
        self.0.cancel();
    }
}

impl Clone for Canceller {
    fn clone(&self) -> Self {
        Self(self.0.shared())
    }
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").finish_non_exhaustive()
    }
}

/// How many of a call's steps are done. `done` never falls during a call and ends at `total` when it
/// succeeds; both are 0 before the first call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Steps that are done.
    pub done: u32,
    /// Of so many.
    pub total: u32,
}
