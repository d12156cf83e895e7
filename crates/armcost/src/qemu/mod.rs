//! The edge to QEMU: installs the callbacks, gives each translated block its data, and hands on
//! what happens to the [`Watch`].
//!
//! QEMU calls from the thread of the guest's thread that is running. The first of these, number 0,
//! is the only one that is watched, so the watch is never used by two at a time.

mod abi;
mod watch;

use std::cell::UnsafeCell;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::block::Code;
use crate::insn::Access;
use crate::lengths::Lengths;
use crate::prefetch::anchors;
use crate::symbols::{SymbolError, Symbols};
use watch::{Site, Watch, Watched};

/// Names of functions that begin a region.
const MARK_PREFIX: &str = "promptstick_mark_";
/// Bytes of an instruction of the A32 set.
const WORD_BYTES: usize = 4;

/// In the place of what is not of that set: `NOP`.
const NO_OPERATION: u32 = 0xe320_f000;

/// Asked for by QEMU before anything else.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = abi::VERSION;

static PLUGIN: OnceLock<Plugin> = OnceLock::new();

struct Plugin {
    out: PathBuf,
    symbols: OnceLock<Symbols>,
    lengths: Mutex<Lengths>,
    watch: FirstThread,
}

/// The watch, for callbacks of the guest's first thread only.
struct FirstThread(UnsafeCell<Watch>);

// SAFETY: `FirstThread::get` demands that only one thread uses it at a time, and what it holds and
// refers to is used through it alone, but for parts of blocks that never change.
unsafe impl Sync for FirstThread {}
// SAFETY: as above; nothing in it belongs to the thread that made it.
unsafe impl Send for FirstThread {}

impl FirstThread {
    /// # Safety
    /// Only from callbacks about the guest's thread 0, or when the guest has ended; and what was
    /// given before must be in use no longer.
    #[allow(clippy::mut_from_ref, reason = "that is what the cell is for")]
    unsafe fn get(&self) -> &mut Watch {
        // SAFETY: by the caller's promise nobody else has it.
        unsafe { &mut *self.0.get() }
    }
}

/// What the command line of the plugin says.
struct Arguments {
    out: PathBuf,
    all: bool,
}

/// Called by QEMU when it loads the plugin. Anything but 0 ends QEMU.
///
/// # Safety
/// `arguments` are `count` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: abi::Id,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    let each = (0..usize::try_from(count).unwrap_or(0)).map(|place| {
        // SAFETY: as many strings as QEMU says.
        unsafe { CStr::from_ptr(*arguments.add(place)) }.to_bytes()
    });
    let arguments = match parse(each) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("armcost: {why}");
            return 1;
        }
    };
    let plugin = Plugin {
        out: arguments.out,
        symbols: OnceLock::new(),
        lengths: Mutex::default(),
        watch: FirstThread(UnsafeCell::new(Watch::new(arguments.all))),
    };
    if PLUGIN.set(plugin).is_err() {
        eprintln!("armcost: loaded twice");
        return 1;
    }
    // SAFETY: the callbacks are functions of the right types that live for ever.
    unsafe {
        abi::qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
        abi::qemu_plugin_register_atexit_cb(id, ended, std::ptr::null_mut());
    }
    0
}

fn parse<'a>(arguments: impl Iterator<Item = &'a [u8]>) -> Result<Arguments, String> {
    let mut out = None;
    let mut all = false;
    for argument in arguments {
        if let Some(path) = argument.strip_prefix(b"out=") {
            out = Some(PathBuf::from(OsStr::from_bytes(path)));
        } else if argument == b"all=on" {
            all = true;
        } else {
            let argument = String::from_utf8_lossy(argument);
            return Err(format!(
                "no argument {argument}; there are out=FILE and all=on"
            ));
        }
    }
    let out = out.ok_or("say where to write the counts: out=FILE")?;
    Ok(Arguments { out, all })
}

/// The program's symbols: read when its first block is translated, because it is not known before.
fn symbols(plugin: &Plugin) -> &Symbols {
    plugin.symbols.get_or_init(|| {
        // SAFETY: the string is QEMU's own copy for us; nobody frees it.
        let path = unsafe { abi::qemu_plugin_path_to_binary() };
        if path.is_null() {
            return Symbols::default();
        }
        // SAFETY: not null, and a string.
        let path = unsafe { CStr::from_ptr(path) };
        let path = Path::new(OsStr::from_bytes(path.to_bytes()));
        let file = std::fs::read(path).unwrap_or_default();
        let read = Symbols::read(&file).and_then(|symbols| {
            // SAFETY: takes nothing.
            let entry = unsafe { abi::qemu_plugin_entry_code() };
            // A file that is loaded elsewhere than it says has no symbols here.
            match u64::from(symbols.entry) == entry {
                true => Ok(symbols),
                false => Err(SymbolError::Format),
            }
        });
        read.unwrap_or_else(|error| {
            eprintln!("armcost: {}: {error}", path.display());
            Symbols::default()
        })
    })
}

/// A block was translated, and may be executed from now on, often.
unsafe extern "C" fn translated(_: abi::Id, block: *mut abi::Block) {
    let Some(plugin) = PLUGIN.get() else {
        return;
    };
    // SAFETY: the block is QEMU's, and alive during this call.
    let (at, count) = unsafe {
        (
            abi::qemu_plugin_tb_vaddr(block),
            abi::qemu_plugin_tb_n_insns(block),
        )
    };
    let Ok(at) = u32::try_from(at) else {
        return;
    };
    // SAFETY: places below the count.
    let handles = (0..count).map(|place| unsafe { abi::qemu_plugin_tb_get_insn(block, place) });
    let handles: Vec<_> = handles.collect();
    // SAFETY: the instructions are alive as long as the block.
    let words: Vec<_> = handles.iter().map(|&insn| unsafe { read(insn) }).collect();
    let symbols = symbols(plugin);
    let function = symbols.name(at).unwrap_or("?");
    let lengths = plugin.lengths.lock();
    let insns = lengths
        .unwrap_or_else(PoisonError::into_inner)
        .decode(function, &words);
    // QEMU keeps the pointer as long as it may execute the block, and does not say when it drops
    // it: it lives for ever.
    let watched: &'static Watched = Box::leak(Box::new(Watched::new(
        Code { at, insns },
        function,
        symbols.mark(at, MARK_PREFIX),
    )));
    // SAFETY: a function of the right type, and data that lives for ever.
    unsafe {
        let data = std::ptr::from_ref(watched).cast_mut().cast();
        abi::qemu_plugin_register_vcpu_tb_exec_cb(block, executed, abi::NO_REGISTERS, data);
    }
    watch_memory(watched, &handles);
}

/// Registers the callbacks for a block's loads and stores.
fn watch_memory(watched: &'static Watched, handles: &[*mut abi::Insn]) {
    let anchors = anchors(&watched.code.insns);
    watched.add_unknown_prefetches(anchors.unknown);
    for (place, (insn, &handle)) in watched.code.insns.iter().zip(handles).enumerate() {
        if !matches!(insn.access, Access::Data(_)) {
            continue;
        }
        let here = anchors.found.iter().filter(|(at, _)| *at == place);
        let site: &'static Site = Box::leak(Box::new(Site {
            block: watched,
            prefetches: here.map(|(_, distance)| *distance).collect(),
        }));
        // SAFETY: the instruction is the block's; the data lives for ever.
        unsafe {
            abi::qemu_plugin_register_vcpu_mem_cb(
                handle,
                accessed,
                abi::NO_REGISTERS,
                abi::READS_AND_WRITES,
                std::ptr::from_ref(site).cast_mut().cast(),
            );
        }
    }
}

/// # Safety
/// The instruction is alive.
unsafe fn read(insn: *mut abi::Insn) -> u32 {
    // SAFETY: by the caller's promise; its bytes are as many as its size.
    unsafe {
        if abi::qemu_plugin_insn_size(insn) != WORD_BYTES {
            return NO_OPERATION;
        }
        let word = abi::qemu_plugin_insn_data(insn).cast::<u32>();
        u32::from_le(word.read_unaligned())
    }
}

/// A block is about to be executed.
unsafe extern "C" fn executed(thread: c_uint, data: *mut c_void) {
    let (0, Some(plugin)) = (thread, PLUGIN.get()) else {
        return;
    };
    // SAFETY: the data is what `translated` registered; this is the first thread.
    unsafe {
        let block: &'static Watched = &*data.cast::<Watched>();
        plugin.watch.get().executed(block);
    }
}

/// A word was loaded or stored.
unsafe extern "C" fn accessed(thread: c_uint, info: u32, address: u64, data: *mut c_void) {
    let (0, Some(plugin)) = (thread, PLUGIN.get()) else {
        return;
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "addresses of the guest have 32 bits"
    )]
    let address = address as u32;
    // SAFETY: the data is what `watch_memory` registered; this is the first thread.
    unsafe {
        let site: &'static Site = &*data.cast::<Site>();
        let watch = plugin.watch.get();
        if watch.is_counting() {
            watch.accessed(site, address, abi::qemu_plugin_mem_is_store(info));
        }
    }
}

/// The program has ended.
unsafe extern "C" fn ended(_: abi::Id, _: *mut c_void) {
    let Some(plugin) = PLUGIN.get() else {
        return;
    };
    // SAFETY: nothing of the guest runs any more.
    let regions = unsafe { plugin.watch.get() }.finish();
    let text = serde_json::to_vec(&regions).unwrap_or_default();
    if let Err(error) = std::fs::write(&plugin.out, text) {
        eprintln!("armcost: cannot write {}: {error}", plugin.out.display());
    }
}
