//! The kinds of hosts, and in what they differ. Sources of the figures: docs/LAB.md.

use labhost::model::Marks;

/// A computer and what runs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mounted by hand, default options: writes come up to a minute late, in bursts.
    LinuxDefault,
    /// Mounted by hand with `flush`: what was closed is there; a rename comes late.
    LinuxFlush,
    /// As `LinuxFlush`, mounted by the desktop, which probes the drive after an unmount.
    LinuxDesktop,
    /// Holds the volume only while it is dirty.
    Windows,
    /// Holds it from mount to eject, and leaves `._` files.
    MacOs,
    /// Holds it until its power goes.
    Camera,
    /// As `Windows`, driven by a test that writes with set sizes.
    Tester,
}

/// All of them.
pub const KINDS: [Kind; 7] = [
    Kind::LinuxDefault,
    Kind::LinuxFlush,
    Kind::LinuxDesktop,
    Kind::Windows,
    Kind::MacOs,
    Kind::Camera,
    Kind::Tester,
];

impl Kind {
    pub fn is_linux(self) -> bool {
        matches!(
            self,
            Self::LinuxDefault | Self::LinuxFlush | Self::LinuxDesktop
        )
    }

    /// Whether the lock and the marks are held only while something is being written.
    pub fn holds_while_dirty(self) -> bool {
        matches!(self, Self::Windows | Self::Tester)
    }

    /// The marks that it sets while it holds the volume.
    pub fn marks(self) -> Option<Marks> {
        match self {
            Self::LinuxDefault | Self::LinuxFlush | Self::LinuxDesktop => Some(Marks::Boot),
            Self::Windows | Self::Tester => Some(Marks::Both),
            Self::MacOs => Some(Marks::Table),
            Self::Camera => None,
        }
    }

    /// How often it asks whether the medium is there, ms.
    pub fn poll_ms(self) -> u64 {
        if self.is_linux() { 2000 } else { 1000 }
    }

    /// Whether it asks while it has the medium locked.
    pub fn polls_while_locked(self) -> bool {
        !matches!(self, Self::MacOs | Self::Camera)
    }

    /// Whether a unit attention alone makes it read the medium anew.
    pub fn heeds_unit_attention(self) -> bool {
        self.is_linux()
    }

    /// Whether it mounts a medium that appears while it runs.
    pub fn mounts_by_itself(self) -> bool {
        !matches!(self, Self::LinuxDefault | Self::LinuxFlush)
    }

    /// From a medium that is seen to its mount, least and most, ms.
    pub fn mount_delay_ms(self) -> (u64, u64) {
        match self {
            Self::LinuxDesktop => (900, 3100),
            Self::LinuxDefault | Self::LinuxFlush => (1000, 8000),
            Self::MacOs => (100, 800),
            Self::Windows | Self::Tester | Self::Camera => (0, 300),
        }
    }
}
