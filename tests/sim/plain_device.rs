//! The simplest device that keeps the rules: when nobody wrote for a while, the marks are clear and
//! the host lets go, it takes the medium, adds a response, and stays away for 2.5 s. A check of the
//! hosts: none of them complains or loses anything, and they see what was published.

use medium::Bus;
use medium::gadget::Ejection;
use volume::testing::Random;
use volume::{FatTime, Volume};

use super::disk::Disk;
use super::host::{Belief, Host, KINDS, Kind, Log};
use super::usb::{Medium, Usb};
use super::without_device::{broken, bytes, formatted};

/// Histories of each kind.
const SEEDS: u64 = 30;
const QUIET_MS: u64 = 500;
const AWAY_MS: u64 = 2500;
const LOOK_MS: u64 = 200;
const END_MS: u64 = 3_600_000;

struct Device {
    disk: Disk,
    usb: Usb,
    published: usize,
    look_ms: u64,
    quiet_from_ms: u64,
    back_ms: Option<u64>,
}

impl Device {
    fn step(&mut self, now_ms: u64) {
        if self.usb.take_wrote() {
            self.quiet_from_ms = now_ms + QUIET_MS;
        }
        if self.back_ms.is_some_and(|back_ms| back_ms <= now_ms) {
            self.back_ms = None;
            self.usb.insert(0, Medium::Stick);
            return;
        }
        if self.look_ms <= now_ms {
            self.look_ms = now_ms + LOOK_MS;
            let ejected = self.usb.take_closed();
            let may_ask = self.back_ms.is_none()
                && self.quiet_from_ms <= now_ms
                && self.usb.bus() == Bus::Configured
                && self.marks_are_clear();
            if ejected || (may_ask && self.usb.eject(0) == Ejection::Granted) {
                self.publish();
                self.back_ms = Some(now_ms + AWAY_MS);
                // Not at once again.
                self.quiet_from_ms = now_ms + 8 * AWAY_MS;
            }
        }
    }

    fn next_ms(&self) -> u64 {
        self.back_ms.unwrap_or(u64::MAX).min(self.look_ms)
    }

    fn marks_are_clear(&self) -> bool {
        let volume = Volume::open(self.disk.image()).unwrap();
        volume.dirty_marks().unwrap().is_clean()
    }

    fn publish(&mut self) {
        let time = FatTime::from_unix_seconds(1_746_000_000);
        let changes = {
            let volume = Volume::open(self.disk.image()).unwrap();
            let mut edit = volume.edit();
            let name = format!("a{}.response.txt", self.published);
            edit.create(&name, name.as_bytes(), time).unwrap();
            edit.finish().unwrap()
        };
        volume::publish_with(&mut self.disk.image(), &mut self.disk.journal(), &changes).unwrap();
        self.published += 1;
    }
}

/// Two hosts after each other; readings of LUN 0 that were whole.
fn history(kinds: [Kind; 2], seed: u64) -> usize {
    let disk = Disk::new(formatted());
    let usb = Usb::new(disk.clone());
    usb.insert(0, Medium::Stick);
    usb.bind();
    let mut device = Device {
        disk: disk.clone(),
        usb: usb.clone(),
        published: 0,
        look_ms: 0,
        quiet_from_ms: 0,
        back_ms: None,
    };
    let log = Log::collecting();
    let (mut random, mut belief, mut now_ms) = (Random::new(seed), Belief::default(), 0);
    let mut whole = 0;
    for kind in kinds {
        let random = Random::new(random.bits());
        let mut host = Host::new(kind, random, usb.clone(), belief, now_ms, log.clone());
        let mut is_leaving = false;
        while !(is_leaving && host.is_done()) {
            if host.is_done() {
                is_leaving = true;
                host.let_go(now_ms);
            }
            let others = [usb.next_ms(), host.next_ms()].into_iter().flatten();
            now_ms = others.chain([device.next_ms()]).min().unwrap().max(now_ms);
            assert!(now_ms < END_MS, "no end:\n{}", log.lines().join("\n"));
            usb.step(now_ms);
            host.step(now_ms);
            device.step(now_ms);
        }
        let story = || format!("{kinds:?} {seed}\n{}", log.lines().join("\n"));
        assert_eq!(host.take_violations(), [], "{}", story());
        for reading in host.take_readings() {
            assert_eq!(reading.content, reading.path.as_bytes(), "{}", story());
            whole += 1;
        }
        belief = host.into_belief();
        let none: [String; 0] = [];
        assert_eq!(
            broken(&belief, &bytes(&disk.snapshot())),
            none,
            "{}",
            story()
        );
        let none: [String; 0] = [];
        assert_eq!(disk.take_violations(), none, "{}", story());
    }
    whole
}

#[test]
fn hosts_live_with_a_device_that_keeps_the_rules() {
    for first in KINDS {
        let mut whole = 0;
        for seed in 0..SEEDS {
            let second = KINDS[usize::try_from(seed).unwrap() % KINDS.len()];
            whole += history([first, second], seed);
        }
        assert!(whole > 10, "{first:?}: {whole} responses were read");
    }
}
