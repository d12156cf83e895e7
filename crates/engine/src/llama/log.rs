//! llama.cpp's log: to `tracing` at debug level, and the error kept for the message that a
//! person reads. Nothing of it goes to stdout or stderr by itself.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, Once, PoisonError};

use super::model::is_out_of_memory;
use gguf::foreign_text;

static KEPT_ERROR: Mutex<String> = Mutex::new(String::new());
static INSTALL: Once = Once::new();

/// Takes over llama.cpp's log for this process; further calls do nothing.
pub fn capture_logs() {
    INSTALL.call_once(|| {
        // SAFETY: the callback is a function, lives for ever and takes no data; llama.cpp copies
        // the pointer. llama_log_set also sets ggml's.
        unsafe { llama_cpp_sys_2::llama_log_set(Some(on_log), std::ptr::null_mut()) };
    });
}

/// The error that was logged since the last call, empty when there was none. Of several lines the
/// first says most; one about memory counts more than any.
#[must_use]
pub fn take_error() -> String {
    std::mem::take(&mut *KEPT_ERROR.lock().unwrap_or_else(PoisonError::into_inner))
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
        let mut kept = KEPT_ERROR.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.is_empty() || is_out_of_memory(line) {
            *kept = foreign_text(without_function(line));
        }
    }
    tracing::debug!(target: "llama.cpp", "{line}");
}

/// llama.cpp begins its lines with the name of the function.
fn without_function(line: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    match line.split_once(": ") {
        Some((function, rest)) if function.chars().all(is_name) => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_names_are_not_for_people() {
        assert_eq!(
            without_function("llama_model_load: error loading"),
            "error loading"
        );
        assert_eq!(without_function("no such thing: x"), "no such thing: x");
    }
}
