//! The daemon under attack: `promptstick serve` on a crafted image, its peak memory and processor
//! time, and what it says. Used by every module here.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use genmodel::Spec;
use nix::sys::signal::Signal;
use volume::{ImageFile, Volume};

use super::craft::Craft;
use super::untouched::assert_untouched;
use crate::support::program::{Daemon, PATIENCE};
use crate::volume::support::{self, TIME};

/// A prompt that any model answers at once.
pub const HONEST: &[u8] = b"+++\nmax_tokens = 3\n+++\nhello";
/// Lines that the log may have for an attack, besides those for each prompt.
const LOG_LINES: usize = 40;

/// What an attack may cost the daemon, besides the model's process.
#[derive(Clone, Copy)]
pub struct Budget {
    /// Peak of resident memory.
    pub peak_mib: u64,
    /// Processor time, user and system.
    pub cpu: Duration,
    /// Prompts that the image holds: each may be logged by a few lines.
    pub prompts: usize,
}

impl Budget {
    /// What an honest volume costs, with room for a busy machine: nothing of the attack shows.
    pub const HONEST: Self = Self {
        peak_mib: 32,
        cpu: Duration::from_secs(2),
        prompts: 4,
    };
}

/// A daemon on an image that is attacked.
pub struct Siege {
    folder: tempfile::TempDir,
    daemon: Daemon,
    name: String,
}

impl Siege {
    /// Starts the daemon on a crafted image.
    pub fn lay(name: &str, craft: &Craft) -> Self {
        Self::lay_bytes(name, &craft.bytes)
    }

    pub fn lay_bytes(name: &str, image: &[u8]) -> Self {
        Self::lay_with(name, image, &tiny_model())
    }

    pub fn lay_with(name: &str, image: &[u8], model: &std::path::Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stick.img");
        std::fs::write(&path, image).unwrap();
        let daemon = Daemon::serve(&path, model, &[]);
        daemon.read_notifications();
        Self {
            daemon,
            folder,
            name: name.to_owned(),
        }
    }

    pub fn image(&self) -> PathBuf {
        self.folder.path().join("stick.img")
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.image()).unwrap()
    }

    /// The content of a file of the volume, if it is there.
    pub fn get(&self, path: &str) -> Option<Vec<u8>> {
        let volume = Volume::open(ImageFile::open_read_only(&self.image()).ok()?).ok()?;
        let entry = volume.find(path).ok()??;
        volume.read(&entry, 1 << 20).ok()
    }

    pub fn put(&self, path: &str, content: &[u8]) {
        support::edit(&self.image(), |edit| {
            edit.create(path, content, TIME).unwrap();
        });
    }

    pub fn wait_for(&self, path: &str) -> Vec<u8> {
        self.daemon.wait_until(path, || self.get(path))
    }

    /// Waits until the daemon has nothing to do: no processor time within a second.
    pub fn wait_for_rest(&self) {
        let mut before = self.cpu();
        self.daemon.wait_until("the daemon to come to rest", || {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.cpu();
            let rests = now - before < Duration::from_millis(50);
            before = now;
            rests.then_some(())
        });
    }

    /// An ordinary prompt is answered, at the path of the volume that is named.
    pub fn is_answered(&self, stem: &str) {
        self.put(&format!("{stem}.txt"), HONEST);
        self.wait_for(&format!("{stem}.response.txt"));
    }

    /// Puts another image in the place of this one, in the same file.
    pub fn replace(&self, image: &[u8]) {
        let file = File::options().write(true).open(self.image()).unwrap();
        file.set_len(image.len() as u64).unwrap();
        file.write_all_at(image, 0).unwrap();
    }

    /// The attack is over: what it cost is printed and within the budget, the daemon is at rest,
    /// and ends when it is asked to.
    pub fn end(self, budget: Budget) -> String {
        self.wait_for_rest();
        let (peak_kib, cpu) = (self.peak_kib(), self.cpu());
        let log = self.daemon.log();
        let lines = log.lines().count();
        println!(
            "{:<44} peak {:>6.1} MiB, CPU {:>6.2} s, {lines} lines of log",
            self.name,
            peak_kib as f64 / 1024.0,
            cpu.as_secs_f64()
        );
        assert!(peak_kib <= budget.peak_mib * 1024, "{}: memory", self.name);
        assert!(cpu <= budget.cpu, "{}: {cpu:?}", self.name);
        let most = LOG_LINES + 4 * budget.prompts;
        assert!(lines <= most, "{}: {lines} lines of log\n{log}", self.name);
        let start = Instant::now();
        self.daemon.signal(Signal::SIGTERM);
        let (status, _, log) = self.daemon.wait();
        assert!(status.success(), "{}: {status}\n{log}", self.name);
        assert!(!log.contains("panicked"), "{log}");
        assert!(start.elapsed() < PATIENCE);
        log
    }

    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.pid()));
        let status = status.unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.unwrap().split_whitespace().next().unwrap();
        peak.parse().unwrap()
    }

    /// Processor time of the daemon without its children.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.daemon.pid())).unwrap();
        let (_, after_name) = stat.rsplit_once(") ").unwrap();
        // Fields 14 and 15 of proc(5), counted from the state, which is the third.
        let ticks = after_name.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
        // USER_HZ is 100 on every Linux.
        Duration::from_millis(ticks * 10)
    }
}

/// The daemon on a crafted image that holds `honest.txt`: that is answered, and so is a prompt that
/// comes later; nothing that the host has is touched. The log.
pub fn withstand(name: &str, craft: &Craft, budget: Budget) -> String {
    let siege = Siege::lay(name, craft);
    siege.wait_for("honest.response.txt");
    siege.is_answered("afterwards");
    siege.wait_for_rest();
    assert_untouched(name, craft, &siege.bytes());
    siege.end(budget)
}

/// A model whose answers are noise and come at once.
pub fn tiny_model() -> PathBuf {
    static MODEL: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = MODEL.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        Spec::tiny()
            .write(&folder.path().join("tiny.gguf"))
            .unwrap();
        folder
    });
    folder.path().join("tiny.gguf")
}
