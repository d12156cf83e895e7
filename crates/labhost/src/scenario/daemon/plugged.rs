//! The daemon with a stick whose drive a host has found, and the steps that scenarios share.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fatfs::FatType;

use crate::daemon::{self, Daemon};
use crate::error::{Doing, ensure};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::scenario::Lab;
use crate::{Failure, Result, desktop, files, report, stick, sysfs, wait};

/// From a prompt to its response under emulation, with all waiting times of the protocol.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(240);

/// Longer than a medium takes to leave, to be missed, to come back and to be noticed.
pub const SWAP_LIMIT: Duration = Duration::from_secs(60);

/// Far longer than the daemon's waiting times: whatever it would do by itself it has done by then.
pub const QUIET_WATCH: Duration = Duration::from_secs(15);

/// Time for the daemon to take what was just unmounted: far more than its quiet time.
const BETWEEN_MOUNTS: Duration = Duration::from_secs(6);

/// A question that the model in the guest knows.
pub const QUESTION: &[u8] = b"How do I use this stick?";

/// A question of another kind.
pub const OTHER_QUESTION: &[u8] = b"Which model is this?";

/// What makes the model write for long.
pub const STORY: &[u8] = b"One evening, a small fox found a silver key in the forest.";

/// Where the configuration of the daemon lies.
const CONFIGURATION: &str = "/tmp/promptstick.toml";

/// The folder of the gadget that the daemon makes.
const FUNCTIONS: &str = "/sys/kernel/config/usb_gadget/promptstick/functions";

/// The daemon, and LUN 0 as the host sees it.
pub struct Plugged {
    /// The daemon.
    pub daemon: Daemon,
    /// The drive that takes prompts.
    pub lun: Lun,
}

impl Plugged {
    /// On a host that polls its drives and opens what changed, as a desktop does. `configuration`:
    /// lines that the daemon's configuration gets beside the usual ones.
    ///
    /// # Errors
    /// The drive does not appear.
    pub fn on_desktop(configuration: &str) -> Result<Self> {
        desktop::start()?;
        Self::on_bare_host(configuration)
    }

    /// On a host on which nobody looks at a drive but the scenario.
    ///
    /// # Errors
    /// The drive does not appear.
    pub fn on_bare_host(configuration: &str) -> Result<Self> {
        let daemon = serve(configuration)?;
        let lun = Lun::wait(0)?;
        lun.touch()?;
        lun.wait_medium(SWAP_LIMIT)?;
        Ok(Self { daemon, lun })
    }

    /// Mounts the drive. What has only just come, or is about to go, fails in many ways; the next
    /// attempt tells.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn mount(&self, how: How) -> Result<Mount> {
        let attempt = || {
            Ok(self
                .lun
                .block()
                .and_then(|block| Mount::new(&block, how))
                .ok())
        };
        Ok(wait::until("the volume to be mounted", SWAP_LIMIT, attempt)?.0)
    }

    /// Mounts the drive as a desktop does, copies one prompt, and unmounts it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn ask_and_unmount(&self, name: &str, content: &[u8]) -> Result<()> {
        let mount = self.mount(How::Flush)?;
        ask(&mount, name, content)?;
        mount.unmount()
    }

    /// Waits until the daemon has made so many answers.
    ///
    /// # Errors
    /// It does not in time.
    pub fn wait_answered(&mut self, count: usize) -> Result<Instant> {
        let line = " answered job=";
        self.daemon.wait_logged_times(line, count, ANSWER_LIMIT)?;
        report::step(format!("the daemon has made answer {count}"));
        Ok(Instant::now())
    }

    /// How many answers the daemon says that it has put onto LUN 0.
    pub fn published(&self) -> usize {
        self.daemon.times_logged(" published job=")
    }

    /// Waits until so many answers are on LUN 0.
    ///
    /// # Errors
    /// They are not in time.
    pub fn wait_published(&mut self, count: usize) -> Result<()> {
        let line = " published job=";
        self.daemon.wait_logged_times(line, count, ANSWER_LIMIT)?;
        Ok(())
    }

    /// Waits until the host, which polls, has missed the medium and has it back.
    ///
    /// # Errors
    /// It does not.
    pub fn wait_swapped(&mut self) -> Result<()> {
        let left = wait::until_true("the medium to leave", ANSWER_LIMIT, || !Lun::sees_medium(0))?;
        let back = wait::until_true("the medium to return", SWAP_LIMIT, || Lun::sees_medium(0))?;
        let (left, back) = (left.as_millis(), back.as_millis());
        report::step(format!(
            "the medium left after {left} ms, back after {back}"
        ));
        // A host that was given the whole device anew has another unit.
        self.lun = Lun::wait(0)?;
        Ok(())
    }

    /// The first mount after the drive has come back must show the response to `prompt`.
    ///
    /// # Errors
    /// It does not come back, or shows none.
    pub fn response_after_swap(&mut self, prompt: &str) -> Result<Vec<u8>> {
        let start = Instant::now();
        self.wait_swapped()?;
        let mount = self.mount(How::Flush)?;
        report::measured("response", start.elapsed());
        let response = response_on(&mount, prompt)?;
        mount.unmount()?;
        Ok(response)
    }

    /// Mounts the drive again and again, as somebody who waits for a file does, until it is there.
    ///
    /// # Errors
    /// It never is.
    pub fn mount_showing(&mut self, name: &str) -> Result<Mount> {
        let (mount, _) = wait::until(name, ANSWER_LIMIT, || {
            wait::until_true("a medium", SWAP_LIMIT, || Lun::sees_medium(0))?;
            self.lun = Lun::wait(0)?;
            // It may leave at this moment.
            let Ok(mount) = self.mount(How::Flush) else {
                return Ok(None);
            };
            if mount.get(name)?.is_some() {
                return Ok(Some(mount));
            }
            mount.unmount()?;
            wait::pass(BETWEEN_MOUNTS);
            Ok(None)
        })?;
        Ok(mount)
    }
}

/// Starts the daemon; a stick is made where there is none.
///
/// # Errors
/// It cannot be started.
pub fn serve(configuration: &str) -> Result<Daemon> {
    configure(configuration)?;
    Daemon::start(&["serve", "--config", CONFIGURATION])
}

/// Writes the configuration; a daemon that runs reads it when it is told to.
///
/// # Errors
/// There is no room.
pub fn configure(configuration: &str) -> Result<()> {
    let image = stick::image();
    let usual = format!(
        "image = {image:?}\nimage_size = \"64M\"\nmodel = {:?}\ngadget = \"configfs\"\n\
         log_prompts = true\n{configuration}\n",
        daemon::MODEL
    );
    fs::write(CONFIGURATION, usual).doing(CONFIGURATION)
}

/// Copies a prompt onto a volume that is mounted with `flush`, which is the host's promise that it
/// stays: it must be there at the end, with one answer.
///
/// # Errors
/// The kernel refuses.
pub fn ask(mount: &Mount, name: &str, content: &[u8]) -> Result<()> {
    mount.put(name, content)?;
    report::flushed(name, content);
    report::asked(name);
    Ok(())
}

/// Writes enough to give the drive a share of what may be dirty, without which Linux writes early.
///
/// # Errors
/// The kernel refuses.
pub fn make_history(mount: &Mount, lab: &Lab) -> Result<()> {
    const HISTORY_BYTES: usize = 8_000_000;
    mount.put_synced("history.bin", &files::random(lab.seed(), HISTORY_BYTES))
}

/// The name of the first response to `prompt`.
pub fn response_name(prompt: &str) -> String {
    let stem = prompt.strip_suffix(".txt").unwrap_or(prompt);
    format!("{stem}.response.txt")
}

/// The response to `prompt` on a volume: it must be there and say something.
///
/// # Errors
/// It is not, or does not.
pub fn response_on(mount: &Mount, prompt: &str) -> Result<Vec<u8>> {
    let name = response_name(prompt);
    let response = mount.get(&name)?;
    let response = response.ok_or_else(|| {
        let names = mount.list().join(", ");
        Failure::Wrong(format!("there is no {name} among {names}"))
    })?;
    report::step(format!("{name}: {}", String::from_utf8_lossy(&response)));
    ensure(!response.trim_ascii().is_empty(), || {
        format!("{name} is empty")
    })?;
    Ok(response)
}

/// Waits until a medium is in a drive for answers, and mounts it.
///
/// # Errors
/// There is none in time.
pub fn answers(number: u8) -> Result<Mount> {
    let what = format!("answers in LUN {number}");
    let (mount, _) = wait::until(&what, ANSWER_LIMIT, || {
        if !Lun::sees_medium(number) {
            return Ok(None);
        }
        // The host learns that a medium has left when it looks, which may be now.
        Ok(Mount::new(&Lun::wait(number)?.block()?, How::ReadOnly).ok())
    })?;
    Ok(mount)
}

/// The image that the gadget has in LUN `number`; empty for none.
///
/// # Errors
/// There is no gadget.
pub fn inserted(number: u8) -> Result<String> {
    sysfs::read(lun_file(number)?)
}

/// Asks politely for the medium of LUN `number`, behind the daemon's back; whether it was granted.
///
/// # Errors
/// Anything but the host's lock is in the way.
pub fn polite_eject(number: u8) -> Result<bool> {
    match sysfs::write(lun_file(number)?, "") {
        Ok(()) => Ok(true),
        Err(Failure::Io { source, .. }) if source.raw_os_error() == Some(libc::EBUSY) => Ok(false),
        Err(error) => Err(error),
    }
}

fn lun_file(number: u8) -> Result<std::path::PathBuf> {
    let function = sysfs::paths(FUNCTIONS).into_iter().next();
    let function = function.ok_or_else(|| Failure::Wrong("there is no gadget".into()))?;
    Ok(function.join(format!("lun.{number}/file")))
}

/// What the program answers to the same prompt on a plain image: the same prompt gives the same
/// answer.
///
/// # Errors
/// The program fails.
pub fn expected_response(name: &str, content: &[u8]) -> Result<Vec<u8>> {
    let image = Path::new("/tmp/expected").join("stick.img");
    stick::format(
        &image,
        64,
        FatType::Fat16,
        "PROMPTSTICK",
        &[(name, content)],
    )?;
    let state = Path::new("/tmp/expected/stick.img.state");
    if state.exists() {
        fs::remove_dir_all(state).doing("removing the state of an earlier answer")?;
    }
    Daemon::run(&["answer", &image.to_string_lossy(), "--model", daemon::MODEL])?;
    let response = stick::read_file(&image, &response_name(name))?;
    response.ok_or_else(|| Failure::Wrong(format!("no response to {name} on a plain image")))
}

/// The response must be what the program says to the same prompt on a plain image.
///
/// # Errors
/// It is not.
pub fn ensure_expected(name: &str, content: &[u8], response: &[u8]) -> Result<()> {
    let expected = expected_response(name, content)?;
    files::ensure_same(&response_name(name), response, &expected)
}

/// Keeps the processor busy, so that the model is as slow as on a small board: its process has the
/// lowest claim.
pub struct SlowBoard {
    over: Arc<AtomicBool>,
}

impl SlowBoard {
    /// From now on, until it is dropped.
    pub fn start() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        report::step("the processor is busy from now on");
        Self { over }
    }
}

impl Drop for SlowBoard {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        report::step("the processor is free again");
    }
}
