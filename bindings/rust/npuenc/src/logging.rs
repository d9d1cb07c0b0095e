// SPDX-License-Identifier: MIT
//! npuenc's messages, to a closure or to the crate `log`.
use std::cell::Cell;
use std::ffi::CStr;
use std::mem;
use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};

use crate::values::LogLevel;

pub(crate) type Handler = Box<dyn Fn(LogLevel, &str) + Send + Sync>;

thread_local! {
    static IN_HANDLER: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a handler, where calls of npuenc are not allowed.
#[inline]
pub(crate) fn in_handler() -> bool {
    IN_HANDLER.with(Cell::get)
}

/// Runs a handler. A panic ends here, as it must not unwind into C; the panic hook has told of it.
pub(crate) fn handle(handler: impl FnOnce()) {
    IN_HANDLER.with(|flag| flag.set(true));
    if let Err(payload) = catch_unwind(AssertUnwindSafe(handler)) {
        // What was thrown may itself panic when it goes; that ends here too.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            mem::forget(second);
        }
    }
    IN_HANDLER.with(|flag| flag.set(false));
}

/// The callback that npuenc is given; `user` is a `Handler`.
pub(crate) unsafe extern "C" fn deliver(user: *mut c_void, level: i32, message: *const c_char) {
    handle(|| {
        // SAFETY: the context keeps the handler as long as npuenc may call it, and the message is
        // valid during this call.
        let (handler, message) = unsafe { (&*(user as *const Handler), CStr::from_ptr(message)) };
        handler(LogLevel::from_code(level), &message.to_string_lossy());
    });
}

/// The level up to which the crate `log` wants messages now, and the handler that gives it them.
#[cfg(feature = "log")]
pub(crate) fn to_log_crate() -> (LogLevel, Handler) {
    let level = match log::max_level() {
        log::LevelFilter::Off => LogLevel::Off,
        log::LevelFilter::Error => LogLevel::Error,
        log::LevelFilter::Warn => LogLevel::Warn,
        log::LevelFilter::Info => LogLevel::Info,
        log::LevelFilter::Debug | log::LevelFilter::Trace => LogLevel::Debug,
    };
    (
        level,
        Box::new(|level, message| {
            let level = match level {
                LogLevel::Error => log::Level::Error,
                LogLevel::Warn => log::Level::Warn,
                LogLevel::Info => log::Level::Info,
                _ => log::Level::Debug,
            };
            log::log!(target: "npuenc", level, "{}", message);
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::panic::panic_any;
    use std::sync::{Arc, Mutex};

    #[test]
    fn messages_arrive_and_panics_do_not_leave() {
        struct PanicsAgain;
        impl Drop for PanicsAgain {
            fn drop(&mut self) {
                panic!("and again");
            }
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let handler: Arc<Handler> = Arc::new(Box::new(move |level, message| {
            assert!(in_handler());
            if message == "panic" {
                panic_any(PanicsAgain);
            }
            noted.lock().unwrap().push((level, message.to_owned()));
        }));
        let user = Arc::as_ptr(&handler) as *mut c_void;
        for message in ["one", "panic", "two"] {
            let message = CString::new(message).unwrap();
            // SAFETY: the handler and the message are there.
            unsafe { deliver(user, 2, message.as_ptr()) };
            assert!(!in_handler());
        }
        let expected = ["one", "two"].map(|text| (LogLevel::Warn, text.to_owned()));
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}
