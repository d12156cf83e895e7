//! llama.cpp's log: to `tracing` at debug level, and the last error kept for the message that a
//! person reads. Nothing of it goes to stdout or stderr by itself.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, Once, PoisonError};

use crate::error::foreign_text;

static LAST_ERROR: Mutex<String> = Mutex::new(String::new());
static INSTALL: Once = Once::new();

/// Takes over llama.cpp's log for this process; further calls do nothing.
pub fn capture_logs() {
    INSTALL.call_once(|| {
        // SAFETY: the callback is a function, lives for ever and takes no data; llama.cpp copies
        // the pointer. llama_log_set also sets ggml's.
        unsafe { llama_cpp_sys_2::llama_log_set(Some(on_log), std::ptr::null_mut()) };
    });
}

/// The last line that was logged as an error since the last call; empty when there was none.
#[must_use]
pub fn take_error() -> String {
    std::mem::take(&mut *LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner))
}

extern "C" fn on_log(
    level: llama_cpp_sys_2::ggml_log_level,
    text: *const c_char,
    _data: *mut c_void,
) {
    if text.is_null() {
        return;
    }
    // SAFETY: llama.cpp passes a C string that lives during the call.
    let line = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let line = line.trim_end();
    if line.is_empty() {
        return;
    }
    if level == llama_cpp_sys_2::GGML_LOG_LEVEL_ERROR {
        let mut last = LAST_ERROR.lock().unwrap_or_else(PoisonError::into_inner);
        *last = foreign_text(line);
    }
    tracing::debug!(target: "llama.cpp", "{line}");
}
