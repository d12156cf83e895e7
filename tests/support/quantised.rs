//! A model in other formats, made by llama.cpp's own quantiser. For comparing the arithmetic of two
//! processors, and for judging the files that `genmodel` makes; as models these are no better than
//! what they are made of.

use std::ffi::{CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use llama_cpp_sys_2 as sys;
use tempfile::TempDir;

/// How the matrices are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    F32,
    Q8_0,
    Q4_0,
    /// Without more bits for the output matrix.
    Q4_0Pure,
    /// A mixture that llama.cpp chooses.
    Q4KM,
    Q4_1,
    Q5_0,
    Q5_1,
    Q5KM,
    Q6K,
    Iq4Nl,
}

impl Format {
    /// What a model for the board is likely to be.
    pub const USUAL: [Self; 4] = [Self::F32, Self::Q8_0, Self::Q4_0, Self::Q4KM];

    fn file_type(self) -> sys::llama_ftype {
        match self {
            Self::F32 => sys::LLAMA_FTYPE_ALL_F32,
            Self::Q8_0 => sys::LLAMA_FTYPE_MOSTLY_Q8_0,
            Self::Q4_0 | Self::Q4_0Pure => sys::LLAMA_FTYPE_MOSTLY_Q4_0,
            Self::Q4KM => sys::LLAMA_FTYPE_MOSTLY_Q4_K_M,
            Self::Q4_1 => sys::LLAMA_FTYPE_MOSTLY_Q4_1,
            Self::Q5_0 => sys::LLAMA_FTYPE_MOSTLY_Q5_0,
            Self::Q5_1 => sys::LLAMA_FTYPE_MOSTLY_Q5_1,
            Self::Q5KM => sys::LLAMA_FTYPE_MOSTLY_Q5_K_M,
            Self::Q6K => sys::LLAMA_FTYPE_MOSTLY_Q6_K,
            Self::Iq4Nl => sys::LLAMA_FTYPE_MOSTLY_IQ4_NL,
        }
    }
}

/// A model file that goes away with it.
pub struct Quantised {
    folder: TempDir,
}

impl Quantised {
    /// The model of `file` in another format.
    pub fn of(file: &Path, format: Format) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let this = Self { folder };
        quantise(file, &this.path(), format);
        this
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("model.gguf")
    }
}

fn quantise(from: &Path, to: &Path, format: Format) {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let (from, to) = (text(from), text(to));
    // SAFETY: the function lives for ever, and uses no data.
    unsafe { sys::llama_log_set(Some(silence), std::ptr::null_mut()) };
    // SAFETY: it takes nothing and gives a structure of plain values.
    let mut options = unsafe { sys::llama_model_quantize_default_params() };
    options.ftype = format.file_type();
    options.pure_ = format == Format::Q4_0Pure;
    options.allow_requantize = true;
    options.nthread = 1;
    // SAFETY: both names end with a NUL and live until it returns; the options are llama.cpp's own,
    // without lists.
    let status =
        unsafe { sys::llama_model_quantize(from.as_ptr(), to.as_ptr(), &raw const options) };
    assert_eq!(status, 0, "llama.cpp could not write {format:?}");
}

/// The quantiser's log: a line for each tensor, past the test runner.
unsafe extern "C" fn silence(_: sys::ggml_log_level, _: *const c_char, _: *mut c_void) {}
