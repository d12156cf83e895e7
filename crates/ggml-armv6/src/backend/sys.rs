//! ggml's tables of functions, as `ggml-backend-impl.h` declares them for version 3 of its
//! interface. They are private to ggml, so the bindings of `llama-cpp-sys-2` do not have them.
//!
//! The order of the fields is ggml's, and all that a program can check of it is checked before the
//! tables are used: [`check`] reads objects that ggml made through these structures and compares
//! them with what ggml's public functions say. Another version is refused, never guessed at.
//!
//! Used by the other modules of `backend`, and by nothing else.

use std::ffi::{c_char, c_int, c_void};

use llama_cpp_sys_2 as ggml;
use llama_cpp_sys_2::{ggml_cgraph, ggml_status, ggml_tensor};

use super::RegisterError;

/// `GGML_BACKEND_API_VERSION` of the header that these structures follow.
pub const API_VERSION: c_int = 3;

/// A function that is never called here, or that this backend leaves out: any pointer.
pub type Unused = Option<unsafe extern "C" fn()>;

/// `ggml_backend_buffer_type_t`.
pub type BufferTypePtr = *mut BufferType;
/// `ggml_backend_buffer_t`.
pub type BufferPtr = *mut Buffer;
/// `ggml_backend_t`.
pub type BackendPtr = *mut Backend;
/// `ggml_backend_dev_t`.
pub type DevicePtr = *mut Device;
/// `ggml_backend_reg_t`.
pub type RegistryPtr = *mut Registry;

/// `struct ggml_backend_buffer_type_i`.
#[repr(C)]
pub struct BufferTypeTable {
    pub get_name: Option<unsafe extern "C" fn(BufferTypePtr) -> *const c_char>,
    pub alloc_buffer: Option<unsafe extern "C" fn(BufferTypePtr, usize) -> BufferPtr>,
    pub alloc_buffer_n: Unused,
    pub get_alignment: Option<unsafe extern "C" fn(BufferTypePtr) -> usize>,
    pub get_max_size: Unused,
    pub get_alloc_size: Option<unsafe extern "C" fn(BufferTypePtr, *const ggml_tensor) -> usize>,
    pub get_alloc_size_n: Unused,
    pub is_host: Option<unsafe extern "C" fn(BufferTypePtr) -> bool>,
}

/// `struct ggml_backend_buffer_type`.
#[repr(C)]
pub struct BufferType {
    pub table: BufferTypeTable,
    pub device: DevicePtr,
    pub context: *mut c_void,
}

/// `struct ggml_backend_buffer_i`.
#[repr(C)]
pub struct BufferTable {
    pub free_buffer: Option<unsafe extern "C" fn(BufferPtr)>,
    pub get_base: Option<unsafe extern "C" fn(BufferPtr) -> *mut c_void>,
    pub init_tensor: Option<unsafe extern "C" fn(BufferPtr, *mut ggml_tensor) -> ggml_status>,
    pub memset_tensor: Option<unsafe extern "C" fn(BufferPtr, *mut ggml_tensor, u8, usize, usize)>,
    pub set_tensor:
        Option<unsafe extern "C" fn(BufferPtr, *mut ggml_tensor, *const c_void, usize, usize)>,
    pub get_tensor:
        Option<unsafe extern "C" fn(BufferPtr, *const ggml_tensor, *mut c_void, usize, usize)>,
    pub set_tensor_2d: Unused,
    pub get_tensor_2d: Unused,
    pub cpy_tensor: Unused,
    pub clear: Option<unsafe extern "C" fn(BufferPtr, u8)>,
    pub reset: Unused,
}

/// `struct ggml_backend_buffer`.
#[repr(C)]
pub struct Buffer {
    pub table: BufferTable,
    pub buffer_type: BufferTypePtr,
    pub context: *mut c_void,
    pub size: usize,
    pub usage: ggml::ggml_backend_buffer_usage,
}

/// `struct ggml_backend_i`.
#[repr(C)]
pub struct BackendTable {
    pub get_name: Option<unsafe extern "C" fn(BackendPtr) -> *const c_char>,
    pub free: Option<unsafe extern "C" fn(BackendPtr)>,
    pub set_tensor_async: Unused,
    pub get_tensor_async: Unused,
    pub set_tensor_2d_async: Unused,
    pub get_tensor_2d_async: Unused,
    pub cpy_tensor_async: Unused,
    pub synchronize: Unused,
    pub graph_plan_create: Unused,
    pub graph_plan_free: Unused,
    pub graph_plan_update: Unused,
    pub graph_plan_compute: Unused,
    pub graph_compute: Option<unsafe extern "C" fn(BackendPtr, *mut ggml_cgraph) -> ggml_status>,
    pub event_record: Unused,
    pub event_wait: Unused,
    pub graph_optimize: Unused,
}

/// `struct ggml_backend`.
#[repr(C)]
pub struct Backend {
    pub guid: *mut [u8; 16],
    pub table: BackendTable,
    pub device: DevicePtr,
    pub context: *mut c_void,
}

/// `struct ggml_backend_device_i`.
#[repr(C)]
pub struct DeviceTable {
    pub get_name: Option<unsafe extern "C" fn(DevicePtr) -> *const c_char>,
    pub get_description: Option<unsafe extern "C" fn(DevicePtr) -> *const c_char>,
    pub get_memory: Option<unsafe extern "C" fn(DevicePtr, *mut usize, *mut usize)>,
    pub get_type: Option<unsafe extern "C" fn(DevicePtr) -> ggml::ggml_backend_dev_type>,
    pub get_props: Option<unsafe extern "C" fn(DevicePtr, *mut ggml::ggml_backend_dev_props)>,
    pub init_backend: Option<unsafe extern "C" fn(DevicePtr, *const c_char) -> BackendPtr>,
    pub get_buffer_type: Option<unsafe extern "C" fn(DevicePtr) -> BufferTypePtr>,
    pub get_host_buffer_type: Unused,
    pub buffer_from_host_ptr: Unused,
    pub supports_op: Option<unsafe extern "C" fn(DevicePtr, *const ggml_tensor) -> bool>,
    pub supports_buft: Option<unsafe extern "C" fn(DevicePtr, BufferTypePtr) -> bool>,
    pub offload_op: Unused,
    pub event_new: Unused,
    pub event_free: Unused,
    pub event_synchronize: Unused,
}

/// `struct ggml_backend_device`.
#[repr(C)]
pub struct Device {
    pub table: DeviceTable,
    pub registry: RegistryPtr,
    pub context: *mut c_void,
}

/// `struct ggml_backend_reg_i`.
#[repr(C)]
pub struct RegistryTable {
    pub get_name: Option<unsafe extern "C" fn(RegistryPtr) -> *const c_char>,
    pub get_device_count: Option<unsafe extern "C" fn(RegistryPtr) -> usize>,
    pub get_device: Option<unsafe extern "C" fn(RegistryPtr, usize) -> DevicePtr>,
    pub get_proc_address: Option<unsafe extern "C" fn(RegistryPtr, *const c_char) -> *mut c_void>,
}

/// `struct ggml_backend_reg`.
#[repr(C)]
pub struct Registry {
    pub api_version: c_int,
    pub table: RegistryTable,
    pub context: *mut c_void,
}

// SAFETY: tables of functions and of addresses of other such tables. Nobody writes to them: neither
// this crate, nor ggml, which has no reason to change what a backend gave it.
unsafe impl Sync for BufferType {}
// SAFETY: as above.
unsafe impl Sync for Device {}
// SAFETY: as above.
unsafe impl Sync for Registry {}

unsafe extern "C" {
    /// `ggml_backend_buffer_init`: a buffer is freed by ggml, with its own allocator, so it must
    /// come from there.
    pub fn ggml_backend_buffer_init(
        buffer_type: BufferTypePtr,
        table: BufferTable,
        context: *mut c_void,
        size: usize,
    ) -> BufferPtr;
}

/// Sizes in pointers, as the C declarations count them.
const _: () = {
    const POINTER: usize = size_of::<*mut c_void>();
    assert!(size_of::<BufferTypeTable>() == 8 * POINTER);
    assert!(size_of::<BufferType>() == 10 * POINTER);
    assert!(size_of::<BufferTable>() == 11 * POINTER);
    assert!(size_of::<Buffer>() == 15 * POINTER);
    assert!(size_of::<BackendTable>() == 16 * POINTER);
    assert!(size_of::<Backend>() == 19 * POINTER);
    assert!(size_of::<DeviceTable>() == 15 * POINTER);
    assert!(size_of::<Device>() == 17 * POINTER);
    assert!(size_of::<RegistryTable>() == 4 * POINTER);
    assert!(size_of::<Registry>() == 6 * POINTER);
    assert!(std::mem::offset_of!(Registry, table) == POINTER);
    // The bindings must be those of this target: they are written for each by bindgen.
    assert!(size_of::<ggml::ggml_backend_buffer_usage>() == size_of::<u32>());
    assert!(size_of::<ggml_status>() == size_of::<c_int>());
};

/// Whether the ggml in this program has the interface that is written down here.
///
/// # Errors
/// What differs.
pub fn check() -> Result<(), RegisterError> {
    // SAFETY: returns the address of a static of the CPU backend. Its first field has been the
    // version since there is one.
    let version = unsafe {
        ggml::ggml_backend_cpu_reg()
            .cast::<c_int>()
            .as_ref()
            .copied()
    };
    match version {
        Some(API_VERSION) => {}
        found => {
            return Err(RegisterError::Version {
                found: found.unwrap_or(0),
                wanted: API_VERSION,
            });
        }
    }
    check_device().and_then(|()| check_buffer())
}

/// A device of ggml's own: the fields after a table are found only if the table has the right
/// length, and its functions only if they have the right order.
fn check_device() -> Result<(), RegisterError> {
    const CPU: ggml::ggml_backend_dev_type = ggml::GGML_BACKEND_DEVICE_TYPE_CPU;
    let differs = Err(RegisterError::Layout("a device"));
    // SAFETY: the CPU backend has one device; each is the address of a static or null.
    let device = unsafe { ggml::ggml_backend_dev_by_type(CPU) };
    if device.is_null() {
        return Err(RegisterError::Layout("the list of devices"));
    }
    // SAFETY: asks the device for its registry, by ggml's own function.
    let registry = unsafe { ggml::ggml_backend_dev_backend_reg(device) };
    // SAFETY: an object of at least this size under the version that was found; only pointers are
    // read, and compared before one is followed.
    let ours = unsafe { &*device.cast::<Device>() };
    if ours.registry.cast() != registry {
        return differs;
    }
    let Some(get_type) = ours.table.get_type else {
        return differs;
    };
    // SAFETY: the function of a table whose end lies where it should, on its own device.
    if unsafe { get_type(device.cast()) } != CPU {
        return differs;
    }
    Ok(())
}

/// A buffer of ggml's own, the same way.
fn check_buffer() -> Result<(), RegisterError> {
    /// Any size that is not the value of another field by chance.
    const PROBE_BYTES: usize = 96;
    // SAFETY: a buffer of the CPU's type, freed below.
    let buffer = unsafe {
        let buffer_type = ggml::ggml_backend_cpu_buffer_type();
        ggml::ggml_backend_buft_alloc_buffer(buffer_type, PROBE_BYTES)
    };
    if buffer.is_null() {
        return Err(RegisterError::Memory);
    }
    // SAFETY: the buffer is alive; its public functions are compared with plain fields.
    let same = unsafe {
        let ours = &*buffer.cast::<Buffer>();
        ours.buffer_type.cast() == ggml::ggml_backend_buffer_get_type(buffer)
            && ours.size == ggml::ggml_backend_buffer_get_size(buffer)
            && ours.usage == ggml::ggml_backend_buffer_get_usage(buffer)
            && (*ours.buffer_type).device.cast()
                == ggml::ggml_backend_buft_get_device(ours.buffer_type.cast())
    };
    // SAFETY: it came from ggml, and is freed once.
    unsafe { ggml::ggml_backend_buffer_free(buffer) };
    same.then_some(()).ok_or(RegisterError::Layout("a buffer"))
}
