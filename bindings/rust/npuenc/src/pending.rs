// SPDX-License-Identifier: MIT
//! A submitted call.
use std::fmt;
use std::future::Future;
use std::os::raw::c_void;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context as Task, Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::element::Activation;
use crate::error::{Error, Result};
use crate::handle::Owned;
use crate::loan::Loan;
use crate::logging;
use crate::model::{Input, Model};
use crate::run::{Canceller, Progress, Run};
use crate::values::Status;

/// A call that [`Model::submit`] has started. It owns its audio, its states and its run.
///
/// Dropping it cancels the call and waits for its end, which comes within the time of one operator.
///
/// It is a [`Future`], for executors of whatever kind. npuenc tells nobody when a call ends, so the
/// first poll that finds it going on starts a thread that waits and wakes; who never polls has none.
#[must_use = "dropping it cancels the call"]
pub struct Pending<S: Activation> {
    /// `None` once the result has been taken.
    flight: Option<Owned<Flight<S>>>,
    waiter: Option<Arc<Mutex<Waiter>>>,
}

/// What the call needs as long as it goes on.
struct Flight<S> {
    run: Run,
    /// `None` once they have been taken, after its end.
    buffers: Option<(Input<'static>, Loan<S>)>,
    n_states: usize,
    _model: Model,
}

impl<S> Drop for Flight<S> {
    fn drop(&mut self) {
        if self.buffers.is_some() {
            self.run.cancel();
            // Of no interest any more is how it ended.
            let _ = self.run.wait(None);
        }
    }
}

#[derive(Default)]
struct Waiter {
    has_ended: bool,
    waker: Option<Waker>,
}

/// How a submitted call ended, with everything that it had.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished<S> {
    /// How.
    pub result: Result<()>,
    /// The states if it succeeded, else the vector that was given; what that holds is unspecified
    /// where the work had begun.
    pub states: Vec<S>,
    /// What was encoded.
    pub audio: Input<'static>,
    /// For statistics and operators, and for other calls.
    pub run: Run,
}

impl<S: Activation> Pending<S> {
    pub(crate) fn started(
        model: Model,
        run: Run,
        audio: Input<'static>,
        states: Vec<S>,
        n_states: usize,
        start: impl FnOnce(&Run, (*const c_void, usize), *mut c_void) -> Result<()>,
    ) -> Result<Self> {
        let states = Loan::new(states);
        let out = states.as_mut_ptr().cast();
        let buffer = audio.buffer();
        // From here on it would wait for the call's end, should there be a panic.
        let flight = Owned::new(Flight {
            run,
            buffers: Some((audio, states)),
            n_states,
            _model: model,
        });
        start(&flight.run, buffer, out)?;
        Ok(Self {
            flight: Some(flight),
            waiter: None,
        })
    }

    fn flight(&self) -> &Flight<S> {
        self.flight
            .as_ref()
            .expect("the result of a submitted call has been taken already")
    }

    /// Asks the call to end with [`Status::Canceled`].
    pub fn cancel(&self) {
        self.flight().run.cancel();
    }

    /// Something to cancel it with from elsewhere, and while somebody waits.
    pub fn canceller(&self) -> Canceller {
        self.flight().run.canceller()
    }

    /// How far it is.
    pub fn progress(&self) -> Result<Progress> {
        self.flight().run.progress()
    }

    /// Whether it has ended, in whatever way.
    pub fn is_done(&self) -> bool {
        self.wait_timeout(Duration::ZERO).is_some()
    }

    /// Waits at most so long; `None` when it goes on after that, else how it ended.
    pub fn wait_timeout(&self, limit: Duration) -> Option<Result<()>> {
        match self.flight().run.wait(Some(limit)) {
            Err(error) if error.status() == Status::Pending => None,
            result => Some(result),
        }
    }

    /// Waits for its end, for the states.
    ///
    /// # Panics
    ///
    /// As [`finish`](Self::finish).
    pub fn wait(self) -> Result<Vec<S>> {
        let finished = self.finish();
        finished.result.map(|()| finished.states)
    }

    /// Waits for its end, for everything that the call had.
    ///
    /// # Panics
    ///
    /// In a log handler, where waiting is not possible.
    pub fn finish(mut self) -> Finished<S> {
        self.take()
    }

    fn take(&mut self) -> Finished<S> {
        assert!(!logging::in_handler(), "a log handler waits for a call");
        let result = self.flight().run.wait(None);
        let mut flight = self.flight.take().expect("flight() has found it");
        let (audio, states) = flight
            .buffers
            .take()
            .expect("they are taken with the flight");
        let written = result.as_ref().ok().map(|()| flight.n_states);
        Finished {
            result,
            // SAFETY: the call has ended; if it succeeded, it has written all states.
            states: unsafe { states.into_vec(written) },
            audio,
            run: flight.run.shared(),
        }
    }
}

impl<S: Activation> Future for Pending<S> {
    type Output = Result<Vec<S>>;

    /// # Panics
    ///
    /// When it has been ready before, and in a log handler.
    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        if !self.is_done() {
            match self.wake_when_done(task.waker()) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let finished = self.take();
        Poll::Ready(finished.result.map(|()| finished.states))
    }
}

impl<S: Activation> Pending<S> {
    /// Whether it has ended; if not, the waker will be called then.
    fn wake_when_done(&mut self, waker: &Waker) -> Result<bool> {
        let waiter = match &self.waiter {
            Some(waiter) => waiter,
            None => {
                let started = start_waiter(self.flight().run.shared())?;
                self.waiter.insert(started)
            }
        };
        let mut waiter = lock(waiter);
        waiter.waker = Some(waker.clone());
        Ok(waiter.has_ended)
    }
}

fn start_waiter(run: Run) -> Result<Arc<Mutex<Waiter>>> {
    let waiter = Arc::new(Mutex::new(Waiter::default()));
    let shared = Arc::clone(&waiter);
    thread::Builder::new()
        .name("npuenc-wait".into())
        .spawn(move || {
            // How it ended is for who polls.
            let _ = run.wait(None);
            let waker = {
                let mut waiter = lock(&shared);
                waiter.has_ended = true;
                waiter.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        })
        .map_err(|problem| {
            Error::new(
                Status::NoMemory,
                format!("no thread to wait with: {problem}"),
            )
        })?;
    Ok(waiter)
}

/// Nothing that panics happens while it is locked but a waker's clone, which changes nothing.
fn lock(waiter: &Mutex<Waiter>) -> MutexGuard<'_, Waiter> {
    waiter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Activation> fmt::Debug for Pending<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").finish_non_exhaustive()
    }
}
