//! The backend inside llama.cpp and ggml: what becomes of a model that is loaded with it, and what
//! ggml's own functions get from its buffers and its computation.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::ffi::{CString, c_void};
use std::path::Path;

use genmodel::{Format, Shape, Spec};
use ggml_armv6::Take;
use ggml_armv6::pack::Layout;
use llama_cpp_sys_2 as sys;

use support::{LOG, Tensors, Turn, device, numbers, packing_type, quantised};

/// A model with a context, in which one token has been computed.
fn compute_one_token(path: &Path) {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: llama.cpp's functions in their order, with what they gave; all is freed once.
    unsafe {
        let mut params = sys::llama_model_default_params();
        params.load_mode = sys::LLAMA_LOAD_MODE_MMAP;
        params.use_extra_bufts = false;
        let model = sys::llama_model_load_from_file(path.as_ptr(), params);
        assert!(!model.is_null(), "{}", LOG.lock().unwrap());
        let mut params = sys::llama_context_default_params();
        params.n_ctx = 64;
        params.n_batch = 8;
        params.n_ubatch = 8;
        params.n_threads = 1;
        params.n_threads_batch = 1;
        params.flash_attn_type = sys::LLAMA_FLASH_ATTN_TYPE_ENABLED;
        let context = sys::llama_init_from_model(model, params);
        assert!(!context.is_null());
        let mut token = 300;
        let status = sys::llama_decode(context, sys::llama_batch_get_one(&raw mut token, 1));
        assert_eq!(status, 0);
        sys::llama_free(context);
        sys::llama_model_free(model);
    }
}

/// The size in MiB that llama.cpp reports for the weights in a kind of buffer.
fn model_buffer_mebibytes(log: &str, kind: &str) -> Option<f64> {
    let line = log
        .lines()
        .find(|line| line.contains(&format!("{kind} model buffer size")))?;
    line.split('=')
        .next_back()?
        .trim()
        .trim_end_matches("MiB")
        .trim()
        .parse()
        .ok()
}

const fn q4_0(rows: u64, columns: u64) -> (u32, u64, u64) {
    (sys::GGML_TYPE_Q4_0, rows, columns)
}

fn packed_bytes(matrices: &[(u32, u64, u64)]) -> usize {
    let bytes = matrices.iter().map(|&(kind, rows, columns)| {
        let layout = Layout::of(kind, rows.try_into().unwrap(), columns.try_into().unwrap());
        layout.unwrap().bytes().next_multiple_of(32)
    });
    bytes.sum()
}

/// Two layers of a model with heads in groups.
fn two_layers(tied: bool) -> Shape {
    Shape {
        layers: 2,
        vocabulary: 5_000,
        tied,
        ..Shape::smollm2_135m()
    }
}

fn layer_matrices() -> Vec<(u32, u64, u64)> {
    let [q, out] = [q4_0(576, 576); 2];
    let [k, v] = [q4_0(192, 576); 2];
    let [gate, up] = [q4_0(1_536, 576); 2];
    let layer = [q, k, v, out, gate, up, q4_0(576, 1_536)];
    [layer, layer].concat()
}

#[expect(clippy::cast_precision_loss, reason = "far below where it matters")]
fn assert_mebibytes(found: Option<f64>, bytes: usize) {
    let found = found.expect("a line with the size");
    let expected = bytes as f64 / f64::from(1 << 20);
    assert!(
        (found - expected).abs() < 0.01,
        "{found} MiB, expected {expected}"
    );
}

/// The embedding that is the output matrix too is in memory once, packed.
#[test]
fn a_tied_embedding_is_held_once() {
    let turn = Turn::new(Take::MatricesAndEmbedding);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    Spec::new(two_layers(true), Format::Q4_0)
        .write(&path)
        .unwrap();
    compute_one_token(&path);
    let log = turn.log();
    let embedding = (sys::GGML_TYPE_Q8_0, 5_000, 576);
    let bytes = packed_bytes(&[&layer_matrices()[..], &[embedding]].concat());
    assert_mebibytes(model_buffer_mebibytes(&log, "ARMv6"), bytes);
}

/// One that is only looked up in stays in the file.
#[test]
fn an_embedding_beside_an_output_matrix_stays_mapped() {
    let turn = Turn::new(Take::Matrices);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    Spec::new(two_layers(false), Format::Q4_0)
        .write(&path)
        .unwrap();
    compute_one_token(&path);
    let log = turn.log();
    let output = (sys::GGML_TYPE_Q8_0, 5_000, 576);
    let bytes = packed_bytes(&[&layer_matrices()[..], &[output]].concat());
    assert_mebibytes(model_buffer_mebibytes(&log, "ARMv6"), bytes);
}

/// Both backends take turns, and nothing is copied between them.
#[test]
fn splits_have_no_inputs_to_copy() {
    let turn = Turn::new(Take::MatricesAndEmbedding);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    Spec::new(two_layers(true), Format::Q4_0)
        .write(&path)
        .unwrap();
    compute_one_token(&path);
    let log = turn.log();
    // The last graph is that of the token.
    let graph = log.rsplit("## SPLIT #0:").next().unwrap();
    let splits: Vec<&str> = graph
        .lines()
        .filter(|line| line.contains("inputs"))
        .collect();
    assert!(
        splits.iter().all(|line| line.contains("# 0 inputs")),
        "{splits:#?}"
    );
    // Four of ours in each layer (queries; keys and values; attention with its output; the
    // feed-forward part), each with one of the CPU's before it, the embedding, and the output with
    // its norm.
    println!("{} splits for 2 layers", splits.len());
    assert_eq!(splits.len(), 2 * 8 + 3, "{splits:#?}");
    let ours = splits.iter().filter(|line| line.contains("ARMv6"));
    assert_eq!(ours.count(), 2 * 4 + 2, "{splits:#?}");
}

#[test]
fn a_model_that_is_not_to_be_taken_is_left_alone() {
    let turn = Turn::new(Take::Nothing);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    Spec::new(two_layers(true), Format::Q4_0)
        .write(&path)
        .unwrap();
    compute_one_token(&path);
    let log = turn.log();
    assert_eq!(model_buffer_mebibytes(&log, "ARMv6"), None);
    assert!(
        log.contains("splits = 1\n") || log.contains("splits = 1,"),
        "{log}"
    );
}

#[test]
fn a_type_that_is_not_taken_is_said_once() {
    let turn = Turn::new(Take::MatricesAndEmbedding);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    Spec::new(two_layers(true), Format::F32)
        .write(&path)
        .unwrap();
    compute_one_token(&path);
    compute_one_token(&path);
    let log = turn.log();
    let said = log
        .lines()
        .filter(|line| line.starts_with("ggml-armv6: matrices of type f32"));
    assert_eq!(said.count(), 1);
    assert_eq!(model_buffer_mebibytes(&log, "ARMv6"), None);
}

#[test]
fn registering_again_changes_nothing() {
    let _turn = Turn::new(Take::MatricesAndEmbedding);
    // SAFETY: counts a list that nobody changes now.
    let count = || unsafe { sys::ggml_backend_dev_count() };
    let before = count();
    let threads: Vec<_> = (0..4)
        .map(|_| std::thread::spawn(ggml_armv6::register))
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), Ok(()));
    }
    assert_eq!(count(), before);
}

#[test]
fn a_matrix_can_be_read_back_and_is_never_written_in_part() {
    let turn = Turn::new(Take::MatricesAndEmbedding);
    let mut tensors = Tensors::new();
    // SAFETY: ggml's functions with a tensor of theirs that has a place, and buffers of its size.
    unsafe {
        let tensor = sys::ggml_new_tensor_2d(tensors.context, sys::GGML_TYPE_Q8_0, 96, 7);
        tensors.place(packing_type());
        let bytes = quantised(sys::GGML_TYPE_Q8_0, 7, 96);
        sys::ggml_backend_tensor_set(tensor, bytes.as_ptr().cast(), 34, bytes.len() - 34);
        assert!(turn.log().contains("can only be written as a whole"));
        let mut read = vec![0_u8; bytes.len()];
        sys::ggml_backend_tensor_get(tensor, read.as_mut_ptr().cast(), 0, read.len());
        assert!(turn.log().contains("a matrix was read that is not there"));
        sys::ggml_backend_tensor_set(tensor, bytes.as_ptr().cast(), 0, bytes.len());
        sys::ggml_backend_tensor_get(tensor, read.as_mut_ptr().cast(), 0, read.len());
        let off_by_more = read
            .iter()
            .zip(&bytes)
            .filter(|(a, b)| a.abs_diff(**b) > 1)
            .count();
        // Scales are rounded to 16 bits of the row's largest, so a few end in another last digit.
        assert!(
            off_by_more * 20 < bytes.len(),
            "{off_by_more} of {}",
            bytes.len()
        );
        let mut part = vec![0_u8; 50];
        sys::ggml_backend_tensor_get(tensor, part.as_mut_ptr().cast(), 90, part.len());
        assert_eq!(part, read[90..140]);
    }
}

#[test]
fn memory_that_is_not_there_is_no_buffer() {
    let _turn = Turn::new(Take::MatricesAndEmbedding);
    // SAFETY: asks for buffers of sizes that can be had or not.
    unsafe {
        let huge = sys::ggml_backend_buft_alloc_buffer(packing_type(), usize::MAX / 2 + 1);
        assert!(huge.is_null());
        let none = sys::ggml_backend_buft_alloc_buffer(packing_type(), 0);
        assert!(!none.is_null());
        sys::ggml_backend_buffer_free(none);
    }
}

/// The product of a matrix with vectors that lie in two directions, the second one nearer.
#[test]
fn vectors_may_lie_in_several_directions() {
    const COLUMNS: usize = 64;
    const ROWS: usize = 10;
    let _turn = Turn::new(Take::MatricesAndEmbedding);
    let (mut weights, mut vectors) = (Tensors::new(), Tensors::new());
    // SAFETY: ggml's functions with tensors of theirs, in an order that ggml allows.
    let (out, status) = unsafe {
        let matrix = sys::ggml_new_tensor_2d(weights.context, sys::GGML_TYPE_Q8_0, 64, 10);
        weights.place(packing_type());
        let bytes = quantised(sys::GGML_TYPE_Q8_0, ROWS, COLUMNS);
        sys::ggml_backend_tensor_set(matrix, bytes.as_ptr().cast(), 0, bytes.len());

        let plain = sys::ggml_new_tensor_3d(vectors.context, sys::GGML_TYPE_F32, 64, 3, 5);
        let turned = sys::ggml_permute(vectors.context, plain, 0, 2, 1, 3);
        let product = sys::ggml_mul_mat(vectors.context, matrix, turned);
        assert!(sys::ggml_backend_dev_buffer_type(device()) == packing_type());
        let graph = sys::ggml_new_graph(vectors.context);
        sys::ggml_build_forward_expand(graph, product);
        vectors.place(sys::ggml_backend_cpu_buffer_type());
        let values = numbers(COLUMNS * 15);
        sys::ggml_backend_tensor_set(plain, values.as_ptr().cast(), 0, values.len() * 4);

        let backend = sys::ggml_backend_dev_init(device(), std::ptr::null());
        assert!(sys::ggml_backend_supports_op(backend, product));
        let status = sys::ggml_backend_graph_compute(backend, graph);
        sys::ggml_backend_free(backend);
        let mut out = vec![0.0_f32; ROWS * 15];
        sys::ggml_backend_tensor_get(product, out.as_mut_ptr().cast(), 0, out.len() * 4);
        (out, status)
    };
    assert_eq!(status, sys::GGML_STATUS_SUCCESS);
    let (weights, values) = (numbers(ROWS * COLUMNS), numbers(COLUMNS * 15));
    for (at, found) in out.iter().enumerate() {
        let (row, vector) = (at % ROWS, at / ROWS);
        // Vector number (i, j) of the turned tensor is (j, i) of the plain one.
        let source = vector % 5 * 3 + vector / 5;
        let pairs = weights[row * COLUMNS..][..COLUMNS]
            .iter()
            .zip(&values[source * COLUMNS..]);
        let expected: f32 = pairs.map(|(a, b)| a * b).sum();
        assert!(
            (found - expected).abs() < 0.05,
            "{at}: {found}, expected {expected}"
        );
    }
}

#[test]
fn a_computation_ends_when_it_is_asked_to_and_fails_without_a_matrix() {
    unsafe extern "C" fn stop(_: *mut c_void) -> bool {
        true
    }
    type Set = unsafe extern "C" fn(sys::ggml_backend_t, sys::ggml_abort_callback, *mut c_void);
    let _turn = Turn::new(Take::MatricesAndEmbedding);
    let (mut weights, mut vectors) = (Tensors::new(), Tensors::new());
    // SAFETY: ggml's functions with tensors of theirs; the function of that name has that type.
    unsafe {
        let matrix = sys::ggml_new_tensor_2d(weights.context, sys::GGML_TYPE_Q4_0, 32, 4);
        weights.place(packing_type());
        let vector = sys::ggml_new_tensor_1d(vectors.context, sys::GGML_TYPE_F32, 32);
        let product = sys::ggml_mul_mat(vectors.context, matrix, vector);
        let graph = sys::ggml_new_graph(vectors.context);
        sys::ggml_build_forward_expand(graph, product);
        vectors.place(sys::ggml_backend_cpu_buffer_type());
        let backend = sys::ggml_backend_dev_init(device(), std::ptr::null());
        let compute = || sys::ggml_backend_graph_compute(backend, graph);
        // The matrix has a place and was never written.
        assert_eq!(compute(), sys::GGML_STATUS_FAILED);
        let registry = sys::ggml_backend_dev_backend_reg(device());
        let name = c"ggml_backend_set_abort_callback".as_ptr();
        let set = sys::ggml_backend_reg_get_proc_address(registry, name);
        let set = std::mem::transmute::<*mut c_void, Set>(set);
        set(backend, Some(stop), std::ptr::null_mut());
        assert_eq!(compute(), sys::GGML_STATUS_ABORTED);
        sys::ggml_backend_free(backend);
    }
}
