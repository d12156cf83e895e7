//! What [`Machine`](super::Machine) is told, and what it asks for.

use crate::{Bus, Observation};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A host wrote to the image, or may have.
    Wrote,
    /// A host read the image; only of interest while [`super::Machine::watches_for_reads`].
    Looked,
    /// The reading that [`Action::Read`] asked for.
    Read {
        /// The volume's dirty marks are set.
        in_use: bool,
        /// The files that matter, complete or not.
        found: Vec<Observation>,
    },
    /// The newest answer that waits to be published, by a number that grows; `None` when none does.
    Wants(Option<u64>),
    /// The medium was taken, by the right that [`Action::Take`] said; it stays ours until
    /// [`Event::Returned`].
    Taken(How),
    /// The attempt that [`Action::Take`] asked for failed; the medium is where it was before.
    Refused(Refusal),
    /// The device is done with the medium.
    Returned {
        /// There is something on it that the host has not seen.
        changed: bool,
    },
    /// [`Action::Insert`] was carried out.
    Inserted,
    /// [`Action::Rebind`] was carried out, or was found to be a bad idea.
    Rebound {
        /// It was carried out: the medium is in the drive.
        connected: bool,
    },
    /// [`Action::Show`] was carried out.
    Showing,
    /// [`Action::Insert`] or [`Action::Rebind`] failed.
    Failed,
    /// The host ejected the medium: the drive is empty, and it was not us.
    Ejected,
    /// The state of the connection.
    Bus(Bus),
}

/// Why the medium could not be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A host holds it; nothing will tell when it lets go.
    Busy,
    /// The volume is marked as in use; clearing the mark will be seen as a write.
    InUse,
    /// What is on it is not consistent: the host has not finished, whatever its lock says.
    Inconsistent,
    /// It could not be taken or written; whoever runs the device may mend that.
    Failed,
}

/// By what right the device takes the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The host is asked for it: its lock and the volume's marks must both say yes.
    Asked,
    /// The host has ejected it: nobody else can have anything to write.
    Ejected,
    /// The host has slept for long, or has powered the drive off: it is asked as usual, and the
    /// drive is unbound meanwhile, so that a host that wakes finds another one.
    Asleep,
    /// There is no host: the drive is unbound meanwhile, and what the host left undone is repaired.
    Alone,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Read the volume and report [`Event::Read`].
    Read,
    /// Try to take the medium once; report [`Event::Taken`] or [`Event::Refused`].
    Take(How),
    /// Put the medium into the drive; report [`Event::Inserted`] or [`Event::Failed`].
    Insert,
    /// Unbind the drive and bind it again, unless a host uses another medium of it; report
    /// [`Event::Rebound`] or [`Event::Failed`].
    Rebind,
    /// Show the answers that wait on the other drive; report [`Event::Showing`].
    Show,
}
