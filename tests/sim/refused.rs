//! What the disk or the kernel refuses, at each operation in turn, with one host: it never costs
//! the host its medium, no half-done change reaches it, and all is well when it is over.

use labhost::model::{Marks, Volume as HostVolume};
use mailbox::testing::DiskFault;
use medium::Bus;
use nix::errno::Errno;
use promptstick::daemon::{Offer, offer};
use volume::testing::Random;
use volume::{DirtyMarks, Volume};

use super::device::Device;
use super::engine::Engine;
use super::image::{blank, image};
use super::judge;
use super::process::Of;
use super::usb::{LUNS, Port};
use super::world::Stick;

/// As often as the device looks at anything.
const STEP_MS: u64 = 50;
/// Requests that are refused where none is to come through.
const ALL: usize = 10_000;
const PROMPT: &[u8] = b"what is it?\n";
/// So many sessions have failed one after the other when a host gets the volume as it is.
const FAILED: u32 = 3;

struct Desk {
    stick: Stick,
    device: Device,
}

impl Desk {
    /// A stick in a computer that has found it.
    fn new() -> Self {
        let engine = Engine::reliable(Random::new(3));
        let stick = Stick::new(image(false), blank(), engine);
        stick.usb.attach();
        let device = Device::new(stick.clone());
        let mut desk = Self { stick, device };
        desk.pass(5_000, |_| {});
        assert_eq!(desk.stick.usb.bus(), Bus::Configured);
        desk.stick.usb.test_unit_ready(0).ok();
        desk
    }

    /// Time passes; what must hold at each instant does.
    fn pass(&mut self, for_ms: u64, mut look: impl FnMut(&Self)) {
        let end_ms = self.stick.now_ms() + for_ms;
        while self.stick.now_ms() < end_ms {
            self.stick.set_now(self.stick.now_ms() + STEP_MS);
            self.device.run();
            let disk = &self.stick.disk;
            assert!(
                !disk.has_journal() || !disk.is_lent(),
                "half done, and lent"
            );
            look(self);
        }
    }

    fn port(&self) -> Port {
        let usb = self.stick.usb.clone();
        Port { usb, lun: 0 }
    }

    /// The computer writes a prompt, and lets go where it is told to.
    fn write(&mut self, lets_go: bool) {
        self.write_named("p.txt", lets_go);
    }

    fn write_named(&mut self, path: &str, lets_go: bool) {
        let port = self.port();
        let mut volume = HostVolume::open(&port).unwrap();
        port.prevent(true).unwrap();
        volume.mark(Marks::Both, true).unwrap();
        volume.create_empty(path).unwrap();
        volume.fill(path, PROMPT).unwrap();
        volume.send_metadata().unwrap();
        if lets_go {
            volume.mark(Marks::Both, false).unwrap();
            self.stick.usb.synchronize_cache(0).unwrap();
            port.prevent(false).unwrap();
        }
    }

    /// The computer holds the volume as soon as it shows the response, and deletes that later.
    fn delete_response(&mut self) {
        while !(self.is_answered() && self.stick.usb.is_inserted(0)) {
            self.pass(STEP_MS, |_| {});
            assert!(self.stick.now_ms() < 100_000, "{}", self.device.trouble);
        }
        self.stick.disk.forget_planned();
        let port = self.port();
        let mut volume = HostVolume::open(&port).unwrap();
        port.prevent(true).unwrap();
        volume.mark(Marks::Both, true).unwrap();
        self.pass(5_000, |_| {});
        volume.delete_cached("p.response.txt").unwrap();
        volume.send_metadata().unwrap();
        volume.mark(Marks::Both, false).unwrap();
        self.stick.usb.synchronize_cache(0).unwrap();
        port.prevent(false).unwrap();
    }

    /// Whether a drive for answers shows a file.
    fn shows(&self, name: &str) -> bool {
        let usb = &self.stick.usb;
        let filled = (1..LUNS).filter(|&lun| usb.is_inserted(lun));
        let names = filled.flat_map(|lun| {
            let usb = usb.clone();
            HostVolume::open(&Port { usb, lun })
                .and_then(|mut volume| volume.list())
                .unwrap_or_default()
        });
        names.into_iter().any(|found| found == name)
    }

    fn is_answered(&self) -> bool {
        let files = judge::files(&self.stick.disk.snapshot()).unwrap();
        files.get("p.response.txt") == judge::response(&PROMPT.into()).as_ref()
    }
}

#[test]
fn a_bus_that_cannot_be_read_is_not_a_host_that_is_gone() {
    let mut desk = Desk::new();
    desk.write(false);
    desk.pass(100_000, |_| {});
    desk.stick.usb.reset();
    let process = desk.stick.disk.process().clone();
    (0..ALL).for_each(|at| process.refuse_after(Of::Bus, at, Errno::EIO));
    let met = desk.stick.usb.enumerations();
    desk.pass(60_000, |desk| {
        let is_same = desk.stick.usb.enumerations() == met;
        assert!(is_same, "taken from its host");
    });
    assert!(process.refused() > 2);
    process.forget_planned();
    desk.stick.usb.detach();
    desk.pass(60_000, |_| {});
    assert!(desk.is_answered(), "{}", desk.device.trouble);
}

#[test]
fn a_host_that_leaves_unseen_is_missed_later() {
    for refused in 1..4 {
        let mut desk = Desk::new();
        desk.write(false);
        desk.pass(100_000, |_| {});
        let process = desk.stick.disk.process().clone();
        (0..refused).for_each(|at| process.refuse_after(Of::Bus, at, Errno::EIO));
        desk.stick.usb.detach();
        desk.pass(60_000, |_| {});
        assert!(desk.is_answered(), "{refused}: {}", desk.device.trouble);
    }
}

/// What fails for a while from each operation on.
fn with_faults(plan: impl Fn(&Desk, usize), failed: impl Fn(&Desk) -> bool) {
    let mut at = 0;
    loop {
        let mut desk = Desk::new();
        desk.write(true);
        plan(&desk, at);
        desk.pass(100_000, |_| {});
        let (trouble, usb) = (&desk.device.trouble, &desk.stick.usb);
        assert!(desk.is_answered(), "{at}: {trouble}");
        assert!(usb.is_bound() && usb.is_inserted(0), "{at}: {trouble}");
        let violations = desk.stick.disk.take_violations();
        assert!(violations.is_empty(), "{at}: {violations:?}");
        if !failed(&desk) {
            break;
        }
        at += 1;
    }
    assert!(at > 5, "only {at} operations");
}

#[test]
fn a_disk_that_fails_for_a_while_is_survived() {
    for times in [1, 2, 3, 8] {
        let plan = |desk: &Desk, at: usize| {
            let full = |at| desk.stick.disk.fail_after(at, DiskFault::Full);
            (at..at + times).for_each(full);
        };
        with_faults(plan, |desk| desk.stick.disk.faults() > 0);
    }
}

#[test]
fn a_drive_that_cannot_be_changed_for_a_while_is_survived() {
    let refused = [
        (Of::Drive, 1),
        (Of::Drive, 3),
        (Of::Files, 1),
        (Of::Image, 2),
        (Of::Bus, 2),
    ];
    for (of, times) in refused {
        let plan = |desk: &Desk, at: usize| {
            let process = desk.stick.disk.process();
            (at..at + times).for_each(|at| process.refuse_after(of, at, Errno::EIO));
        };
        with_faults(plan, |desk| desk.stick.disk.process().refused() > 0);
    }
}

#[test]
fn an_answer_of_which_the_ledger_could_not_be_told_does_not_come_back() {
    for at in 0..80 {
        let mut desk = Desk::new();
        desk.write(true);
        desk.stick.disk.fail_after(at, DiskFault::Full);
        desk.delete_response();
        desk.pass(60_000, |_| {});
        let files = judge::files(&desk.stick.disk.snapshot()).unwrap();
        let is_back = files.keys().any(|path| path.contains(".response"));
        assert!(!is_back, "{at}: {}", desk.device.trouble);
    }
}

fn marks(stick: &Stick) -> DirtyMarks {
    let volume = Volume::open(stick.disk.snapshot()).unwrap();
    volume.dirty_marks().unwrap()
}

#[test]
fn no_host_gets_what_a_cut_has_left_because_the_disk_fails_for_a_while() {
    for times in [1, 2] {
        for at in 0.. {
            let mut desk = Desk::new();
            desk.write(false);
            desk.stick.lose_power(&mut Random::new(1));
            let now_ms = desk.stick.now_ms();
            desk.device.kill(now_ms);
            let full = |at| desk.stick.disk.fail_after(at, DiskFault::Full);
            (at..at + times).for_each(full);
            desk.pass(30_000, |desk| {
                let is_whole = marks(&desk.stick).is_clean();
                assert!(is_whole || !desk.stick.usb.is_bound(), "{at}, {times}");
            });
            assert!(desk.stick.usb.is_bound(), "{}", desk.device.trouble);
            if desk.stick.disk.faults() == 0 {
                assert!(at > 5, "only {at} operations");
                break;
            }
        }
    }
}

#[test]
fn what_no_host_can_reach_is_mended_before_it_is_offered() {
    for failures in 1..=FAILED {
        let mut desk = Desk::new();
        desk.write(false);
        let stick = &mut desk.stick;
        stick.lose_power(&mut Random::new(1));
        let process = stick.disk.process().clone();
        (0..ALL).for_each(|at| process.refuse_after(Of::Image, at, Errno::EIO));
        let expected = match failures {
            FAILED => Offer::Given,
            _ => Offer::Later,
        };
        assert_eq!(offer(stick, failures), expected);
        assert_eq!(stick.usb.is_bound(), expected == Offer::Given);
        assert!(!marks(stick).is_clean(), "the disk failed");
        if expected == Offer::Later {
            process.forget_planned();
            assert_eq!(offer(stick, failures), Offer::Given);
            assert!(stick.usb.is_bound() && marks(stick).is_clean());
        }
    }
}

#[test]
fn answers_that_are_shown_although_the_kernel_said_no_make_room_for_the_next() {
    let mut at = 0;
    loop {
        let mut desk = Desk::new();
        let process = desk.stick.disk.process().clone();
        process.refuse_after(Of::Drive, at, Errno::EIO);
        for name in ["p", "q"] {
            desk.write_named(&format!("{name}.txt"), false);
            desk.pass(120_000, |_| {});
            let is_shown = desk.shows(&format!("{name}.response.txt"));
            assert!(is_shown, "{at}: {name}, {}", desk.device.trouble);
        }
        if process.refused() == 0 {
            break;
        }
        at += 1;
    }
    assert!(at > 5, "only {at} requests");
}
