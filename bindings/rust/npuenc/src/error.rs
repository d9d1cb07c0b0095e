// SPDX-License-Identifier: MIT
//! Statuses as errors, and the one way of calling npuenc.
use std::ffi::CStr;
use std::fmt;
use std::os::raw::c_char;

use npuenc_sys as sys;

use crate::logging;
use crate::values::Status;

/// A call that failed: what happened, and one line of detail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    status: Status,
    detail: String,
}

/// What a call that can fail returns.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(status: Status, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
        }
    }

    /// What happened, for programs.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What exactly, for people: one line of English.
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.detail)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A status can be there without the library: that of its not being found.
        if sys::load().is_err() {
            return write!(f, "{self:?}");
        }
        // SAFETY: static storage and never null, whatever the value.
        let text = unsafe { CStr::from_ptr(sys::npuenc_status_string(self.code())) };
        f.write_str(&text.to_string_lossy())
    }
}

/// For calls without a handle, which need the library to be there.
pub(crate) fn require_library() -> Result<()> {
    sys::load().map_err(|problem| Error::new(Status::NotFound, problem.to_string()))
}

/// Calls npuenc, unless a log handler does, which must not.
#[inline]
pub(crate) fn call(function: impl FnOnce() -> i32) -> Result<()> {
    if logging::in_handler() {
        return Err(Error::new(Status::Busy, "a log handler calls npuenc"));
    }
    match function() {
        sys::NPUENC_OK => Ok(()),
        status => Err(last_error(status)),
    }
}

#[cold]
fn last_error(status: i32) -> Error {
    // SAFETY: `text` gives a buffer and its size.
    let detail = text(|buffer, size| unsafe { sys::npuenc_last_error(buffer, size) });
    Error::new(Status::from_code(status), detail)
}

/// What a function writes that returns the whole length of its text, without its NUL.
pub(crate) fn text(mut write: impl FnMut(*mut c_char, usize) -> usize) -> String {
    let mut buffer = vec![0u8; 256];
    loop {
        let length = write(buffer.as_mut_ptr().cast(), buffer.len());
        if length < buffer.len() {
            buffer.truncate(length);
            return String::from_utf8_lossy(&buffer).into_owned();
        }
        buffer.resize(length + 1, 0);
    }
}

/// A text in a field of fixed size.
pub(crate) fn field_text(field: &[c_char]) -> String {
    let bytes: Vec<u8> = field
        .iter()
        .map(|&each| each as u8)
        .take_while(|&each| each != 0)
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A status in a field.
pub(crate) fn field_status(status: i32) -> std::result::Result<(), Status> {
    match status {
        sys::NPUENC_OK => Ok(()),
        other => Err(Status::from_code(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(whole: &'static str) -> impl FnMut(*mut c_char, usize) -> usize {
        move |buffer, size| {
            let n = whole.len().min(size - 1);
            // SAFETY: n + 1 bytes are not more than size.
            unsafe {
                std::ptr::copy_nonoverlapping(whole.as_ptr(), buffer.cast::<u8>(), n);
                *buffer.cast::<u8>().add(n) = 0;
            }
            whole.len()
        }
    }

    #[test]
    fn texts_of_any_length() {
        const X: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
        let lengths = [0, 1, 254, 255, 256, 257, 1000];
        for length in lengths {
            let whole: &'static str = Box::leak(X.repeat(16)[..length].to_owned().into());
            assert_eq!(text(writer(whole)), whole);
            // SAFETY: made by Box::leak just now.
            drop(unsafe { Box::from_raw(whole as *const str as *mut str) });
        }
    }

    #[test]
    fn fields_end_with_nul_or_with_the_field() {
        let field = |text: &str| -> Vec<c_char> { text.bytes().map(|b| b as c_char).collect() };
        assert_eq!(field_text(&field("tiny.en\0\0\0")), "tiny.en");
        assert_eq!(field_text(&field("full")), "full");
        assert_eq!(field_text(&field("\0")), "");
        assert_eq!(field_text(&[-1, 65, 0]), "\u{fffd}A");
    }
}
