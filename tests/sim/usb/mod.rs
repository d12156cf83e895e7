//! The kernel's mass-storage gadget and the cable, as far as the two ends can tell.
//!
//! What it does follows `docs/LAB.md` and the kernel's `f_mass_storage.c`: a polite eject is
//! refused under PREVENT; a reset and a new enumeration drop PREVENT; a medium that was put in is
//! told once as a unit attention; SYNCHRONIZE CACHE and ALLOW make the image durable; what a host
//! wrote before is not. Here is the device's side, and what passes between; [`scsi`] is the host's.
//! Used by the runner and by `host`.

mod scsi;

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use medium::Bus;
use medium::gadget::Ejection;
use volume::testing::PagedImage;

use super::disk::Disk;

pub use scsi::{Flushed, Port, Sense};

/// Drives that the gadget has: LUN 0 is writable, the others are not.
pub const LUNS: usize = 3;

/// From a bind with a computer at the other end, or a plug, to the chosen configuration.
pub const ENUMERATION_MS: u64 = 300;
/// The same after a reset.
pub const RESET_MS: u64 = 120;

/// What can be put into a LUN.
#[derive(Clone)]
pub enum Medium {
    /// The disk's image: in LUN 0 only.
    Stick,
    /// Bytes that do not change while they are in.
    ReadOnly(PagedImage),
}

/// A handle; clones are the same gadget.
#[derive(Clone)]
pub struct Usb(Rc<RefCell<Inner>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// No cable, no power, or not bound.
    Down,
    /// Configured at that time, ms.
    ComingUp(u64),
    Up,
    Asleep,
}

#[derive(Default)]
struct Lun {
    medium: Option<Medium>,
    is_prevented: bool,
    attention: bool,
}

struct Inner {
    disk: Disk,
    now_ms: u64,
    is_bound: bool,
    is_plugged: bool,
    link: Link,
    luns: [Lun; LUNS],
    /// Enumerations so far: a host that meets a new one has a new drive before it.
    enumerations: u64,
    /// Media that were put in so far, for each LUN; one that comes back as it was is the same.
    insertions: [u64; LUNS],
    /// The image's time of change when it was last taken out.
    taken_at: u64,
    /// Losses of the medium that are not the device's fault.
    excuses: u64,
    wrote: bool,
    closed: bool,
    read: bool,
    bus_changed: bool,
}

impl Inner {
    fn lend(&self) {
        let is_lent = self.is_bound && self.luns[0].medium.is_some();
        self.disk.set_lent(is_lent);
    }

    fn set_link(&mut self, link: Link) {
        if self.link != link {
            self.link = link;
            self.bus_changed = true;
        }
    }

    /// A new enumeration begins, if both ends are there; else the link is down.
    fn connect(&mut self) {
        for lun in &mut self.luns {
            lun.is_prevented = false;
            lun.attention = lun.medium.is_some();
        }
        if self.is_bound && self.is_plugged && !self.disk.is_off() {
            self.enumerations += 1;
            self.set_link(Link::ComingUp(self.now_ms + ENUMERATION_MS));
        } else {
            self.set_link(Link::Down);
        }
    }
}

/// The device's side.
impl Usb {
    /// A gadget that is not bound, with empty drives and no cable.
    pub fn new(disk: Disk) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            disk,
            now_ms: 0,
            is_bound: false,
            is_plugged: false,
            link: Link::Down,
            luns: Default::default(),
            enumerations: 0,
            insertions: [0; LUNS],
            taken_at: 0,
            excuses: 0,
            wrote: false,
            closed: false,
            read: false,
            bus_changed: false,
        })))
    }

    /// When the link changes by itself, ms.
    pub fn next_ms(&self) -> Option<u64> {
        match self.inner().link {
            Link::ComingUp(at_ms) => Some(at_ms),
            _ => None,
        }
    }

    /// Time passes.
    pub fn step(&self, now_ms: u64) {
        let mut inner = self.change();
        inner.now_ms = now_ms;
        if matches!(inner.link, Link::ComingUp(at_ms) if at_ms <= now_ms) {
            inner.set_link(Link::Up);
        }
    }

    pub fn is_bound(&self) -> bool {
        self.inner().is_bound
    }

    /// Connects the drive; a computer at the other end enumerates it.
    pub fn bind(&self) {
        let mut inner = self.change();
        if !inner.is_bound {
            inner.is_bound = true;
            inner.connect();
            inner.lend();
        }
    }

    /// Pulls the plug from inside.
    pub fn unbind(&self) {
        let mut inner = self.change();
        if inner.is_bound {
            inner.is_bound = false;
            inner.connect();
            inner.lend();
        }
    }

    /// Puts a medium into an empty LUN. LUN 0 takes [`Medium::Stick`] and no other does.
    pub fn insert(&self, lun: usize, medium: Medium) {
        let mut inner = self.change();
        assert_eq!(lun == 0, matches!(medium, Medium::Stick), "LUN {lun}");
        assert!(inner.luns[lun].medium.is_none(), "LUN {lun} is not empty");
        let is_same = lun == 0 && inner.taken_at == inner.disk.modified();
        inner.insertions[lun] += u64::from(!is_same);
        inner.luns[lun].medium = Some(medium);
        inner.luns[lun].attention = true;
        inner.lend();
    }

    /// Asks for the medium of a LUN.
    pub fn eject(&self, lun: usize) -> Ejection {
        if self.inner().luns[lun].is_prevented {
            return Ejection::Busy;
        }
        self.take_out(lun);
        Ejection::Granted
    }

    /// Takes the medium of a read-only LUN, whatever the host says.
    pub fn force_eject(&self, lun: usize) {
        assert!(lun > 0, "LUN 0 is never forced");
        self.change().luns[lun].is_prevented = false;
        self.take_out(lun);
    }

    pub fn is_inserted(&self, lun: usize) -> bool {
        self.inner().luns[lun].medium.is_some()
    }

    pub fn bus(&self) -> Bus {
        match self.inner().link {
            Link::Down => Bus::Detached,
            Link::ComingUp(_) => Bus::Enumerating,
            Link::Up => Bus::Configured,
            Link::Asleep => Bus::Suspended,
        }
    }

    /// Whether [`Usb::bus`] has changed since the last call.
    pub fn take_bus_changed(&self) -> bool {
        std::mem::take(&mut self.change().bus_changed)
    }

    /// Whether a host wrote the image since the last call (`IN_MODIFY`).
    pub fn take_wrote(&self) -> bool {
        std::mem::take(&mut self.change().wrote)
    }

    /// Whether a host ejected LUN 0 since the last call (`IN_CLOSE_WRITE`).
    pub fn take_closed(&self) -> bool {
        std::mem::take(&mut self.change().closed)
    }

    /// Whether a host read the image since the last call (`IN_ACCESS`).
    pub fn take_read(&self) -> bool {
        std::mem::take(&mut self.change().read)
    }

    /// Nobody waits any more for what has happened.
    pub fn forget_events(&self) {
        let mut inner = self.change();
        (inner.wrote, inner.closed, inner.read) = (false, false, false);
        inner.bus_changed = false;
    }

    /// The device starts anew after a loss of power: nothing is bound or inserted.
    pub fn power_cut(&self) {
        let mut inner = self.change();
        inner.excuses += 1;
        inner.is_bound = false;
        inner.luns = Default::default();
        inner.connect();
        inner.lend();
    }

    pub fn excuses(&self) -> u64 {
        self.inner().excuses
    }

    /// Counts the media that were put into a LUN: no host can ask for that, but it tells whether
    /// the medium that a host had was replaced.
    pub fn insertions(&self, lun: usize) -> u64 {
        self.inner().insertions[lun]
    }

    fn take_out(&self, lun: usize) {
        let mut inner = self.change();
        inner.luns[lun].medium = None;
        inner.luns[lun].attention = false;
        if lun == 0 {
            inner.taken_at = inner.disk.modified();
        }
        inner.lend();
    }

    fn inner(&self) -> Ref<'_, Inner> {
        self.0.borrow()
    }

    fn change(&self) -> RefMut<'_, Inner> {
        self.0.borrow_mut()
    }
}
