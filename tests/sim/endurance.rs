//! Ten thousand prompts and responses on one volume, with a host that writes other files between:
//! nothing is asked twice, nothing that the host wrote is lost, and nothing grows that must not:
//! clusters, directory slots, the ledger, the store of responses, the media for answers.

use std::collections::BTreeMap;

use labhost::model::{Marks, Volume as HostVolume};
use mailbox::disk::Disk as _;
use mailbox::limits::KEPT_OUTCOMES_MAX;
use medium::Bus;
use volume::Volume;
use volume::testing::Random;

use super::device::Device;
use super::engine::Engine;
use super::host::is_response;
use super::image::{blank, image};
use super::judge;
use super::usb::{Port, Sense};
use super::world::Stick;

const CYCLES: u32 = 10_000;
/// Prompts have this many names in turn, so that names' numbers grow; more stay than responses are
/// kept of.
const NAMES: u32 = 100;
/// But one of so many has a name of its own, which is never used again.
const OWN: u32 = 5;
/// One of so many prompts is in a folder, which grows by clusters.
const IN_FOLDER: u32 = 3;
const FOLDER: &str = "prompts";
/// The folder has no more than this: 33 prompts of two slots, as they have five characters before
/// their numbers, one response of three, and as much again for gaps between them.
const FOLDER_MAX_BYTES: u64 = 2 * (33 * 2 + 3) * 32;
/// Files that the host rewrites between.
const PHOTOS: u32 = 6;
const PHOTO_BYTES: usize = 20_000;
/// Every so many cycles the host keeps the volume until the answer was shown on the other drive.
const KEEPS: u32 = 9;
/// How often it looks whether the medium is there, as Windows does.
const POLL_MS: u64 = 1_000;
/// A prompt is answered on the volume within this time, the engine's longest answer included.
const CYCLE_MAX_MS: u64 = 180_000;
/// Live are the jobs that are there or remembered, and a number for each name: compaction keeps the
/// ledger near that.
const LEDGER_MAX_BYTES: usize = 1 << 20;

/// One computer, whose user asks one thing after another.
struct Endurance {
    stick: Stick,
    device: Device,
    random: Random,
    volume: Option<HostVolume<Port>>,
    /// It was read anew, and nobody has looked for a response since.
    is_fresh: bool,
    poll_ms: u64,
    /// What the host knows to be on the volume.
    files: BTreeMap<String, Vec<u8>>,
    shown: u64,
}

impl Endurance {
    fn new() -> Self {
        let mut random = Random::new(7);
        let engine = Engine::reliable(Random::new(random.bits()));
        let stick = Stick::new(image(false), blank(), engine);
        stick.usb.attach();
        Self {
            device: Device::new(stick.clone()),
            stick,
            random,
            volume: None,
            is_fresh: false,
            poll_ms: 0,
            files: BTreeMap::new(),
            shown: 0,
        }
    }

    /// Lets time pass until the condition yields something.
    fn pass<T>(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> Option<T>) -> T {
        let end_ms = self.stick.now_ms() + CYCLE_MAX_MS;
        loop {
            self.device.run();
            self.poll();
            if let Some(value) = condition(self) {
                return value;
            }
            let others = [
                self.device.next_ms(),
                self.stick.usb.next_ms(),
                self.stick.engine.next_ms(),
            ];
            let next_ms = others.into_iter().flatten().chain([self.poll_ms]).min();
            let next_ms = next_ms.unwrap_or(end_ms).max(self.stick.now_ms());
            assert!(
                next_ms < end_ms,
                "{what} took too long: {}",
                self.device.trouble
            );
            self.stick.set_now(next_ms);
        }
    }

    fn port(&self, lun: usize) -> Port {
        let usb = self.stick.usb.clone();
        Port { usb, lun }
    }

    /// The host looks at the drive, and forgets or reads the volume.
    fn poll(&mut self) {
        if self.stick.now_ms() < self.poll_ms {
            return;
        }
        self.poll_ms = self.stick.now_ms() + POLL_MS;
        if self.stick.usb.bus() != Bus::Configured {
            return;
        }
        let mut found = self.stick.usb.test_unit_ready(0);
        if found == Err(Sense::UnitAttention) {
            found = self.stick.usb.test_unit_ready(0);
        }
        match (found, &self.volume) {
            (Ok(()), None) => {
                self.volume = HostVolume::open(&self.port(0)).ok();
                self.is_fresh = true;
            }
            (Err(_), _) => self.volume = None,
            _ => {}
        }
    }

    /// Changes the volume, holding it meanwhile, and lets go of it if that is wanted.
    fn change(&mut self, lets_go: bool, work: impl FnOnce(&mut HostVolume<Port>)) {
        self.pass("a medium to write", |host| host.volume.as_ref().map(|_| ()));
        let port = self.port(0);
        let volume = self.volume.as_mut().unwrap();
        port.prevent(true).unwrap();
        volume.mark(Marks::Both, true).unwrap();
        work(volume);
        volume.send_metadata().unwrap();
        if lets_go {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        let volume = self.volume.as_mut().unwrap();
        volume.mark(Marks::Both, false).unwrap();
        self.stick.usb.synchronize_cache(0).unwrap();
        self.port(0).prevent(false).unwrap();
    }

    /// One prompt, from its first byte to its response.
    fn cycle(&mut self, number: u32) {
        let mut name = match number.is_multiple_of(OWN) {
            true => format!("only-{number}.txt"),
            false => format!("prompt-{}.txt", number % NAMES),
        };
        if (number % NAMES).is_multiple_of(IN_FOLDER) {
            name = format!("{FOLDER}/{name}");
        }
        let prompt = format!("prompt {number}: what is it?\n").into_bytes();
        let photo = format!("photo-{}.jpg", number % PHOTOS);
        let len = self.random.below(PHOTO_BYTES);
        let pixels: Vec<u8> = (0..len).map(|_| self.random.byte()).collect();
        let keeps = number.is_multiple_of(KEEPS);
        self.change(!keeps, |volume| {
            for (path, content) in [(&name, &prompt), (&photo, &pixels)] {
                volume.create_empty(path).unwrap();
                volume.fill(path, content).unwrap();
            }
        });
        self.files.insert(name.clone(), prompt.clone());
        self.files.insert(photo, pixels);
        let response = judge::response(&prompt.into()).unwrap();
        if keeps {
            self.read_elsewhere(&response);
            self.let_go();
        }
        let path = self.pass("a response", |host| host.find(&response));
        self.verify(number, &path, response);
        let gone = [path, name];
        self.change(true, |volume| {
            // The prompt with a name of its own goes with its response; others stay for the next.
            for path in gone
                .iter()
                .take(1 + usize::from(number.is_multiple_of(OWN)))
            {
                volume.delete_cached(path).unwrap();
            }
        });
        gone.iter()
            .take(1 + usize::from(number.is_multiple_of(OWN)))
            .for_each(|path| drop(self.files.remove(path)));
    }

    /// The response on the volume, as the host has it.
    fn find(&mut self, response: &[u8]) -> Option<String> {
        if !std::mem::take(&mut self.is_fresh) {
            return None;
        }
        let volume = self.volume.as_mut()?;
        let paths = volume.list_all().ok()?.into_iter().map(|entry| entry.path);
        let mut responses = paths.filter(|path| is_response(path));
        responses.find(|name| matches!(volume.get(name), Ok(Some(content)) if content == response))
    }

    /// While the host keeps the volume, the response is on another drive; its user ejects that.
    fn read_elsewhere(&mut self, response: &[u8]) {
        let lun = self.pass("an answer elsewhere", |host| {
            let mut filled = (1..super::usb::LUNS).filter(|lun| host.stick.usb.is_inserted(*lun));
            filled.find(|lun| {
                let Ok(mut shown) = HostVolume::open(&host.port(*lun)) else {
                    return false;
                };
                let names = shown.list().unwrap();
                names
                    .iter()
                    .any(|name| shown.get(name).unwrap().as_deref() == Some(response))
            })
        });
        self.shown += 1;
        self.stick.usb.host_eject(lun).unwrap();
    }

    /// Everything that the host wrote, and nothing else but the response and the stick's own files.
    fn verify(&mut self, number: u32, path: &str, response: Vec<u8>) {
        self.files.insert(path.to_owned(), response);
        let found = judge::files(&self.stick.disk.snapshot()).unwrap();
        for (path, content) in &self.files {
            assert!(found.get(path) == Some(content), "{path} in cycle {number}");
        }
        let strangers: Vec<_> = found
            .keys()
            .filter(|path| !self.files.contains_key(*path))
            .collect();
        assert_eq!(strangers, ["README.TXT"], "cycle {number}");
        assert_eq!(
            self.stick.engine.asked(),
            u64::from(number) + 1,
            "asked again"
        );
    }

    fn free_bytes(&self) -> u64 {
        let snapshot = self.stick.disk.snapshot();
        Volume::open(&snapshot).unwrap().free_bytes().unwrap()
    }
}

#[test]
fn ten_thousand_prompts_on_one_volume() {
    let mut host = Endurance::new();
    host.change(true, |volume| volume.delete_cached(FOLDER).unwrap());
    let free_bytes = host.free_bytes();
    host.change(true, |volume| volume.make_folder_cached(FOLDER).unwrap());
    for number in 0..CYCLES {
        host.cycle(number);
    }
    let none: [String; 0] = [];
    assert_eq!(host.stick.disk.take_violations(), none);
    assert_eq!(host.device.violations, none);
    assert_eq!(
        (host.device.sessions, host.device.failures),
        (1, 0),
        "no retry"
    );
    // Everything that the host made is deleted: the volume is as it was.
    let paths: Vec<String> = host.files.keys().cloned().collect();
    host.change(true, |volume| {
        for path in &paths {
            volume.delete_cached(path).unwrap();
        }
    });
    let folder_bytes = free_bytes - host.free_bytes();
    host.change(true, |volume| volume.delete_cached(FOLDER).unwrap());
    assert_eq!(host.free_bytes(), free_bytes, "clusters leak");
    assert!(
        folder_bytes <= FOLDER_MAX_BYTES,
        "slots leak: {folder_bytes}"
    );
    assert_eq!(judge::fsck(&host.stick.disk.snapshot()), None);
    let state = host.stick.disk.files();
    let ledger_bytes = state.bytes("ledger").map_or(0, |bytes| bytes.len());
    let kept = state.list("answers").unwrap().len();
    println!(
        "endurance: {CYCLES} cycles, {} shown elsewhere, {} virtual hours; ledger {ledger_bytes} \
         bytes, {kept} responses kept, the folder {folder_bytes} bytes",
        host.shown,
        host.stick.now_ms() / 3_600_000
    );
    assert!(
        ledger_bytes > 0 && ledger_bytes < LEDGER_MAX_BYTES,
        "{ledger_bytes}"
    );
    assert_eq!(kept, KEPT_OUTCOMES_MAX, "responses are kept");
}
