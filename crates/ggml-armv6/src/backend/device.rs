//! The registry and its devices: the registered one for weights, and two for computations, of which
//! one takes part and one does not. Which of the two a context gets is decided when it is made
//! ([`super::Take`]), since llama.cpp gives each context a backend of every accelerator there is.

use std::ffi::{CStr, c_char, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

use llama_cpp_sys_2 as ggml;
use llama_cpp_sys_2::ggml_tensor;

use super::operation::{self, Attend, Gated, Product, Rows};
use super::sys::{
    API_VERSION, BackendPtr, BufferTypePtr, Device, DevicePtr, DeviceTable, Registry, RegistryPtr,
    RegistryTable,
};
use super::{Take, buffer, graph, warn};

const NAME: &CStr = c"ARMv6";
const DESCRIPTION: &CStr = c"matrix products with the SIMD instructions of ARMv6";

static REGISTRY: Registry = Registry {
    api_version: API_VERSION,
    table: RegistryTable {
        get_name: Some(registry_name),
        get_device_count: Some(device_count),
        get_device: Some(device_at),
        get_proc_address: Some(function),
    },
    context: std::ptr::null_mut(),
};

/// For weights: its type of buffer packs.
static REGISTERED: Device = device(Some(takes_weight), Some(packing_type));
/// For computations with packed matrices.
static COMPUTING: Device = device(Some(computes), Some(host_type));
/// For computations that are left to the CPU backend.
static IDLE: Device = device(Some(computes_nothing), Some(host_type));

type SupportsOperation = unsafe extern "C" fn(DevicePtr, *const ggml_tensor) -> bool;
type GetBufferType = unsafe extern "C" fn(DevicePtr) -> BufferTypePtr;

const fn device(supports_op: Option<SupportsOperation>, ty: Option<GetBufferType>) -> Device {
    Device {
        table: DeviceTable {
            get_name: Some(name),
            get_description: Some(description),
            get_memory: Some(memory),
            get_type: Some(kind),
            get_props: Some(properties),
            init_backend: Some(init_backend),
            get_buffer_type: ty,
            get_host_buffer_type: None,
            buffer_from_host_ptr: None,
            supports_op,
            supports_buft: Some(reads_buffers),
            offload_op: None,
            event_new: None,
            event_free: None,
            event_synchronize: None,
        },
        registry: registry(),
        context: std::ptr::null_mut(),
    }
}

/// What ggml is given.
pub const fn registry() -> RegistryPtr {
    (&raw const REGISTRY).cast_mut()
}

/// The device of the type of buffer that packs.
pub const fn registered() -> DevicePtr {
    (&raw const REGISTERED).cast_mut()
}

unsafe extern "C" fn registry_name(_: RegistryPtr) -> *const c_char {
    NAME.as_ptr()
}

unsafe extern "C" fn device_count(_: RegistryPtr) -> usize {
    1
}

unsafe extern "C" fn device_at(_: RegistryPtr, index: usize) -> DevicePtr {
    if index == 0 {
        registered()
    } else {
        std::ptr::null_mut()
    }
}

unsafe extern "C" fn function(_: RegistryPtr, name: *const c_char) -> *mut c_void {
    // SAFETY: ggml passes a C string.
    if unsafe { CStr::from_ptr(name) } == c"ggml_backend_set_abort_callback" {
        graph::set_abort_callback as *mut c_void
    } else {
        std::ptr::null_mut()
    }
}

unsafe extern "C" fn name(_: DevicePtr) -> *const c_char {
    NAME.as_ptr()
}

unsafe extern "C" fn description(_: DevicePtr) -> *const c_char {
    DESCRIPTION.as_ptr()
}

unsafe extern "C" fn memory(_: DevicePtr, free: *mut usize, total: *mut usize) {
    // None of its own. SAFETY: both are ggml's, to be written.
    unsafe {
        free.write(0);
        total.write(0);
    }
}

unsafe extern "C" fn kind(_: DevicePtr) -> ggml::ggml_backend_dev_type {
    ggml::GGML_BACKEND_DEVICE_TYPE_ACCEL
}

unsafe extern "C" fn properties(_: DevicePtr, out: *mut ggml::ggml_backend_dev_props) {
    let properties = ggml::ggml_backend_dev_props {
        name: NAME.as_ptr(),
        description: DESCRIPTION.as_ptr(),
        memory_free: 0,
        memory_total: 0,
        type_: ggml::GGML_BACKEND_DEVICE_TYPE_ACCEL,
        device_id: std::ptr::null(),
        caps: ggml::ggml_backend_dev_caps {
            async_: false,
            host_buffer: false,
            buffer_from_host_ptr: false,
            events: false,
            // Packing reads from the mapped file.
            mmap_support: true,
        },
    };
    // SAFETY: ggml's, to be written.
    unsafe { out.write(properties) };
}

unsafe extern "C" fn init_backend(_: DevicePtr, _: *const c_char) -> BackendPtr {
    let device = if Take::current() == Take::Nothing {
        &raw const IDLE
    } else {
        &raw const COMPUTING
    };
    graph::new_backend(device.cast_mut())
}

unsafe extern "C" fn packing_type(_: DevicePtr) -> BufferTypePtr {
    if Take::current() == Take::Nothing {
        // llama.cpp leaves out an accelerator whose type is the CPU's.
        host()
    } else {
        buffer::buffer_type()
    }
}

unsafe extern "C" fn host_type(_: DevicePtr) -> BufferTypePtr {
    host()
}

fn host() -> BufferTypePtr {
    // SAFETY: returns the address of a static.
    unsafe { ggml::ggml_backend_cpu_buffer_type() }.cast()
}

/// Whether vectors or matrices in such a buffer can be read where they are.
unsafe extern "C" fn reads_buffers(_: DevicePtr, buffer_type: BufferTypePtr) -> bool {
    // SAFETY: ggml passes a type of buffer.
    buffer_type == buffer::buffer_type()
        || unsafe { ggml::ggml_backend_buft_is_host(buffer_type.cast()) }
}

/// Whether a weight should be packed. llama.cpp asks with an operation that is like the one in
/// which it will be used, and with a buffer of the type in question in the weight.
unsafe extern "C" fn takes_weight(_: DevicePtr, node: *const ggml_tensor) -> bool {
    // SAFETY: ggml passes a tensor.
    let Some(node) = (unsafe { node.as_ref() }) else {
        return false;
    };
    // SAFETY: sources are null or tensors.
    let Some(weight) = (unsafe { node.src[0].as_ref() }) else {
        return false;
    };
    if !buffer::holds(weight) {
        return false;
    }
    let wanted = match node.op {
        ggml::GGML_OP_MUL_MAT => Take::current() != Take::Nothing,
        ggml::GGML_OP_GET_ROWS => Take::current() == Take::MatricesAndEmbedding,
        _ => false,
    };
    let taken = wanted && operation::layout_of(weight).is_some();
    if wanted && !taken {
        say_once(weight);
    }
    taken
}

/// A type of matrix that stays with the CPU backend is said once in the life of the process.
fn say_once(weight: &ggml_tensor) {
    static SAID: AtomicU64 = AtomicU64::new(0);
    let bit = 1_u64.checked_shl(weight.type_).unwrap_or(1);
    if SAID.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return;
    }
    // SAFETY: the type of a tensor that ggml made: a static string.
    let kind = unsafe { CStr::from_ptr(ggml::ggml_type_name(weight.type_)) }.to_string_lossy();
    let [columns, rows, ..] = weight.ne;
    warn(&format!(
        "matrices of type {kind}, such as one of {rows} x {columns}, stay with the CPU backend"
    ));
}

/// Whether a node of a computation is ours.
unsafe extern "C" fn computes(_: DevicePtr, node: *const ggml_tensor) -> bool {
    // SAFETY: ggml passes a tensor.
    let Some(node) = (unsafe { node.as_ref() }) else {
        return false;
    };
    match node.op {
        ggml::GGML_OP_NONE
        | ggml::GGML_OP_RESHAPE
        | ggml::GGML_OP_VIEW
        | ggml::GGML_OP_PERMUTE
        | ggml::GGML_OP_TRANSPOSE => true,
        // SAFETY: the node is a tensor of ggml's, and so are its sources.
        ggml::GGML_OP_MUL_MAT => unsafe { Product::of(node) }.is_some(),
        // SAFETY: the same.
        ggml::GGML_OP_GET_ROWS => unsafe { Rows::of(node) }.is_some(),
        // SAFETY: the same.
        ggml::GGML_OP_FLASH_ATTN_EXT => unsafe { Attend::of(node) }.is_some(),
        // SAFETY: the same.
        ggml::GGML_OP_GLU => unsafe { Gated::of(node) }.is_some(),
        _ => false,
    }
}

unsafe extern "C" fn computes_nothing(_: DevicePtr, _: *const ggml_tensor) -> bool {
    false
}
