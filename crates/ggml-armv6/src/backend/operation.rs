//! The operations that are taken. Each is read out of ggml's tensor once, with every figure
//! checked, into plain numbers and addresses; [`super::device`] asks whether that works, and
//! [`super::graph`] computes with what came out.
//!
//! ggml has checked shapes when it built the graph, and llama.cpp those of the file. All of it is
//! checked again here as far as memory is concerned: an address is only used with a length that
//! follows from the strides next to it.

use llama_cpp_sys_2 as ggml;
use llama_cpp_sys_2::ggml_tensor;

use super::buffer::{self, Packed};
use crate::pack::Layout;

/// A tensor's extents, outermost last, and the distances between neighbours in elements.
#[derive(Debug, Clone, Copy)]
pub struct View<T> {
    /// Of the first element; null before memory has been given out.
    pub data: *mut T,
    /// How many in each direction.
    pub extents: [usize; 4],
    /// How far apart, in elements.
    pub strides: [usize; 4],
}

impl<T> View<T> {
    /// The view of a tensor whose elements are of type `T` and lie side by side in the innermost
    /// direction; `None` for any other.
    ///
    /// # Safety
    /// `tensor` is null or a tensor of ggml's whose elements are `T` if its type is `kind`.
    unsafe fn of(tensor: *const ggml_tensor, kind: ggml::ggml_type) -> Option<Self> {
        // SAFETY: null or valid, as the caller promises.
        let tensor = unsafe { tensor.as_ref() }?;
        if tensor.type_ != kind || tensor.nb[0] != size_of::<T>() {
            return None;
        }
        let data = tensor.data.cast::<T>();
        let mut extents = [0; 4];
        let mut strides = [0; 4];
        for axis in 0..4 {
            extents[axis] = usize::try_from(tensor.ne[axis]).ok()?;
            if !tensor.nb[axis].is_multiple_of(size_of::<T>()) {
                return None;
            }
            strides[axis] = tensor.nb[axis] / size_of::<T>();
        }
        let view = Self {
            data,
            extents,
            strides,
        };
        view.span()?;
        (data.is_aligned() && extents.iter().all(|&extent| extent > 0)).then_some(view)
    }

    /// Elements from the first to the last, both counted.
    pub fn span(&self) -> Option<usize> {
        let mut last = 0_usize;
        for (extent, stride) in self.extents.iter().zip(self.strides) {
            last = last.checked_add(extent.saturating_sub(1).checked_mul(stride)?)?;
        }
        let bytes = last.checked_add(1)?.checked_mul(size_of::<T>())?;
        (bytes <= isize::MAX.unsigned_abs()).then_some(last + 1)
    }

    /// Whether all of it lies without gaps, in order.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1_usize;
        self.extents
            .iter()
            .zip(self.strides)
            .all(|(&extent, stride)| {
                let fits = extent == 1 || stride == expected;
                expected = expected.saturating_mul(extent);
                fits
            })
    }

    /// Whether the memory of both has a byte in common.
    fn overlaps<U>(&self, other: &View<U>) -> bool {
        let range = |data: usize, elements: Option<usize>, bytes: usize| {
            data..data.saturating_add(elements.unwrap_or(usize::MAX).saturating_mul(bytes))
        };
        let this = range(self.data.addr(), self.span(), size_of::<T>());
        let that = range(other.data.addr(), other.span(), size_of::<U>());
        this.start < that.end && that.start < this.end
    }
}

/// A packed matrix times vectors.
#[derive(Debug)]
pub struct Product {
    /// The matrix; `None` before memory has been given out.
    pub matrix: Option<&'static Packed>,
    /// The vectors: columns by any number in up to three directions.
    pub input: View<f32>,
    /// The results: rows by the same numbers.
    pub output: View<f32>,
}

/// Rows of a packed matrix.
#[derive(Debug)]
pub struct Rows {
    /// The matrix; `None` before memory has been given out.
    pub matrix: Option<&'static Packed>,
    /// Which rows.
    pub numbers: View<i32>,
    /// The rows, one after the other.
    pub output: View<f32>,
}

/// Two vectors, one of them the gate of the other.
#[derive(Debug)]
pub struct Gated {
    /// What opens and shuts.
    pub gate: View<f32>,
    /// What goes through.
    pub up: View<f32>,
    /// What came through.
    pub output: View<f32>,
}

/// Attention over a cache of f16.
#[derive(Debug)]
pub struct Attend {
    /// Width, tokens, heads, sequences.
    pub queries: View<f32>,
    /// Width, cells, heads, sequences.
    pub keys: View<u16>,
    /// The same.
    pub values: View<u16>,
    /// Cells, tokens, 1, sequences or 1.
    pub mask: Option<View<u16>>,
    /// One for each head.
    pub sinks: Option<View<f32>>,
    /// Width, heads, tokens, sequences; without gaps.
    pub output: View<f32>,
    /// Factor of query times key.
    pub scale: f32,
    /// Slope of `ALiBi`, or 0.
    pub max_bias: f32,
    /// Bound of the scores, or 0.
    pub softcap: f32,
}

/// The matrix in the place of a weight, if it is one of ours: its layout, and where it is.
///
/// # Safety
/// `tensor` is null or a tensor of ggml's.
unsafe fn weight(tensor: *const ggml_tensor) -> Option<(Layout, Option<&'static Packed>)> {
    // SAFETY: null or valid, as the caller promises.
    let tensor = unsafe { tensor.as_ref() }?;
    // A part of a packed matrix is not one: its rows do not lie where ggml thinks.
    if !tensor.view_src.is_null() || !buffer::holds(tensor) {
        return None;
    }
    let layout = layout_of(tensor)?;
    // SAFETY: the tensor lies in one of our buffers, whose `init_tensor` set `extra`, if any.
    Some((layout, unsafe { buffer::packed(tensor) }))
}

/// The layout of a tensor as a packed matrix.
pub fn layout_of(tensor: &ggml_tensor) -> Option<Layout> {
    let [columns, rows, 1, 1] = tensor.ne else {
        return None;
    };
    let size = |extent: i64| usize::try_from(extent).ok();
    Layout::of(tensor.type_, size(rows)?, size(columns)?)
}

impl Product {
    /// Reads a `MUL_MAT` node.
    ///
    /// # Safety
    /// `node` is a tensor of ggml's, and so are its sources.
    pub unsafe fn of(node: &ggml_tensor) -> Option<Self> {
        // SAFETY: sources are null or tensors.
        let (layout, matrix) = unsafe { weight(node.src[0]) }?;
        // SAFETY: the same; F32 elements are f32.
        let input = unsafe { View::<f32>::of(node.src[1], ggml::GGML_TYPE_F32) }?;
        // SAFETY: the same.
        let output = unsafe { View::<f32>::of(node, ggml::GGML_TYPE_F32) }?;
        let fits = input.extents[0] == layout.columns()
            && output.extents[0] == layout.rows()
            && input.extents[1..] == output.extents[1..]
            && output.is_contiguous();
        fits.then_some(Self {
            matrix,
            input,
            output,
        })
    }

    /// Whether there is memory for both, and what is written is apart from what is read.
    pub fn is_apart(&self) -> bool {
        let (input, output) = (&self.input, &self.output);
        !input.data.is_null() && !output.data.is_null() && !input.overlaps(output)
    }
}

impl Rows {
    /// Reads a `GET_ROWS` node.
    ///
    /// # Safety
    /// `node` is a tensor of ggml's, and so are its sources.
    pub unsafe fn of(node: &ggml_tensor) -> Option<Self> {
        // SAFETY: sources are null or tensors.
        let (layout, matrix) = unsafe { weight(node.src[0]) }?;
        // SAFETY: the same; I32 elements are i32.
        let numbers = unsafe { View::<i32>::of(node.src[1], ggml::GGML_TYPE_I32) }?;
        // SAFETY: the same; F32 elements are f32.
        let output = unsafe { View::<f32>::of(node, ggml::GGML_TYPE_F32) }?;
        let [count, 1, 1, 1] = numbers.extents else {
            return None;
        };
        let fits = output.extents == [layout.columns(), count, 1, 1] && output.is_contiguous();
        fits.then_some(Self {
            matrix,
            numbers,
            output,
        })
    }

    /// Whether there is memory for both, and what is written is apart from what is read.
    pub fn is_apart(&self) -> bool {
        let (numbers, output) = (&self.numbers, &self.output);
        !numbers.data.is_null() && !output.data.is_null() && !numbers.overlaps(output)
    }
}

impl Attend {
    /// Reads a `FLASH_ATTN_EXT` node.
    ///
    /// # Safety
    /// `node` is a tensor of ggml's, and so are its sources.
    pub unsafe fn of(node: &ggml_tensor) -> Option<Self> {
        const F16: ggml::ggml_type = ggml::GGML_TYPE_F16;
        const F32: ggml::ggml_type = ggml::GGML_TYPE_F32;
        let [queries, keys, values, mask, sinks, ..] = node.src;
        let parameter = |at: usize| f32::from_bits(node.op_params[at].cast_unsigned());
        // SAFETY: sources are null or tensors; F32 elements are f32, those of F16 are two bytes.
        let attend = unsafe {
            Self {
                queries: View::of(queries, F32)?,
                keys: View::of(keys, F16)?,
                values: View::of(values, F16)?,
                mask: optional(mask, F16)?,
                sinks: optional(sinks, F32)?,
                output: View::of(node, F32)?,
                scale: parameter(0),
                max_bias: parameter(1),
                softcap: parameter(2),
            }
        };
        attend.fits().then_some(attend)
    }

    fn fits(&self) -> bool {
        let [width, tokens, heads, sequences] = self.queries.extents;
        let [key_width, cells, key_heads, key_sequences] = self.keys.extents;
        let [value_width, value_cells, value_heads, value_sequences] = self.values.extents;
        width == key_width
            && cells == value_cells
            && key_heads == value_heads
            && heads.is_multiple_of(key_heads)
            && sequences == key_sequences
            && sequences == value_sequences
            && self.output.extents == [value_width, heads, tokens, sequences]
            && self.output.is_contiguous()
            && self.mask.is_none_or(|mask| {
                let [mask_cells, mask_tokens, for_heads, mask_sequences] = mask.extents;
                mask_cells >= cells
                    && mask_tokens >= tokens
                    && for_heads == 1
                    && (mask_sequences == 1 || mask_sequences == sequences)
            })
            && self.sinks.is_none_or(|sinks| sinks.extents[0] == heads)
    }

    /// Whether there is memory for all of it, and what is written is apart from what is read.
    pub fn is_apart(&self) -> bool {
        let out = &self.output;
        let lone = |view: &View<u16>| !view.data.is_null() && !view.overlaps(out);
        let lone_f32 = |view: &View<f32>| !view.data.is_null() && !view.overlaps(out);
        !out.data.is_null()
            && lone_f32(&self.queries)
            && lone(&self.keys)
            && lone(&self.values)
            && self.mask.as_ref().is_none_or(lone)
            && self.sinks.as_ref().is_none_or(lone_f32)
    }
}

impl Gated {
    /// Reads a `GLU` node.
    ///
    /// # Safety
    /// `node` is a tensor of ggml's, and so are its sources.
    pub unsafe fn of(node: &ggml_tensor) -> Option<Self> {
        const F32: ggml::ggml_type = ggml::GGML_TYPE_F32;
        if node.op_params[0].cast_unsigned() != ggml::GGML_GLU_OP_SWIGLU {
            return None;
        }
        // SAFETY: sources are null or tensors; F32 elements are f32.
        let gated = unsafe {
            Self {
                gate: View::of(node.src[0], F32)?,
                up: View::of(node.src[1], F32)?,
                output: View::of(node, F32)?,
            }
        };
        let all = [&gated.gate, &gated.up, &gated.output];
        let fits = all
            .iter()
            .all(|view| view.extents == gated.output.extents && view.is_contiguous());
        fits.then_some(gated)
    }

    /// Whether there is memory for all of it, and what is written is apart from what is read.
    pub fn is_apart(&self) -> bool {
        let lone = |view: &View<f32>| !view.data.is_null() && !view.overlaps(&self.output);
        !self.output.data.is_null() && lone(&self.gate) && lone(&self.up)
    }
}

/// The view of a source that may be missing; `None` for one that is there and of another kind.
///
/// # Safety
/// As for [`View::of`].
unsafe fn optional<T>(
    tensor: *const ggml_tensor,
    kind: ggml::ggml_type,
) -> Option<Option<View<T>>> {
    if tensor.is_null() {
        return Some(None);
    }
    // SAFETY: the caller's promise.
    unsafe { View::of(tensor, kind) }.map(Some)
}
