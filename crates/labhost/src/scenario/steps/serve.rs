//! The daemon with its drive, as a service manager starts it: by a configuration file, and flags
//! where a scenario wants something else.

use std::fs;
use std::path::Path;

use super::ANSWER_LIMIT;
use crate::daemon::{self, Daemon, Log};
use crate::error::Doing;
use crate::{Result, stick, sysfs, wait};

/// Where the configuration of the daemon lies.
const CONFIGURATION: &str = "/tmp/promptstick.toml";

/// What starts the daemon with its configuration.
const SERVE: [&str; 3] = ["serve", "--config", CONFIGURATION];

/// Its log is for us: names of prompts may be in it.
const LOG_PROMPTS: &str = "--log-prompts";

/// Starts the daemon on the usual image, as the gadget; it makes the image where there is none.
///
/// # Errors
/// It cannot be started.
pub fn serve() -> Result<Daemon> {
    serve_with("")
}

/// As [`serve`]. `configuration`: lines that the daemon's configuration gets beside the usual ones.
///
/// # Errors
/// It cannot be started.
pub fn serve_with(configuration: &str) -> Result<Daemon> {
    configure(configuration)?;
    Daemon::start(&arguments(&[]))
}

/// As [`serve`], on another image.
///
/// # Errors
/// It cannot be started.
pub fn serve_image(image: &Path) -> Result<Daemon> {
    configure("")?;
    Daemon::start(&arguments(&["--image", &image.to_string_lossy()]))
}

/// As [`serve_with`], for a person who watches: the log is told, and names no prompts.
///
/// # Errors
/// It cannot be started.
pub fn serve_watched_with(configuration: &str) -> Result<Daemon> {
    configure(configuration)?;
    Daemon::start_with(&SERVE, Log::Told)
}

/// Arguments that start the daemon with its configuration, before which these flags come.
pub fn arguments<'a>(flags: &[&'a str]) -> Vec<&'a str> {
    [&SERVE[..], &[LOG_PROMPTS], flags].concat()
}

/// Writes the configuration; a daemon that runs reads it when it is told to.
///
/// # Errors
/// There is no room.
pub fn configure(configuration: &str) -> Result<()> {
    fs::create_dir_all(stick::FOLDER).doing("making the stick's folder")?;
    let image = stick::image();
    let usual = format!(
        "image = {image:?}\nimage_size = \"{}M\"\nmodel = {:?}\ngadget = \"configfs\"\n\
         {configuration}\n",
        stick::USUAL_MEBIBYTES,
        daemon::MODEL
    );
    fs::write(CONFIGURATION, usual).doing(CONFIGURATION)
}

/// Process ids of programs under test that have not ended.
fn living() -> Vec<String> {
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
