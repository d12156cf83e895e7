//! The machines that guests are: a PC, and the Raspberry Pi Zero as QEMU knows it. What differs
//! between them is a row here; QEMU's options are in [`guest`](crate::guest). Used by every module
//! that fetches, builds or boots.

use std::time::Duration;

use labhost::init::{CARD_PARAMETER, EXPORT_PARAMETER, LINE_PARAMETER};

/// A kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Board {
    /// x86-64 with PCI.
    Pc,
    /// ARM1176, 512 MB, an SD card. QEMU's USB controller of this board is a host's only, so the
    /// gadget is bound to `dummy_udc` or `usbip-vudc`, as on a PC.
    PiZero,
}

impl Board {
    /// Debian's name for what its processor runs. For the Zero that is `armel`, the port whose
    /// kernels and programs an `ARMv6` core can run; `armhf` is for `ARMv7`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Pc => "amd64",
            Self::PiZero => "armel",
        }
    }

    /// The package that stands for a release's newest kernel for it.
    pub fn kernel_package(self) -> &'static str {
        match self {
            Self::Pc => "linux-image-amd64",
            Self::PiZero => "linux-image-rpi",
        }
    }

    /// The file that tells the kernel about the board, in its package.
    pub fn device_tree(self) -> Option<&'static str> {
        match self {
            Self::Pc => None,
            Self::PiZero => Some("bcm2835-rpi-zero.dtb"),
        }
    }

    /// The emulator.
    pub fn qemu(self) -> &'static str {
        match self {
            Self::Pc => "qemu-system-x86_64",
            Self::PiZero => "qemu-system-arm",
        }
    }

    /// Whether the model lies on the board's card, and not among what it boots from.
    pub fn has_card(self) -> bool {
        self == Self::PiZero
    }

    /// A limit for the PC, as it is for this one, on which anything takes longer.
    pub fn patient(self, limit: Duration) -> Duration {
        match self {
            Self::Pc => limit,
            Self::PiZero => limit * 3,
        }
    }

    /// The beginning of the kernel's command line.
    pub fn kernel_words(self) -> String {
        match self {
            // An emulated timer that is short of time fails the kernel's test of it at boot, which
            // then stops ("IO-APIC + timer doesn't work!").
            Self::Pc => format!(
                "console=ttyS0 quiet no_timer_check panic=-1 {LINE_PARAMETER}=/dev/ttyS1 \
                 {EXPORT_PARAMETER}=/dev/vda"
            ),
            // The one line is the console's too, so the kernel says only what is grave. Its driver
            // for the power domains waits for an answer that QEMU never gives.
            Self::PiZero => format!(
                "console=ttyAMA0,115200 loglevel=3 initcall_blacklist=bcm2835_power_driver_init \
                 panic=-1 {LINE_PARAMETER}=/dev/ttyAMA0 {EXPORT_PARAMETER}=/dev/mmcblk0p1 \
                 {CARD_PARAMETER}=/dev/mmcblk0p2"
            ),
        }
    }
}
