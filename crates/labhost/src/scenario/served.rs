//! The daemon with its drive on the bus, as scenarios of other hosts and of crashes need it, and
//! what may be asked of it: its log, what its units hold, which responses lie on the stick.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fatfs::{FileSystem, FsOptions};

use crate::daemon::{self, Daemon};
use crate::error::{Doing, ensure};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::{Failure, Result, files, report, stick, sysfs, wait};

/// Far longer than a response takes under emulation on a machine that is shared.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(240);

/// What the log says when the engine has finished, when a response is on the volume, and when
/// answers are on a second drive.
pub const ANSWERED: &str = " answered job=";
/// See [`ANSWERED`].
pub const PUBLISHED: &str = " published job=";
/// See [`ANSWERED`].
pub const SHOWN: &str = "answers are to be read on the second drive";
/// The engine begins with a prompt.
pub const THINKING: &str = " thinking job=";

/// What the log says when a gadget is taken over.
pub const ADOPTED: &str = "took over the drive of an earlier daemon";

/// Where all gadgets are.
pub const GADGETS: &str = "/sys/kernel/config/usb_gadget";

/// Where the gadget of the daemon is.
const GADGET: &str = "/sys/kernel/config/usb_gadget/promptstick";

/// Between mounts of a user who looks whether there is a response yet.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Questions that the model in the guest knows.
pub const QUESTIONS: [&[u8]; 3] = [
    b"How do I use this stick?",
    b"What is the capital of France?",
    b"Who are you?",
];

/// Starts the daemon on `image`, as the gadget; it makes the image where there is none.
///
/// # Errors
/// It cannot be started.
pub fn serve_image(image: &Path) -> Result<Daemon> {
    std::fs::create_dir_all(stick::FOLDER).doing("making the stick's folder")?;
    Daemon::start(&as_words(&arguments(image)))
}

/// As [`serve_image`], on the usual image.
///
/// # Errors
/// It cannot be started.
pub fn serve() -> Result<Daemon> {
    serve_image(&stick::image())
}

/// Arguments that serve `image` as the gadget.
pub fn arguments(image: &Path) -> Vec<String> {
    let image = image.to_string_lossy();
    let words = ["serve", "--image", &image, "--image-size", "64M", "--model"];
    let words = words.into_iter().chain([daemon::MODEL]);
    let words = words.chain(["--gadget", "configfs", "--log-prompts"]);
    words.map(str::to_owned).collect()
}

/// Borrowed, as a command takes them.
pub fn as_words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// How often the log contains `text`.
pub fn logged(daemon: &Daemon, text: &str) -> usize {
    daemon.log().matches(text).count()
}

/// What a unit of the daemon's gadget holds, empty for nothing.
///
/// # Errors
/// There is no such gadget.
pub fn medium(lun: u8) -> Result<String> {
    let functions = Path::new(GADGET).join("functions");
    let function = sysfs::paths(&functions).into_iter().next();
    let function =
        function.ok_or_else(|| Failure::Wrong("the daemon's gadget has no function".into()))?;
    sysfs::read(function.join(format!("lun.{lun}")).join("file"))
}

/// Names in the top folder of an image, sorted, whatever the host thinks of it.
///
/// # Errors
/// The image holds no volume, or it is damaged.
pub fn names(image: &Path) -> Result<Vec<String>> {
    let what = format!("listing {}", image.display());
    // The host may hold the volume: what only looks must be unable to write.
    let file = std::fs::File::open(image).doing(&what)?;
    let volume = FileSystem::new(file, FsOptions::new()).doing(&what)?;
    let entries = volume.root_dir().iter();
    let names = entries.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<std::io::Result<Vec<_>>>().doing(what)?;
    names.sort();
    Ok(names)
}

/// Fails unless the prompt `STEM.txt` has one response on the stick, and no error.
///
/// # Errors
/// It has not.
pub fn ensure_answered_once(stem: &str) -> Result<()> {
    let names = names(&stick::image())?;
    let ours = |name: &&String| {
        let rest = name.strip_prefix(stem);
        rest.is_some_and(|rest| rest.starts_with(".response") || rest.starts_with(".error"))
    };
    let found: Vec<&String> = names.iter().filter(ours).collect();
    ensure(found == [&response_name(stem)], || {
        format!("{stem}.txt has {found:?} instead of one response")
    })
}

/// The name of the first response to `STEM.txt`.
pub fn response_name(stem: &str) -> String {
    format!("{stem}.response.txt")
}

/// Fails unless the file is on the stick with this content.
///
/// # Errors
/// It is not.
pub fn ensure_on_stick(name: &str, content: &[u8]) -> Result<()> {
    let seen = stick::read_file(&stick::image(), name)?;
    let seen = seen.ok_or_else(|| Failure::Wrong(format!("{name} is gone")))?;
    files::ensure_same(name, &seen, content)
}

/// Waits until the log contains `text` for the `count`th time.
///
/// # Errors
/// It does not in time.
pub fn wait_logged(daemon: &Daemon, text: &str, count: usize) -> Result<Duration> {
    let what = format!("the daemon to log {text:?} for the {count}. time");
    let is_there = || logged(daemon, text) >= count;
    wait::until_true(&what, ANSWER_LIMIT, is_there)
}

/// An image of the stick's folder.
pub fn image(name: &str) -> PathBuf {
    Path::new(stick::FOLDER).join(name)
}

/// The volume, as soon as the drive is there and has its medium.
///
/// # Errors
/// It never has.
pub fn mounted(how: How) -> Result<Mount> {
    let (mount, took) = wait::until("LUN 0 to be mounted", ANSWER_LIMIT, || {
        let Some(lun) = Lun::present(0) else {
            return Ok(None);
        };
        // A drive that is about to go fails in many ways; the next look tells.
        let mount = lun.block().and_then(|block| Mount::new(&block, how));
        Ok(mount.ok())
    })?;
    report::measured("mounted", took);
    Ok(mount)
}

/// Waits until a new mount of the volume shows `name`, which must not be empty.
///
/// # Errors
/// It never does.
pub fn remounted_with(name: &str) -> Result<()> {
    let (response, took) = wait::until(name, ANSWER_LIMIT, || {
        thread::sleep(LOOK_AGAIN);
        let mount = mounted(How::ReadOnly)?;
        let response = mount.get(name)?;
        mount.unmount()?;
        Ok(response)
    })?;
    report::measured("response_on_remount", took);
    ensure(!response.is_empty(), || format!("{name} is empty"))
}

/// Process ids of programs under test that have not ended.
pub fn living() -> Vec<String> {
    /// Field 3 of /proc/PID/stat (man `proc_pid_stat`).
    const ENDED: char = 'Z';
    let lives = |pid: &String| {
        let stat = sysfs::read(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
        let Some((head, tail)) = stat.rsplit_once(')') else {
            return false;
        };
        head.ends_with("(promptstick") && !tail.trim_start().starts_with(ENDED)
    };
    sysfs::names("/proc").into_iter().filter(lives).collect()
}

/// Fails unless the daemon, which has ended, took the process with the model along.
///
/// # Errors
/// It did not: the next one finds no memory.
pub fn ensure_none_lives() -> Result<()> {
    wait::until_true("the daemon's processes to end", ANSWER_LIMIT, || {
        living().is_empty()
    })
    .map(drop)
}
