//! Running other programs: where they are looked for, what a failure says, and no child that
//! outlives us. Used by every command.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// Folders that Debian leaves out of a user's `PATH` and where `mkfs.fat` and `fsck.fat` are.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// How often a child is looked at while its end is awaited.
const POLL: Duration = Duration::from_millis(10);

/// Where programs are looked for: `PATH`, then the system's folders.
pub fn search_path() -> OsString {
    let own = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&own).chain(SYSTEM_FOLDERS.iter().map(PathBuf::from));
    env::join_paths(folders).unwrap_or(own)
}

/// The executable file that `name` would start, if there is one.
pub fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(&search_path())
        .map(|folder| folder.join(name))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// A command that finds its program, and lets it find others, on [`search_path`].
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", search_path());
    command
}

/// The command as a person would type it (for messages: the program without its folder, quoting
/// only approximate).
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args());
    let words = words.map(|word| {
        let word = word.to_string_lossy();
        if word.contains(' ') {
            format!("'{word}'")
        } else {
            word.into_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Runs a command to its end with our own input and output.
///
/// # Errors
/// The program could not be started, or it did not end with status 0.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start: {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs a command to its end and gives what it printed on its standard output.
///
/// # Errors
/// As [`run`]; the message ends with what it printed on its standard error, or else output.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = command
        .output()
        .with_context(|| format!("cannot start: {}", shown(command)))?;
    if !done.status.success() {
        // fsck.fat, for one, complains on its standard output.
        let said = if done.stderr.is_empty() {
            &done.stdout
        } else {
            &done.stderr
        };
        let complaint = String::from_utf8_lossy(said);
        bail!(
            "{} ended with {}: {}",
            shown(command),
            done.status,
            complaint.trim()
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A process in a group of its own that is gone when this value is: its whole group is killed on
/// drop, and the kernel ends it should we be killed first.
pub struct Guarded {
    child: Child,
}

impl Guarded {
    /// Starts `command`.
    ///
    /// # Errors
    /// The program could not be started.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        command.process_group(0);
        // SAFETY: the closure runs between fork and exec and makes one system call, which is
        // async-signal-safe; it touches no memory of ours and takes no lock.
        unsafe {
            command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGTERM).map_err(io::Error::from));
        }
        let child = command
            .spawn()
            .with_context(|| format!("cannot start: {}", shown(command)))?;
        Ok(Self { child })
    }

    /// The status with which it ended, if it has.
    ///
    /// # Errors
    /// The system could not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it to end with SIGTERM and waits, `patience` at most, for the status and the time that
    /// it took. `None`: it was still there.
    ///
    /// # Errors
    /// It could not be signalled.
    pub fn terminate(&mut self, patience: Duration) -> io::Result<Option<(ExitStatus, Duration)>> {
        let start = Instant::now();
        signal::kill(self.pid(), Signal::SIGTERM)?;
        while start.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some((status, start.elapsed())));
            }
            thread::sleep(POLL);
        }
        Ok(None)
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The group has the leader's number, and may hold its children after the leader is gone:
        // an error here means that there is nobody left, which is what is wanted.
        let _ = signal::killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_named_with_its_words() {
        let error = output(command("sh").args(["-c", "echo no paper >&2; exit 3"]))
            .expect_err("status 3 was taken for success");
        let text = format!("{error:#}");
        assert!(
            text.contains("no paper") && text.contains("exit status: 3"),
            "{text}"
        );
    }

    #[test]
    fn the_system_folders_are_searched_last() {
        let path = search_path();
        let last = env::split_paths(&path).last();
        assert_eq!(last.as_deref(), Some(Path::new("/sbin")));
    }

    #[test]
    fn dropping_kills_the_whole_group() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let note = folder.path().join("pid");
        // The shell tells the number of a child of its own; the rename makes the note appear whole.
        let script = format!(
            "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; wait",
            note.display()
        );
        let guarded = Guarded::start(command("sh").args(["-c", &script])).expect("sh");
        while !note.exists() {
            thread::yield_now();
        }
        let pid: i32 = std::fs::read_to_string(&note)
            .expect("note")
            .trim()
            .parse()
            .expect("pid");
        drop(guarded);
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_running(pid) {
            assert!(
                Instant::now() < deadline,
                "process {pid} outlived its guard"
            );
            thread::yield_now();
        }
    }

    /// A killed process that nobody has waited for yet (a zombie) is not running.
    fn is_running(pid: i32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
    }

    #[test]
    fn terminate_waits_for_the_end() {
        let mut guarded = Guarded::start(command("sleep").arg("600")).expect("sleep");
        assert!(guarded.ended().expect("state").is_none());
        let ended = guarded.terminate(Duration::from_secs(10)).expect("signal");
        let (status, _) = ended.expect("sleep ignored SIGTERM");
        assert!(!status.success());
    }
}
