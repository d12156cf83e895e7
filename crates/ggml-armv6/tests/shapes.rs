//! Tensors of any shape through ggml's graph: our device against the CPU backend with the same
//! weights as f32. Vectors lie where views and permutations put them.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    reason = "small numbers"
)]

mod support;

use ggml_armv6::Take;
use llama_cpp_sys_2 as sys;
use proptest::prelude::*;

use support::{Tensors, Turn, device, packing_type, quantised_of};

const TYPES: [sys::ggml_type; 9] = [
    sys::GGML_TYPE_Q4_0,
    sys::GGML_TYPE_Q4_1,
    sys::GGML_TYPE_Q4_K,
    sys::GGML_TYPE_Q8_0,
    sys::GGML_TYPE_Q5_0,
    sys::GGML_TYPE_Q5_1,
    sys::GGML_TYPE_Q5_K,
    sys::GGML_TYPE_Q6_K,
    sys::GGML_TYPE_IQ4_NL,
];
/// Largest difference from f32, in lengths of row and vector multiplied: a weight is rounded to
/// 1/254 of the largest of its block at most. Of 512 columns, a wrong one would show.
const TOLERANCE: f32 = 0.01;
/// Largest difference of an attention between values of 1 in size: the CPU backend adds up in f16.
const ATTENTION_TOLERANCE: f32 = 0.02;

/// Random numbers between -1 and 1.
fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f32::from((state >> 48) as u16) / 32_768.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A matrix in both forms.
struct Matrices {
    places: [Tensors; 2],
    ours: *mut sys::ggml_tensor,
    plain: *mut sys::ggml_tensor,
    weights: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Matrices {
    fn new(kind: sys::ggml_type, rows: usize, blocks: usize, seed: u64) -> Self {
        // SAFETY: reads a table.
        let block = usize::try_from(unsafe { sys::ggml_blck_size(kind) }).unwrap();
        let columns = block * (blocks * 32).div_ceil(block);
        let mut places = [Tensors::new(), Tensors::new()];
        let bytes = quantised_of(kind, rows, columns, &random(rows * columns, seed));
        let mut weights = vec![0.0_f32; rows * columns];
        let (ne0, ne1) = (columns as i64, rows as i64);
        // SAFETY: tensors in contexts that live as long as they; data of their sizes; the type has
        // a conversion.
        unsafe {
            let to_f32 = (*sys::ggml_get_type_traits(kind)).to_float.unwrap();
            let count = (rows * columns) as i64;
            to_f32(bytes.as_ptr().cast(), weights.as_mut_ptr(), count);
            let ours = sys::ggml_new_tensor_2d(places[0].context, kind, ne0, ne1);
            let f32 = sys::GGML_TYPE_F32;
            let plain = sys::ggml_new_tensor_2d(places[1].context, f32, ne0, ne1);
            places[0].place(packing_type());
            places[1].place(sys::ggml_backend_cpu_buffer_type());
            sys::ggml_backend_tensor_set(ours, bytes.as_ptr().cast(), 0, bytes.len());
            set(plain, &weights);
            Self {
                places,
                ours,
                plain,
                weights,
                rows,
                columns,
            }
        }
    }

    fn row_length(&self, row: usize) -> f32 {
        length(&self.weights[row * self.columns..][..self.columns])
    }
}

fn length(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// # Safety
/// A tensor with a place, and elements of `T`.
unsafe fn set<T>(tensor: *mut sys::ggml_tensor, values: &[T]) {
    // SAFETY: the caller's promise; ggml checks the length.
    unsafe {
        sys::ggml_backend_tensor_set(tensor, values.as_ptr().cast(), 0, size_of_val(values));
    }
}

/// # Safety
/// A tensor of f32 without gaps, with a place.
unsafe fn get(tensor: *const sys::ggml_tensor) -> Vec<f32> {
    // SAFETY: the caller's promise.
    unsafe {
        let mut values = vec![0.0_f32; usize::try_from(sys::ggml_nelements(tensor)).unwrap()];
        let bytes = values.len() * size_of::<f32>();
        sys::ggml_backend_tensor_get(tensor, values.as_mut_ptr().cast(), 0, bytes);
        values
    }
}

/// The CPU backend, in this thread alone.
fn cpu() -> sys::ggml_backend_t {
    // SAFETY: a backend that was just made.
    unsafe {
        let backend = sys::ggml_backend_cpu_init();
        sys::ggml_backend_cpu_set_n_threads(backend, 1);
        backend
    }
}

/// Computes a result on our device, and another on the CPU backend.
///
/// # Safety
/// Both are results of graphs in the context, whose tensors have places and values.
unsafe fn compute_both(
    context: *mut sys::ggml_context,
    ours: *mut sys::ggml_tensor,
    reference: *mut sys::ggml_tensor,
) {
    // SAFETY: the caller's promise; backends are freed once.
    unsafe {
        let device = sys::ggml_backend_dev_init(device(), std::ptr::null());
        assert!(sys::ggml_backend_supports_op(device, ours));
        for (backend, result) in [(device, ours), (cpu(), reference)] {
            let graph = sys::ggml_new_graph(context);
            sys::ggml_build_forward_expand(graph, result);
            let status = sys::ggml_backend_graph_compute(backend, graph);
            assert_eq!(status, sys::GGML_STATUS_SUCCESS);
            sys::ggml_backend_free(backend);
        }
    }
}

/// Where vectors lie: extents of the three outer directions, elements that are left out at the
/// beginning, after each vector and around each direction, and the order of the directions.
#[derive(Debug, Clone)]
struct Lie {
    extents: [usize; 3],
    margins: [usize; 3],
    before: usize,
    order: [i32; 3],
}

fn lies() -> impl Strategy<Value = Lie> {
    let extents = (1_usize..10, 1_usize..4, 1_usize..3);
    let margins = (0_usize..5, 0_usize..3, 0_usize..2);
    let order = prop::sample::select(vec![
        [1, 2, 3],
        [1, 3, 2],
        [2, 1, 3],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
    ]);
    (extents, margins, 0_usize..7, order).prop_map(|(extents, margins, before, order)| Lie {
        extents: extents.into(),
        margins: margins.into(),
        before,
        order,
    })
}

/// A tensor that has room for the view, and the view.
///
/// # Safety
/// The context is alive.
unsafe fn view(
    context: *mut sys::ggml_context,
    columns: usize,
    lie: &Lie,
) -> [*mut sys::ggml_tensor; 2] {
    let [n1, n2, n3] = lie.extents;
    let [m1, m2, m3] = lie.margins;
    let (row, plane) = (columns + m1, (columns + m1) * (n1 + m2));
    let solid = plane * (n2 + m3);
    let bytes = |elements: usize| elements * size_of::<f32>();
    let [n0, n1, n2, n3] = [columns, n1, n2, n3].map(|extent| extent as i64);
    // SAFETY: the view lies in the room: `before` and then so many solids.
    unsafe {
        let room = solid * lie.extents[2] + lie.before;
        let room = sys::ggml_new_tensor_1d(context, sys::GGML_TYPE_F32, room as i64);
        let (row, plane, solid) = (bytes(row), bytes(plane), bytes(solid));
        let before = bytes(lie.before);
        let view = sys::ggml_view_4d(context, room, n0, n1, n2, n3, row, plane, solid, before);
        let [a, b, c] = lie.order;
        [room, sys::ggml_permute(context, view, 0, a, b, c)]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn products_of_any_shape_are_those_of_the_cpu_backend(
        (which, rows, blocks) in (0..TYPES.len(), 1_usize..40, 1_usize..17),
        lie in lies(),
        seed: u64,
    ) {
        let _turn = Turn::new(Take::MatricesAndEmbedding);
        let matrices = Matrices::new(TYPES[which], rows, blocks, seed);
        let mut vectors = Tensors::new();
        let context = vectors.context;
        // SAFETY: ggml's functions with tensors of theirs, which have places before they are used.
        let (found, expected, lengths) = unsafe {
            let [room, turned] = view(context, matrices.columns, &lie);
            let ours = sys::ggml_mul_mat(context, matrices.ours, turned);
            let reference = sys::ggml_mul_mat(context, matrices.plain, turned);
            // What the view holds, in order.
            let copy = sys::ggml_cont(context, turned);
            vectors.place(sys::ggml_backend_cpu_buffer_type());
            let elements = usize::try_from(sys::ggml_nelements(room)).unwrap();
            set(room, &random(elements, seed ^ 1));
            compute_both(context, ours, reference);
            let cpu = cpu();
            let graph = sys::ggml_new_graph(context);
            sys::ggml_build_forward_expand(graph, copy);
            sys::ggml_backend_graph_compute(cpu, graph);
            sys::ggml_backend_free(cpu);
            let lengths: Vec<f32> = get(copy).chunks_exact(matrices.columns).map(length).collect();
            (get(ours), get(reference), lengths)
        };
        prop_assert_eq!(found.len(), expected.len());
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let (row, vector) = (at % matrices.rows, at / matrices.rows);
            let bound = TOLERANCE * matrices.row_length(row) * lengths[vector] + 1e-6;
            prop_assert!((found - expected).abs() <= bound,
                "row {row}, vector {vector}: {found}, not {expected}");
        }
        drop(matrices.places);
    }

    #[test]
    fn rows_of_any_number_are_those_of_the_cpu_backend(
        (which, rows, blocks) in (0..TYPES.len(), 1_usize..40, 1_usize..17),
        wanted in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
        before in 0_usize..5,
        seed: u64,
    ) {
        let _turn = Turn::new(Take::MatricesAndEmbedding);
        let matrices = Matrices::new(TYPES[which], rows, blocks, seed);
        let mut vectors = Tensors::new();
        let context = vectors.context;
        let numbers: Vec<i32> = wanted.iter().map(|index| index.index(rows) as i32).collect();
        // SAFETY: as above.
        let (found, expected) = unsafe {
            let count = (before + numbers.len()) as i64;
            let room = sys::ggml_new_tensor_1d(context, sys::GGML_TYPE_I32, count);
            let offset = before * size_of::<i32>();
            let part = sys::ggml_view_1d(context, room, numbers.len() as i64, offset);
            let ours = sys::ggml_get_rows(context, matrices.ours, part);
            let reference = sys::ggml_get_rows(context, matrices.plain, part);
            vectors.place(sys::ggml_backend_cpu_buffer_type());
            // What lies before the view is no row.
            set(room, &[vec![-1; before], numbers].concat());
            compute_both(context, ours, reference);
            (get(ours), get(reference))
        };
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            prop_assert!((found - expected).abs() <= TOLERANCE, "{at}: {found}, not {expected}");
        }
        drop(matrices.places);
    }

    #[test]
    fn attention_of_any_shape_is_that_of_the_cpu_backend(
        (width, kv_heads, group) in (1_usize..9, 1_usize..4, 1_usize..5),
        (tokens, cells, spare) in (1_usize..7, 1_usize..50, 0_usize..9),
        (seed, softcap) in (any::<u64>(), prop_oneof![Just(0.0_f32), Just(5.0)]),
    ) {
        let _turn = Turn::new(Take::MatricesAndEmbedding);
        let (width, heads) = (width * 8, kv_heads * group);
        let mut tensors = Tensors::new();
        let context = tensors.context;
        // SAFETY: a pure function.
        let half = |value: f32| unsafe { sys::ggml_fp32_to_fp16(value) };
        // SAFETY: as above; views of the cache lie in it, since it has cells to spare.
        let (found, expected) = unsafe {
            let [w, h, kv, t] = [width, heads, kv_heads, tokens].map(|extent| extent as i64);
            let (n, all) = (cells as i64, (cells + spare) as i64);
            let q = sys::ggml_new_tensor_3d(context, sys::GGML_TYPE_F32, w, h, t);
            let q_turned = sys::ggml_permute(context, q, 0, 2, 1, 3);
            let cache = || sys::ggml_new_tensor_2d(context, sys::GGML_TYPE_F16, w * kv, all);
            let (k, v) = (cache(), cache());
            let head_bytes = width * size_of::<u16>();
            let part = |cache| sys::ggml_view_3d(
                context, cache, w, n, kv, head_bytes * kv_heads, head_bytes, 0,
            );
            let mask_rows = tokens.next_multiple_of(64);
            let mask =
                sys::ggml_new_tensor_2d(context, sys::GGML_TYPE_F16, n, mask_rows as i64);
            let (k_part, v_part) = (part(k), part(v));
            let scale = 1.0 / (width as f32).sqrt();
            let attention = || sys::ggml_flash_attn_ext(
                context, q_turned, k_part, v_part, mask, scale, 0.0, softcap,
            );
            let (ours, reference) = (attention(), attention());
            tensors.place(sys::ggml_backend_cpu_buffer_type());
            set(q, &random(width * heads * tokens, seed));
            for (cache, salt) in [(k, 1), (v, 2)] {
                let values = random(width * kv_heads * (cells + spare), seed ^ salt);
                set(cache, &values.into_iter().map(half).collect::<Vec<u16>>());
            }
            // Each token sees the first cell, and any of the others.
            let seen = random(cells * mask_rows, seed ^ 3);
            let seen = seen.iter().enumerate().map(|(at, &chance)| {
                let is_seen = at % cells == 0 || chance > 0.0;
                half(if is_seen { 0.0 } else { f32::NEG_INFINITY })
            });
            set(mask, &seen.collect::<Vec<u16>>());
            compute_both(context, ours, reference);
            (get(ours), get(reference))
        };
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            prop_assert!((found - expected).abs() <= ATTENTION_TOLERANCE,
                "{at}: {found}, not {expected}");
        }
    }

    #[test]
    fn gates_of_any_shape_are_those_of_the_cpu_backend(
        (width, tokens, sequences) in (1_usize..70, 1_usize..5, 1_usize..3), seed: u64,
    ) {
        let _turn = Turn::new(Take::MatricesAndEmbedding);
        let mut tensors = Tensors::new();
        let context = tensors.context;
        // SAFETY: as above.
        let (found, expected) = unsafe {
            let [w, t, s] = [width, tokens, sequences].map(|extent| extent as i64);
            let vector = || sys::ggml_new_tensor_3d(context, sys::GGML_TYPE_F32, w, t, s);
            let (gate, up) = (vector(), vector());
            let [ours, reference] =
                [0, 1].map(|_| sys::ggml_swiglu_split(context, gate, up));
            tensors.place(sys::ggml_backend_cpu_buffer_type());
            for (tensor, salt, size) in [(gate, 0, 30.0), (up, 1, 1.0)] {
                let values = random(width * tokens * sequences, seed ^ salt);
                set(tensor, &values.into_iter().map(|value| value * size).collect::<Vec<_>>());
            }
            compute_both(context, ours, reference);
            (get(ours), get(reference))
        };
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            prop_assert!((found - expected).abs() <= 3e-6 * expected.abs() + 1e-12,
                "{at}: {found}, not {expected}");
        }
    }
}

/// Other gates, and those of what does not lie side by side, are the CPU backend's.
#[test]
fn only_gates_that_are_known_are_taken() {
    let _turn = Turn::new(Take::MatricesAndEmbedding);
    let tensors = Tensors::new();
    let context = tensors.context;
    // SAFETY: ggml's functions with tensors of theirs; the backend is freed once.
    unsafe {
        let device = sys::ggml_backend_dev_init(device(), std::ptr::null());
        let vector = || sys::ggml_new_tensor_2d(context, sys::GGML_TYPE_F32, 8, 3);
        let (gate, up) = (vector(), vector());
        let is_taken = |node| sys::ggml_backend_supports_op(device, node);
        assert!(is_taken(sys::ggml_swiglu_split(context, gate, up)));
        assert!(!is_taken(sys::ggml_geglu_split(context, gate, up)));
        assert!(!is_taken(sys::ggml_swiglu(context, gate)));
        let part = |of| sys::ggml_view_2d(context, of, 4, 3, 32, 0);
        let parts = sys::ggml_swiglu_split(context, part(gate), part(up));
        assert!(!is_taken(parts));
        sys::ggml_backend_free(device);
    }
}
