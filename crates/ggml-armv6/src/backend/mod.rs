//! What ggml calls: a device of the kind "accelerator" with its type of buffer and its computation.
//!
//! Two devices, because llama.cpp asks two different things of one. The **registered** one stands
//! first in the list of places for weights, and its type of buffer packs what is put into it. The
//! **computing** one is what a computation belongs to; its type of buffer is the CPU's, so that
//! vectors stay in the memory of this process and are never copied between the two backends.
//!
//! - [`sys`]: the tables, and the check that they are those of the linked ggml;
//! - [`device`]: both devices and the registry; what is taken;
//! - [`operation`]: the operations that are taken, checked once and then plain numbers;
//! - [`buffer`]: packed weights;
//! - [`graph`]: a computation, node by node.
//!
//! Nothing here unwinds into ggml: its entries catch what might panic and return an error of
//! ggml's own.

mod buffer;
mod device;
mod graph;
mod operation;
mod sys;

use std::ffi::{CString, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use llama_cpp_sys_2 as ggml;

/// Why ggml cannot be given this backend. The CPU backend does all the work then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The linked ggml has another version of its interface for backends.
    #[error("ggml's interface for backends has version {found}, {wanted} is known")]
    Version {
        /// The version of the linked ggml.
        found: i32,
        /// The version that this crate was written for.
        wanted: i32,
    },
    /// The version is right, but a structure is not as it was.
    #[error("{0} of ggml is not laid out as its interface for backends was")]
    Layout(&'static str),
    /// There was no memory to find out.
    #[error("there is no memory for ggml's backend")]
    Memory,
}

/// What the backend does for models that are loaded, and for contexts that are made, from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Take {
    /// Nothing: they are the CPU backend's, as if this one were not there.
    Nothing = 0,
    /// Matrices that are multiplied with, and attention.
    Matrices = 1,
    /// The embedding too, of which rows are looked up. Right for a model in which it is also the
    /// output matrix: otherwise llama.cpp loads it twice. In a model that has an output matrix, its
    /// rows are better left in the file, where those that are not used take no memory.
    MatricesAndEmbedding = 2,
}

static TAKE: AtomicU8 = AtomicU8::new(Take::Nothing as u8);

impl Take {
    fn current() -> Self {
        match TAKE.load(Ordering::SeqCst) {
            1 => Self::Matrices,
            2 => Self::MatricesAndEmbedding,
            _ => Self::Nothing,
        }
    }
}

/// Adds the backend to ggml's list, once; further calls give the first one's result. Until [`take`]
/// says otherwise, it takes matrices and the embedding.
///
/// ggml's list is not guarded against other threads: nothing else of ggml or llama.cpp may run
/// during the first call.
///
/// # Errors
/// The linked ggml is not one that this crate knows. Nothing was added.
pub fn register() -> Result<(), RegisterError> {
    static DONE: OnceLock<Result<(), RegisterError>> = OnceLock::new();
    *DONE.get_or_init(|| {
        sys::check()?;
        TAKE.store(Take::MatricesAndEmbedding as u8, Ordering::SeqCst);
        // SAFETY: the registry and everything that it leads to are statics in ggml's own layout,
        // which has just been checked.
        unsafe { ggml::ggml_backend_register(device::registry().cast()) };
        Ok(())
    })
}

/// Sets what is taken of models that are loaded, and by contexts that are made, after this call:
/// for the whole process, whichever thread loads them. A model that is loaded already keeps its
/// packed matrices, and contexts of it must be made while matrices are taken.
///
/// Without [`register`] it does nothing.
pub fn take(what: Take) {
    TAKE.store(what as u8, Ordering::SeqCst);
}

/// Whether the bytes that a matrix was packed from are given back to the kernel.
static RELEASE: AtomicBool = AtomicBool::new(false);

/// Sets whether the pages that a matrix was packed from leave this process's memory at once. They
/// are then cache, which the kernel drops when it needs room, instead of memory that this process
/// uses; without it, a model takes the size of its file and that of its packed form together while
/// it is loaded.
///
/// # Safety
/// Until it is set to `false`, matrices may only come from a mapping of a file that is not written
/// to: of llama.cpp, models loaded with `LLAMA_LOAD_MODE_MMAP`. Any other memory would be lost.
pub unsafe fn release_sources(yes: bool) {
    RELEASE.store(yes, Ordering::SeqCst);
}

/// Says something in ggml's log.
fn warn(text: &str) {
    let Ok(line) = CString::new(format!("ggml-armv6: {text}\n").replace('\0', " ")) else {
        return;
    };
    let mut callback: ggml::ggml_log_callback = None;
    let mut data: *mut c_void = std::ptr::null_mut();
    // SAFETY: both are written by ggml and live here.
    unsafe { ggml::ggml_log_get(&raw mut callback, &raw mut data) };
    if let Some(callback) = callback {
        // SAFETY: whoever set the callback set its data with it; the line lives during the call.
        unsafe { callback(ggml::GGML_LOG_LEVEL_WARN, line.as_ptr(), data) };
    }
}

/// Runs what ggml asked for; a panic becomes `None`, with a line in the log.
fn guarded<T>(what: &str, work: impl FnOnce() -> T) -> Option<T> {
    // Whatever the panic left half done is not used again: the caller reports a failure, upon which
    // llama.cpp gives up the computation, or the model.
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    done.map_err(|_| warn(&format!("{what} failed"))).ok()
}
