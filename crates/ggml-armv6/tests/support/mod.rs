//! ggml for the tests of this folder: its log, its tensors, and our device among its backends.
//!
//! ggml's log and its list of backends belong to the process, so the tests take turns.

#![allow(dead_code, reason = "each of the test binaries uses a part of it")]

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ggml_armv6::Take;
use llama_cpp_sys_2 as sys;

pub static LOG: Mutex<String> = Mutex::new(String::new());

/// The backend is there, the log is kept, and no other test runs.
pub struct Turn {
    _guard: MutexGuard<'static, ()>,
}

impl Turn {
    pub fn new(take: Take) -> Self {
        static TURNS: Mutex<()> = Mutex::new(());
        let guard = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the variable is set before any thread of ggml's exists, by one test at a time;
        // the callback is a function and takes no data.
        unsafe {
            std::env::set_var("GGML_SCHED_DEBUG", "1");
            sys::llama_log_set(Some(keep), std::ptr::null_mut());
            sys::llama_backend_init();
        }
        ggml_armv6::register().unwrap();
        ggml_armv6::take(take);
        LOG.lock().unwrap().clear();
        Self { _guard: guard }
    }

    pub fn log(&self) -> String {
        LOG.lock().unwrap().clone()
    }
}

unsafe extern "C" fn keep(_: sys::ggml_log_level, text: *const c_char, _: *mut c_void) {
    // SAFETY: ggml passes a C string.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    LOG.lock().unwrap().push_str(&text);
}

/// Tensors in a context of ggml's, freed with it.
pub struct Tensors {
    pub context: *mut sys::ggml_context,
    buffers: Vec<sys::ggml_backend_buffer_t>,
}

impl Tensors {
    pub fn new() -> Self {
        let params = sys::ggml_init_params {
            mem_size: 1 << 20,
            mem_buffer: std::ptr::null_mut(),
            no_alloc: true,
        };
        // SAFETY: ggml allocates a megabyte.
        let context = unsafe { sys::ggml_init(params) };
        assert!(!context.is_null());
        Self {
            context,
            buffers: Vec::new(),
        }
    }

    /// Gives all tensors so far a place.
    pub fn place(&mut self, buffer_type: sys::ggml_backend_buffer_type_t) {
        // SAFETY: the context is alive, and so is every type of buffer.
        let buffer =
            unsafe { sys::ggml_backend_alloc_ctx_tensors_from_buft(self.context, buffer_type) };
        assert!(!buffer.is_null(), "{}", LOG.lock().unwrap());
        self.buffers.push(buffer);
    }
}

impl Drop for Tensors {
    fn drop(&mut self) {
        // SAFETY: each is freed once, after the last use of its tensors.
        unsafe {
            for buffer in self.buffers.drain(..) {
                sys::ggml_backend_buffer_free(buffer);
            }
            sys::ggml_free(self.context);
        }
    }
}

pub fn device() -> sys::ggml_backend_dev_t {
    // SAFETY: looks a name up.
    let device = unsafe { sys::ggml_backend_dev_by_name(c"ARMv6".as_ptr()) };
    assert!(!device.is_null());
    device
}

pub fn packing_type() -> sys::ggml_backend_buffer_type_t {
    // SAFETY: the device is alive for ever.
    unsafe { sys::ggml_backend_dev_buffer_type(device()) }
}

/// Made-up weights between -1 and 1.
#[expect(clippy::cast_precision_loss, reason = "small integers")]
pub fn numbers(count: usize) -> Vec<f32> {
    (0..count)
        .map(|at| ((at * 7_919 + 13) % 201) as f32 / 100.0 - 1.0)
        .collect()
}

/// Quantises rows of numbers.
pub fn quantised(kind: sys::ggml_type, rows: usize, columns: usize) -> Vec<u8> {
    quantised_of(kind, rows, columns, &numbers(rows * columns))
}

/// The same of given ones.
pub fn quantised_of(kind: sys::ggml_type, rows: usize, columns: usize, source: &[f32]) -> Vec<u8> {
    assert_eq!(source.len(), rows * columns);
    let (rows, columns) = (
        i64::try_from(rows).unwrap(),
        i64::try_from(columns).unwrap(),
    );
    // SAFETY: as many numbers as are said, and room for as many rows.
    unsafe {
        let row_bytes = sys::ggml_row_size(kind, columns);
        let mut bytes = vec![0; row_bytes * usize::try_from(rows).unwrap()];
        let written = sys::ggml_quantize_chunk(
            kind,
            source.as_ptr(),
            bytes.as_mut_ptr().cast(),
            0,
            rows,
            columns,
            std::ptr::null(),
        );
        assert_eq!(written, bytes.len());
        bytes
    }
}
