//! The backend of a context: computes the nodes that are ours, in order, on the calling thread.

use std::ffi::{c_char, c_void};
use std::ops::ControlFlow;

use llama_cpp_sys_2 as ggml;
use llama_cpp_sys_2::{ggml_cgraph, ggml_status, ggml_tensor};

use super::buffer::Packed;
use super::operation::{Attend, Gated, Product, Rows, View};
use super::sys::{Backend, BackendPtr, BackendTable, DevicePtr, Unused};
use super::{guarded, warn};
use crate::attention::{self, Attention, AttentionScratch};
use crate::gate::swiglu;
use crate::matrix::{Scratch, Vectors};

const UNUSED: Unused = None;
const SUCCESS: ggml_status = ggml::GGML_STATUS_SUCCESS;
const FAILED: ggml_status = ggml::GGML_STATUS_FAILED;
const ABORTED: ggml_status = ggml::GGML_STATUS_ABORTED;

/// ggml asks this between nodes whether to go on.
type AbortCallback = unsafe extern "C" fn(*mut c_void) -> bool;

/// What belongs to one context.
#[derive(Default)]
struct State {
    abort: Option<(AbortCallback, *mut c_void)>,
    scratch: Scratch,
    attention: AttentionScratch,
    /// The vectors of the last product.
    last_input: LastInput,
}

/// The vectors of the last product, to notice when the next one has the same: the matrices for
/// queries, keys and values share theirs, and so do those of a gated feed-forward part.
///
/// Told by their content. An address says nothing, since another backend computes in between, and
/// comparing costs a fraction of what turning a vector into coefficients does.
#[derive(Default)]
struct LastInput {
    columns: usize,
    bits: Vec<u32>,
}

/// A new backend of a device of ours.
pub fn new_backend(device: DevicePtr) -> BackendPtr {
    static mut GUID: [u8; 16] = *b"ggml-armv6 \x01\xf3\x9c\x7a\x52";
    let backend = Backend {
        guid: &raw mut GUID,
        table: BackendTable {
            get_name: Some(name),
            free: Some(free),
            set_tensor_async: UNUSED,
            get_tensor_async: UNUSED,
            set_tensor_2d_async: UNUSED,
            get_tensor_2d_async: UNUSED,
            cpy_tensor_async: UNUSED,
            synchronize: UNUSED,
            graph_plan_create: UNUSED,
            graph_plan_free: UNUSED,
            graph_plan_update: UNUSED,
            graph_plan_compute: UNUSED,
            graph_compute: Some(compute),
            event_record: UNUSED,
            event_wait: UNUSED,
            graph_optimize: UNUSED,
        },
        device,
        context: Box::into_raw(Box::<State>::default()).cast(),
    };
    Box::into_raw(Box::new(backend))
}

unsafe extern "C" fn name(_: BackendPtr) -> *const c_char {
    c"ARMv6".as_ptr()
}

unsafe extern "C" fn free(backend: BackendPtr) {
    // SAFETY: both boxes were made by `new_backend`; ggml frees a backend once.
    unsafe {
        let backend = Box::from_raw(backend);
        drop(Box::from_raw(backend.context.cast::<State>()));
    }
}

/// `ggml_backend_set_abort_callback_t`.
pub unsafe extern "C" fn set_abort_callback(
    backend: BackendPtr,
    callback: Option<AbortCallback>,
    data: *mut c_void,
) {
    // SAFETY: llama.cpp calls this with a backend of ours, while it does not compute.
    let state = unsafe { &mut *(*backend).context.cast::<State>() };
    state.abort = callback.map(|callback| (callback, data));
}

unsafe extern "C" fn compute(backend: BackendPtr, graph: *mut ggml_cgraph) -> ggml_status {
    // SAFETY: a backend of ours; a context computes one graph at a time.
    let state = unsafe { &mut *(*backend).context.cast::<State>() };
    // SAFETY: the graph is alive during the call.
    let count = unsafe { ggml::ggml_graph_n_nodes(graph) };
    for index in 0..count {
        if state.is_aborted() {
            return ABORTED;
        }
        // SAFETY: the index is below the count; a node is a tensor.
        let node = unsafe { &*ggml::ggml_graph_node(graph, index) };
        if node.flags & COMPUTE == 0 {
            continue;
        }
        let done = guarded("a computation", || state.node(node));
        if done != Some(ControlFlow::Continue(())) {
            // What was being computed may be half in the scratch.
            state.last_input = LastInput::default();
            return FAILED;
        }
    }
    SUCCESS
}

/// Nodes without it are in the graph for their memory only.
#[expect(clippy::cast_possible_wrap, reason = "a bit of the lowest eight")]
const COMPUTE: i32 = ggml::GGML_TENSOR_FLAG_COMPUTE as i32;

impl State {
    fn is_aborted(&self) -> bool {
        // SAFETY: llama.cpp keeps callback and data valid for as long as the context lives.
        self.abort
            .is_some_and(|(callback, data)| unsafe { callback(data) })
    }

    /// Computes a node; `Break` when it cannot be.
    fn node(&mut self, node: &ggml_tensor) -> ControlFlow<()> {
        let done = match node.op {
            ggml::GGML_OP_NONE
            | ggml::GGML_OP_RESHAPE
            | ggml::GGML_OP_VIEW
            | ggml::GGML_OP_PERMUTE
            | ggml::GGML_OP_TRANSPOSE => Some(()),
            ggml::GGML_OP_MUL_MAT => {
                // SAFETY: a node of a graph and its sources are tensors of ggml's.
                let product = unsafe { Product::of(node) };
                product.and_then(|product| self.product(&product))
            }
            ggml::GGML_OP_GET_ROWS => {
                // SAFETY: the same.
                let rows = unsafe { Rows::of(node) };
                rows.and_then(|rows| look_up(&rows))
            }
            ggml::GGML_OP_FLASH_ATTN_EXT => {
                // SAFETY: the same.
                let attend = unsafe { Attend::of(node) };
                attend.and_then(|attend| self.attend(&attend))
            }
            ggml::GGML_OP_GLU => {
                // SAFETY: the same.
                let gated = unsafe { Gated::of(node) };
                gated.and_then(|gated| gate(&gated))
            }
            _ => None,
        };
        if done.is_none() {
            warn("an operation cannot be computed: a matrix is missing, or a number out of range");
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    /// A packed matrix times all vectors.
    fn product(&mut self, product: &Product) -> Option<()> {
        let matrix = product.matrix.and_then(Packed::matrix)?;
        product.is_apart().then_some(())?;
        // SAFETY: ggml gave these vectors this place, and whoever computes them has done so; they
        // do not change during the call, and the results lie elsewhere (checked above).
        let input = unsafe { elements(&product.input) }?;
        // SAFETY: the place of the results is this node's alone while it is computed. ggml hands
        // out memory that may never have been written, which for f32 from its allocator means any
        // value.
        let output = unsafe { elements_mut(&product.output) }?;
        let [columns, ..] = product.input.extents;
        let [rows, vectors, middle, outer] = product.output.extents;
        let [_, input_stride, middle_stride, outer_stride] = product.input.strides;
        // Mostly there is one slab, or the slabs follow each other like the vectors in them.
        let is_one = middle * outer == 1
            || (middle_stride == vectors * input_stride && outer_stride == middle * middle_stride);
        let (slabs, vectors) = if is_one {
            (1, vectors * middle * outer)
        } else {
            (middle * outer, vectors)
        };
        for slab in 0..slabs {
            let at = slab % middle * middle_stride + slab / middle * outer_stride;
            let input = input.get(at..)?;
            let output = output.get_mut(slab * vectors * rows..)?;
            let same = self
                .last_input
                .replace(input, input_stride, columns, vectors);
            let vectors = Vectors {
                values: input,
                stride: input_stride,
                count: vectors,
                same,
            };
            matrix.multiply(vectors, output, rows, &mut self.scratch);
        }
        Some(())
    }
}

impl State {
    /// Attention, one sequence after the other; here there is one.
    fn attend(&mut self, attend: &Attend) -> Option<()> {
        attend.is_apart().then_some(())?;
        // SAFETY: as for the vectors of a product; the cache was written by nodes before this one,
        // or cleared when it was made.
        let (q, k, v, sinks) = unsafe {
            let sinks = attend.sinks.as_ref().map(|sinks| elements(sinks));
            (
                elements(&attend.queries)?,
                elements(&attend.keys)?,
                elements(&attend.values)?,
                sinks,
            )
        };
        // SAFETY: the same.
        let mask = attend.mask.map(|mask| (unsafe { elements(&mask) }, mask));
        // SAFETY: as for the results of a product.
        let output = unsafe { elements_mut(&attend.output) }?;
        let [key_width, tokens, heads, sequences] = attend.queries.extents;
        let [value_width, cells, kv_heads, _] = attend.values.extents;
        let [_, q_token_stride, q_head_stride, q_stride] = attend.queries.strides;
        let [_, k_cell_stride, k_head_stride, k_stride] = attend.keys.strides;
        let [_, v_cell_stride, v_head_stride, v_stride] = attend.values.strides;
        let outputs = output.chunks_exact_mut(output.len() / sequences);
        for (sequence, out) in outputs.enumerate() {
            let mask = match mask {
                None => None,
                Some((
                    mask,
                    View {
                        extents, strides, ..
                    },
                )) => {
                    let own = if extents[3] == 1 {
                        0
                    } else {
                        sequence * strides[3]
                    };
                    Some((mask?.get(own..)?, strides[1]))
                }
            };
            let what = Attention {
                q: q.get(sequence * q_stride..)?,
                q_token_stride,
                q_head_stride,
                k: k.get(sequence * k_stride..)?,
                k_cell_stride,
                k_head_stride,
                v: v.get(sequence * v_stride..)?,
                v_cell_stride,
                v_head_stride,
                mask,
                sinks: sinks.flatten(),
                heads,
                kv_heads,
                key_width,
                value_width,
                cells,
                tokens,
                scale: attend.scale,
                softcap: attend.softcap,
                max_bias: attend.max_bias,
            };
            attention::attend(&what, out, &mut self.attention);
        }
        Some(())
    }
}

impl LastInput {
    /// Takes new vectors; whether they are those that it had.
    fn replace(&mut self, input: &[f32], stride: usize, columns: usize, vectors: usize) -> bool {
        let length = columns.saturating_mul(vectors);
        let vector = |number: usize| input.get(number * stride..)?.get(..columns);
        if self.columns == columns && self.bits.len() == length {
            let mut kept = self.bits.chunks_exact(columns);
            let is_same = (0..vectors)
                .zip(&mut kept)
                .all(|(number, kept)| vector(number).is_some_and(|vector| same_bits(vector, kept)));
            if is_same {
                return true;
            }
        }
        self.columns = columns;
        self.bits.clear();
        for number in 0..vectors {
            let vector = vector(number).unwrap_or_default();
            self.bits.extend(vector.iter().map(|value| value.to_bits()));
        }
        false
    }
}

/// Word by word, and not through `memcmp`, which goes byte by byte in musl.
fn same_bits(vector: &[f32], bits: &[u32]) -> bool {
    const STEP: usize = 8;
    let differs = |vector: &[f32], bits: &[u32]| {
        let pairs = vector.iter().zip(bits);
        pairs.fold(0, |found, (value, bits)| found | (value.to_bits() ^ bits)) != 0
    };
    let steps = vector.chunks(STEP).zip(bits.chunks(STEP));
    vector.len() == bits.len()
        && !steps
            .into_iter()
            .any(|(vector, bits)| differs(vector, bits))
}

/// A gate for all values.
fn gate(gated: &Gated) -> Option<()> {
    gated.is_apart().then_some(())?;
    // SAFETY: as for the vectors and the results of a product.
    let (gate, up, output) = unsafe {
        (
            elements(&gated.gate)?,
            elements(&gated.up)?,
            elements_mut(&gated.output)?,
        )
    };
    swiglu(gate, up, output);
    Some(())
}

/// Rows of a packed matrix, one after the other.
fn look_up(rows: &Rows) -> Option<()> {
    let packed = rows.matrix?;
    let matrix = packed.matrix()?;
    rows.is_apart().then_some(())?;
    // SAFETY: as for the vectors of a product.
    let numbers = unsafe { elements(&rows.numbers) }?;
    // SAFETY: as for the results of a product.
    let output = unsafe { elements_mut(&rows.output) }?;
    let numbers = numbers.iter().step_by(rows.numbers.strides[0]);
    for (&number, out) in numbers.zip(output.chunks_exact_mut(packed.columns())) {
        let number = usize::try_from(number)
            .ok()
            .filter(|&number| number < packed.rows())?;
        matrix.row(number, out);
    }
    Some(())
}

/// # Safety
/// The memory of the view is initialised and does not change while the result lives.
unsafe fn elements<'a, T>(view: &View<T>) -> Option<&'a [T]> {
    let length = view.span()?;
    // SAFETY: aligned (checked when the view was made), as long as its strides say, and the rest is
    // the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(view.data, length) })
}

/// # Safety
/// The memory of the view belongs to the caller alone while the result lives.
unsafe fn elements_mut<'a, T>(view: &View<T>) -> Option<&'a mut [T]> {
    let length = view.span()?;
    // SAFETY: as above.
    Some(unsafe { std::slice::from_raw_parts_mut(view.data, length) })
}
