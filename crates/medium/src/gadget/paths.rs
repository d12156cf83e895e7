//! Where the kernel's interfaces are. Tests point these at folders that imitate them.

use std::path::PathBuf;

/// The name of our gadget in configfs. One machine is one drive, so there is one.
pub(super) const GADGET_NAME: &str = "promptstick";
/// The folder of gadgets within configfs.
const GADGETS: &str = "usb_gadget";

/// The files and folders that the gadget is made of and described by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Where configfs is mounted. The library that registers the gadget uses the first mounted
    /// one, which has to be this one.
    pub configfs: PathBuf,
    /// The class of USB device controllers in sysfs.
    pub udc_class: PathBuf,
    /// The board's serial number in its device tree.
    pub serial_number: PathBuf,
    /// The kernel's list of processors, which older kernels put the serial number in.
    pub cpuinfo: PathBuf,
    /// systemd's machine id. Only a hash of it leaves the device.
    pub machine_id: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            configfs: "/sys/kernel/config".into(),
            udc_class: "/sys/class/udc".into(),
            serial_number: "/sys/firmware/devicetree/base/serial-number".into(),
            cpuinfo: "/proc/cpuinfo".into(),
            machine_id: "/etc/machine-id".into(),
        }
    }
}

impl Paths {
    /// The folder of all gadgets.
    pub(super) fn gadgets(&self) -> PathBuf {
        self.configfs.join(GADGETS)
    }

    /// The folder of our gadget, whether it is there or not.
    pub(super) fn gadget(&self) -> PathBuf {
        self.gadgets().join(GADGET_NAME)
    }
}
