//! Packed weights: the type of buffer that llama.cpp puts them into.
//!
//! A matrix is packed straight from where llama.cpp has it, which is the mapped file, into its
//! place; there is never a second copy in between. It has to be given whole, as llama.cpp does: the
//! packed form depends on all of its rows. One that was given in parts stays empty, with a line in
//! the log, and computing with it fails.

use std::alloc::{Layout as Allocation, alloc_zeroed, dealloc};
use std::cell::UnsafeCell;
use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_sys_2 as ggml;
use llama_cpp_sys_2::{ggml_status, ggml_tensor};

use super::operation::layout_of;
use super::sys::{
    Buffer, BufferPtr, BufferTable, BufferType, BufferTypePtr, BufferTypeTable,
    ggml_backend_buffer_init,
};
use super::{RELEASE, device, guarded, warn};
use crate::matrix::Matrix;
use crate::pack::{self, Layout};

/// A line of the cache: packed matrices begin at one.
const ALIGNMENT_BYTES: usize = 32;
const SUCCESS: ggml_status = ggml::GGML_STATUS_SUCCESS;
const FAILED: ggml_status = ggml::GGML_STATUS_FAILED;

/// One packed matrix in a buffer: what a tensor's `extra` points at.
#[derive(Debug)]
pub struct Packed {
    layout: Layout,
    data: NonNull<u8>,
    /// Whether it has been packed; before that its bytes are zeros.
    is_filled: AtomicBool,
}

impl Packed {
    /// Its rows.
    pub fn rows(&self) -> usize {
        self.layout.rows()
    }

    /// The length of each.
    pub fn columns(&self) -> usize {
        self.layout.columns()
    }

    /// The matrix; `None` before it was packed.
    pub fn matrix(&self) -> Option<Matrix<'_>> {
        // Acquire and release: a context may be used by another thread than the one that loaded.
        if !self.is_filled.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: `init_tensor` checked that so many bytes from here lie in the buffer, whose
        // memory was zeroed when it was made, lives as long as this object, and is not written to
        // after `is_filled` was set.
        let bytes = unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.layout.bytes()) };
        Some(Matrix::new(self.layout, bytes))
    }
}

/// What a buffer owns.
struct Contents {
    /// The allocation, from [`alloc_zeroed`] with `allocation`.
    memory: NonNull<u8>,
    allocation: Allocation,
    /// The first address in it that is aligned.
    base: NonNull<u8>,
    bytes: usize,
    /// Grows while tensors are placed, by one thread.
    #[expect(
        clippy::vec_box,
        reason = "tensors point at them, so they must not move"
    )]
    matrices: UnsafeCell<Vec<Box<Packed>>>,
}

impl Contents {
    /// Zeroed memory; `None` when there is not enough.
    fn new(bytes: usize) -> Option<Box<Self>> {
        // Aligned by hand: zeroed memory of the usual alignment comes fresh from the kernel and is
        // not touched before it is used, memory of a larger one is.
        let allocation = Allocation::array::<u64>(
            bytes
                .checked_add(ALIGNMENT_BYTES)?
                .div_ceil(size_of::<u64>()),
        )
        .ok()?;
        // SAFETY: the size is not zero.
        let memory = NonNull::new(unsafe { alloc_zeroed(allocation) })?;
        let padding = memory.as_ptr().align_offset(ALIGNMENT_BYTES);
        if padding > ALIGNMENT_BYTES {
            // SAFETY: just allocated with this layout.
            unsafe { dealloc(memory.as_ptr(), allocation) };
            return None;
        }
        // SAFETY: the padding is part of the allocation.
        let base = unsafe { memory.add(padding) };
        Some(Box::new(Self {
            memory,
            allocation,
            base,
            bytes,
            matrices: UnsafeCell::default(),
        }))
    }

    /// Where a tensor with this address and size lies; `None` outside.
    fn place(&self, data: *mut c_void, bytes: usize) -> Option<NonNull<u8>> {
        let offset = data.addr().checked_sub(self.base.addr().get())?;
        let end = offset.checked_add(bytes)?;
        let fits = end <= self.bytes && offset.is_multiple_of(ALIGNMENT_BYTES);
        // SAFETY: the offset lies inside the allocation.
        fits.then(|| unsafe { self.base.add(offset) })
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, freed once.
        unsafe { dealloc(self.memory.as_ptr(), self.allocation) };
    }
}

static BUFFER_TYPE: BufferType = BufferType {
    table: BufferTypeTable {
        get_name: Some(type_name),
        alloc_buffer: Some(allocate),
        alloc_buffer_n: None,
        get_alignment: Some(alignment),
        get_max_size: None,
        get_alloc_size: Some(tensor_bytes),
        get_alloc_size_n: None,
        is_host: Some(is_host),
    },
    device: device::registered(),
    context: std::ptr::null_mut(),
};

/// The type of buffer that packs.
pub fn buffer_type() -> BufferTypePtr {
    (&raw const BUFFER_TYPE).cast_mut()
}

/// Whether a tensor is in a buffer of ours.
pub fn holds(tensor: &ggml_tensor) -> bool {
    // SAFETY: a tensor's buffer is null or alive, and its layout was checked when the backend was
    // registered, without which no buffer is ours.
    let buffer = unsafe { tensor.buffer.cast::<Buffer>().as_ref() };
    buffer.is_some_and(|buffer| buffer.buffer_type == buffer_type())
}

/// The matrix of a tensor; `None` for one that has no place yet.
///
/// # Safety
/// The tensor is in a buffer of ours ([`holds`]), and the result is not used after that was freed.
pub unsafe fn packed(tensor: &ggml_tensor) -> Option<&'static Packed> {
    // SAFETY: nothing but `init_tensor` sets `extra` of a tensor in our buffers, to an object that
    // lives as long as the buffer.
    unsafe { tensor.extra.cast::<Packed>().as_ref() }
}

unsafe extern "C" fn type_name(_: BufferTypePtr) -> *const c_char {
    c"ARMv6".as_ptr()
}

unsafe extern "C" fn alignment(_: BufferTypePtr) -> usize {
    ALIGNMENT_BYTES
}

unsafe extern "C" fn is_host(_: BufferTypePtr) -> bool {
    // What lies in it is not in ggml's own layout.
    false
}

unsafe extern "C" fn tensor_bytes(_: BufferTypePtr, tensor: *const ggml_tensor) -> usize {
    // SAFETY: ggml passes a tensor.
    let plain = unsafe { ggml::ggml_nbytes(tensor) };
    // SAFETY: the same.
    let layout = unsafe { tensor.as_ref() }.and_then(layout_of);
    // ggml wants no less than the plain size.
    layout.map_or(plain, |layout| layout.bytes().max(plain))
}

unsafe extern "C" fn allocate(buffer_type: BufferTypePtr, bytes: usize) -> BufferPtr {
    const TABLE: BufferTable = BufferTable {
        free_buffer: Some(free),
        get_base: Some(base),
        init_tensor: Some(init_tensor),
        memset_tensor: Some(fill_tensor),
        set_tensor: Some(set_tensor),
        get_tensor: Some(get_tensor),
        set_tensor_2d: None,
        get_tensor_2d: None,
        cpy_tensor: None,
        clear: Some(clear),
        reset: None,
    };
    let Some(contents) = Contents::new(bytes) else {
        return std::ptr::null_mut();
    };
    let context = Box::into_raw(contents).cast();
    // SAFETY: the table is of our own functions, which expect the contents as the context; ggml
    // calls `free` once, which takes the box back.
    unsafe { ggml_backend_buffer_init(buffer_type, TABLE, context, bytes) }
}

/// # Safety
/// `buffer` is one that [`allocate`] made, and is alive.
unsafe fn contents<'a>(buffer: BufferPtr) -> &'a Contents {
    // SAFETY: its context is the box that was made with it.
    unsafe { &*(*buffer).context.cast::<Contents>() }
}

unsafe extern "C" fn free(buffer: BufferPtr) {
    // SAFETY: the box that `allocate` made; ggml frees a buffer once and then forgets it.
    drop(unsafe { Box::from_raw((*buffer).context.cast::<Contents>()) });
}

unsafe extern "C" fn base(buffer: BufferPtr) -> *mut c_void {
    // SAFETY: called with a buffer of ours.
    unsafe { contents(buffer) }.base.as_ptr().cast()
}

/// A tensor gets its place: remembers its layout.
unsafe extern "C" fn init_tensor(buffer: BufferPtr, tensor: *mut ggml_tensor) -> ggml_status {
    // SAFETY: called with a buffer of ours.
    let contents = unsafe { contents(buffer) };
    // SAFETY: and with a tensor in it, which nobody else uses now.
    let Some(tensor) = (unsafe { tensor.as_mut() }) else {
        return FAILED;
    };
    if !tensor.view_src.is_null() {
        // A part of a matrix has nothing of its own.
        return SUCCESS;
    }
    let place = layout_of(tensor)
        .and_then(|layout| Some((layout, contents.place(tensor.data, layout.bytes())?)));
    let Some((layout, data)) = place else {
        return FAILED;
    };
    let packed = Box::new(Packed {
        layout,
        data,
        is_filled: AtomicBool::new(false),
    });
    tensor.extra = (&raw const *packed).cast_mut().cast();
    // SAFETY: ggml places the tensors of a buffer one after the other, and nothing else looks into
    // the list; the boxes do not move when it grows.
    unsafe { (*contents.matrices.get()).push(packed) };
    SUCCESS
}

unsafe extern "C" fn set_tensor(
    _: BufferPtr,
    tensor: *mut ggml_tensor,
    data: *const c_void,
    offset: usize,
    size: usize,
) {
    // SAFETY: ggml calls this with a tensor that has a place in a buffer of ours.
    let plain = unsafe { ggml::ggml_nbytes(tensor) };
    // SAFETY: the same.
    let tensor = unsafe { &*tensor };
    // SAFETY: the same; a view has no matrix of its own.
    let packed = unsafe { packed(tensor) }.filter(|_| tensor.view_src.is_null());
    let Some(packed) = packed.filter(|_| offset == 0 && size == plain) else {
        warn("a matrix can only be written as a whole");
        return;
    };
    // SAFETY: so many bytes are there, says ggml.
    let source = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size) };
    packed.is_filled.store(false, Ordering::Release);
    // SAFETY: the place was checked by `init_tensor`, is initialised (zeroed), and belongs to this
    // tensor alone; no matrix of it is in use, since it is being written by ggml's own wish.
    let place =
        unsafe { std::slice::from_raw_parts_mut(packed.data.as_ptr(), packed.layout.bytes()) };
    let done = guarded("packing a matrix", || {
        pack::pack_and_tell(packed.layout, tensor.type_, source, place, &mut release)
    });
    match done {
        Some(Ok(())) => packed.is_filled.store(true, Ordering::Release),
        Some(Err(error)) => warn(&error.to_string()),
        None => {}
    }
}

/// Gives the pages that lie wholly in a part of a source back, where that was asked for.
fn release(source: &[u8]) {
    if !RELEASE.load(Ordering::SeqCst) {
        return;
    }
    // SAFETY: reads a constant of the system.
    let Ok(page_bytes) = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) else {
        return;
    };
    let begin = source.as_ptr().align_offset(page_bytes);
    let whole = source.len().saturating_sub(begin) / page_bytes * page_bytes;
    if let Some(pages) = source
        .get(begin..begin.saturating_add(whole))
        .filter(|p| !p.is_empty())
    {
        // SAFETY: whole pages of a mapped file that is not written to (`release_sources`): read
        // again, they come from the file again. A refusal costs memory and nothing else.
        unsafe {
            libc::madvise(
                pages.as_ptr().cast_mut().cast(),
                pages.len(),
                libc::MADV_DONTNEED,
            );
        }
    }
}

/// Fills with a byte: what comes out is no packed matrix.
unsafe extern "C" fn fill_tensor(
    _: BufferPtr,
    tensor: *mut ggml_tensor,
    _value: u8,
    _offset: usize,
    _size: usize,
) {
    // SAFETY: ggml calls this with a tensor that has a place in a buffer of ours.
    if let Some(packed) = unsafe { packed(&*tensor) } {
        packed.is_filled.store(false, Ordering::Release);
    }
}

/// The same for all of a buffer.
unsafe extern "C" fn clear(buffer: BufferPtr, _value: u8) {
    // SAFETY: called with a buffer of ours, while nobody places tensors in it.
    let matrices = unsafe { &*contents(buffer).matrices.get() };
    for packed in matrices {
        packed.is_filled.store(false, Ordering::Release);
    }
}

/// Gives a matrix back in the type of the file, row by row: for whoever looks at a model, and for
/// operations that are not taken, of which llama.cpp has none today. Packing may have rounded, so
/// the bytes are not always those that were put in.
unsafe extern "C" fn get_tensor(
    _: BufferPtr,
    tensor: *const ggml_tensor,
    data: *mut c_void,
    offset: usize,
    size: usize,
) {
    // SAFETY: ggml calls this with a tensor that has a place in a buffer of ours.
    let tensor = unsafe { &*tensor };
    // SAFETY: null, or the tensor of which this one is a part.
    let whole = unsafe { tensor.view_src.as_ref() }.unwrap_or(tensor);
    let start = if tensor.view_src.is_null() {
        offset
    } else {
        offset.saturating_add(tensor.view_offs)
    };
    // SAFETY: so many bytes of room are there, says ggml; they are written before they are lent.
    let out = unsafe {
        data.cast::<u8>().write_bytes(0, size);
        std::slice::from_raw_parts_mut(data.cast::<u8>(), size)
    };
    // SAFETY: the tensor is in a buffer of ours.
    let matrix = unsafe { packed(whole) }.and_then(Packed::matrix);
    let done =
        matrix.and_then(|matrix| guarded("unpacking a matrix", || read(whole, matrix, start, out)));
    if done.is_none() {
        warn("a matrix was read that is not there");
    }
}

/// Bytes of a matrix in its file's type, from `start` on.
fn read(tensor: &ggml_tensor, matrix: Matrix<'_>, start: usize, out: &mut [u8]) {
    let row_bytes = tensor.nb[1];
    let (Ok(rows), Ok(columns)) = (usize::try_from(tensor.ne[1]), usize::try_from(tensor.ne[0]))
    else {
        return;
    };
    let mut weights = vec![0.0_f32; columns];
    let mut bytes = vec![0_u8; row_bytes];
    let mut at = start;
    let mut out = out;
    while let Some(row) = at
        .checked_div(row_bytes)
        .filter(|&row| row < rows && !out.is_empty())
    {
        matrix.row(row, &mut weights);
        // SAFETY: one row of `columns` weights, for which both have room; the type is one that can
        // be packed, and each of these can be made without further data.
        unsafe {
            ggml::ggml_quantize_chunk(
                tensor.type_,
                weights.as_ptr(),
                bytes.as_mut_ptr().cast(),
                0,
                1,
                tensor.ne[0],
                std::ptr::null(),
            );
        }
        let part = &bytes[at % row_bytes..];
        let count = part.len().min(out.len());
        let (now, rest) = out.split_at_mut(count);
        now.copy_from_slice(&part[..count]);
        out = rest;
        at += count;
    }
}
