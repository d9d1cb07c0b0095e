// SPDX-License-Identifier: MIT
//! An open device.
use std::fmt;
use std::os::raw::c_void;
use std::sync::Arc;

use npuenc_sys as sys;

use crate::error::{call, field_status, field_text, require_library, text, Result};
use crate::handle::{Owned, Raw};
use crate::logging::{self, Handler};
use crate::stats::Stats;
use crate::values::{DeviceType, LogLevel, Status};

/// An open device with its threads.
///
/// It can be used from any number of threads at once. Clones are the same context; models, weights,
/// runs and pending calls each have one, and it is closed when the last of all these has gone.
///
/// ```
/// use npuenc::{Context, DeviceType, LogLevel};
///
/// let context = Context::builder()
///     .device_type(DeviceType::Cpu)
///     .n_threads(2)
///     .log(LogLevel::Info, |level, message| eprintln!("{level:?}: {message}"))
///     .open()?;
/// assert_eq!(context.info()?.n_threads, 2);
/// # Ok::<(), npuenc::Error>(())
/// ```
#[derive(Clone)]
pub struct Context(Arc<Owned<Parts>>);

/// The handle goes before the handler that its calls deliver messages to.
struct Parts {
    raw: Raw<sys::npuenc_ctx>,
    _handler: Option<Arc<Handler>>,
}

impl Context {
    /// Opens the first NPU that is usable, else the CPU.
    pub fn open() -> Result<Self> {
        Self::builder().open()
    }

    /// For more choice.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// What is open.
    pub fn info(&self) -> Result<ContextInfo> {
        let mut info = sys::npuenc_ctx_info::default();
        // SAFETY: a handle and a struct with its size.
        call(|| unsafe { sys::npuenc_ctx_get_info(self.as_ptr(), &mut info) })?;
        Ok(ContextInfo {
            device_type: DeviceType::from_code(info.device_type),
            device_index: info.device_index,
            n_threads: info.n_threads,
            status: field_status(info.status),
            fell_back: info.fell_back != 0,
            device_name: field_text(&info.device_name),
            isa: field_text(&info.isa),
        })
    }

    /// Why the context runs on the device that it runs on, and what kept every better one from being
    /// used: lines, empty when there is nothing to say.
    pub fn reason(&self) -> Result<String> {
        let mut reason = String::new();
        call(|| {
            // SAFETY: a handle, and `text` gives a buffer and its size.
            reason =
                text(|buffer, size| unsafe { sys::npuenc_ctx_reason(self.as_ptr(), buffer, size) });
            sys::NPUENC_OK
        })?;
        Ok(reason)
    }

    /// Sums over all calls that have ended since the context was opened.
    pub fn stats(&self) -> Result<Stats> {
        // SAFETY: a handle and a struct with its size.
        Stats::filled(|stats| unsafe { sys::npuenc_ctx_stats(self.as_ptr(), stats) })
    }

    pub(crate) fn as_ptr(&self) -> *mut sys::npuenc_ctx {
        self.0.raw.as_ptr()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}

/// How to open a [`Context`].
#[derive(Default)]
#[must_use = "nothing is open before open()"]
pub struct Builder {
    device_type: DeviceType,
    device_index: u32,
    n_threads: u32,
    log_level: LogLevel,
    handler: Option<Handler>,
}

impl Builder {
    /// A kind of device; else [`DeviceType::Auto`].
    pub fn device_type(mut self, device_type: DeviceType) -> Self {
        self.device_type = device_type;
        self
    }

    /// Which of that type, as [`DeviceInfo::index`](crate::DeviceInfo::index); else the first.
    pub fn device_index(mut self, device_index: u32) -> Self {
        self.device_index = device_index;
        self
    }

    /// Host threads, the caller's included, at most 1024; else one for each physical core that the
    /// process may run on.
    pub fn n_threads(mut self, n_threads: u32) -> Self {
        self.n_threads = n_threads;
        self
    }

    /// Delivers messages up to this level to a closure. Without this there are none, or with the
    /// feature `log` those that [`log::max_level`](https://docs.rs/log/0.4/log/fn.max_level.html)
    /// lets through when the context is opened go to the crate `log`, with the target `npuenc`.
    ///
    /// The closure is called on threads that are inside a call of this crate, by several of them at
    /// once if several are. Messages of a submitted call arrive on the thread that waits for it.
    /// Inside the closure this crate's calls fail with [`Status::Busy`], and what the closure drops
    /// is closed on another thread. A panic of the closure ends there, and its message is lost.
    pub fn log(
        mut self,
        level: LogLevel,
        handler: impl Fn(LogLevel, &str) + Send + Sync + 'static,
    ) -> Self {
        self.log_level = level;
        self.handler = Some(Box::new(handler));
        self
    }

    /// Opens the device.
    ///
    /// # Errors
    ///
    /// [`Status::NotFound`]: no such device, or with the feature `dlopen` no libnpuenc. Of an NPU
    /// that is there: [`Status::Unsupported`] when it is not set up, [`Status::Busy`] when other
    /// processes hold it, [`Status::Device`] or [`Status::Timeout`] when it failed; the detail says
    /// why and what to do about it. [`DeviceType::Auto`] takes the CPU then, and
    /// [`Context::reason`] has the detail.
    pub fn open(self) -> Result<Context> {
        require_library()?;
        let (log_level, handler) = match self.handler {
            Some(handler) => (self.log_level, Some(handler)),
            None => without_handler(self.log_level),
        };
        // A box of its own in an Arc: its address stays, whoever moves the context.
        let handler = handler.map(Arc::new);
        let mut options = sys::npuenc_open_options {
            device_type: self.device_type.code(),
            device_index: self.device_index,
            n_threads: self.n_threads,
            log_level: log_level.code(),
            ..Default::default()
        };
        if let Some(handler) = &handler {
            options.log_fn = Some(logging::deliver);
            options.log_user = Arc::as_ptr(handler) as *mut c_void;
        }
        // SAFETY: the handler is kept longer than the handle.
        let raw = Raw::made(|out| unsafe { sys::npuenc_open(&options, out) })?;
        Ok(Context(Arc::new(Owned::new(Parts {
            raw,
            _handler: handler,
        }))))
    }
}

#[cfg(feature = "log")]
fn without_handler(_: LogLevel) -> (LogLevel, Option<Handler>) {
    let (level, handler) = logging::to_log_crate();
    (level, Some(handler))
}

#[cfg(not(feature = "log"))]
fn without_handler(level: LogLevel) -> (LogLevel, Option<Handler>) {
    (level, None)
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("device_type", &self.device_type)
            .field("device_index", &self.device_index)
            .field("n_threads", &self.n_threads)
            .field("log_level", &self.log_level)
            .finish_non_exhaustive()
    }
}

/// What a [`Context`] runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextInfo {
    /// The device that runs: `Cpu` or `Npu`, never `Auto`.
    pub device_type: DeviceType,
    /// Of that type.
    pub device_index: u32,
    /// Host threads, the caller's included.
    pub n_threads: u32,
    /// `Ok`, or [`Status::ContextLost`].
    pub status: std::result::Result<(), Status>,
    /// Whether `Auto` was asked for and the CPU was taken: see [`Context::reason`].
    pub fell_back: bool,
    /// As [`DeviceInfo::name`](crate::DeviceInfo::name).
    pub device_name: String,
    /// CPU instruction set in use.
    pub isa: String,
}
