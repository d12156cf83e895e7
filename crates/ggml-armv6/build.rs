//! Says whether the kernels in assembly can be used, as `cfg(armv6_kernels)`: on ARM cores that
//! have the instructions of `ARMv6` and VFPv2. rustc does not tell a program which version of the
//! architecture it is for, so the target's name does; all others get the portable kernels, and so
//! does Miri, which executes no assembly.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(armv6_kernels)");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let has_instructions = variable("CARGO_CFG_TARGET_ARCH") == "arm"
        && variable("CARGO_CFG_TARGET_ABI") == "eabihf"
        && has_armv6(&variable("TARGET"));
    if has_instructions && env::var_os("CARGO_CFG_MIRI").is_none() {
        println!("cargo::rustc-cfg=armv6_kernels");
    }
}

/// Whether a target's processors execute A32 instructions of `ARMv6`: `arm` is that, `armv4t` and
/// `armv5te` are older, and the `thumb` targets have no A32.
fn has_armv6(target: &str) -> bool {
    let architecture = target.split('-').next().unwrap_or_default();
    architecture == "arm"
        || ["armv6", "armv7"]
            .iter()
            .any(|name| architecture.starts_with(name))
}
