//! The functions of QEMU's plugin interface that are used here, version 1, as in
//! `include/qemu/qemu-plugin.h` of QEMU 7.2.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// `QEMU_PLUGIN_VERSION`: QEMU 7.2 refuses a plugin that asks for another.
pub const VERSION: c_int = 1;
/// `QEMU_PLUGIN_CB_NO_REGS`: a callback does not touch the guest's registers.
pub const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_MEM_RW`: 7.2 calls back for loads only when stores are asked for as well.
pub const READS_AND_WRITES: c_int = 3;

/// `qemu_plugin_id_t`.
pub type Id = u64;
/// `qemu_plugin_vcpu_udata_cb_t`.
pub type BlockExecuted = unsafe extern "C" fn(c_uint, *mut c_void);
/// `qemu_plugin_vcpu_mem_cb_t`.
pub type MemoryAccessed = unsafe extern "C" fn(c_uint, u32, u64, *mut c_void);

/// `struct qemu_plugin_tb`.
#[repr(C)]
pub struct Block {
    _opaque: [u8; 0],
}

/// `struct qemu_plugin_insn`.
#[repr(C)]
pub struct Insn {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(
        id: Id,
        callback: unsafe extern "C" fn(Id, *mut Block),
    );
    pub fn qemu_plugin_register_atexit_cb(
        id: Id,
        callback: unsafe extern "C" fn(Id, *mut c_void),
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut Block,
        callback: BlockExecuted,
        flags: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_mem_cb(
        insn: *mut Insn,
        callback: MemoryAccessed,
        flags: c_int,
        which: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub fn qemu_plugin_tb_vaddr(block: *const Block) -> u64;
    pub fn qemu_plugin_tb_get_insn(block: *const Block, place: usize) -> *mut Insn;
    pub fn qemu_plugin_insn_data(insn: *const Insn) -> *const c_void;
    pub fn qemu_plugin_insn_size(insn: *const Insn) -> usize;
    pub fn qemu_plugin_mem_is_store(info: u32) -> bool;
    pub fn qemu_plugin_path_to_binary() -> *const c_char;
    pub fn qemu_plugin_entry_code() -> u64;
}
