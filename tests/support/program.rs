//! The program under test: run to its end, or as a daemon that says when it is ready.

use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::tool;

/// Longer than anything takes on a busy machine; reaching it is a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program with these arguments.
pub fn promptstick<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promptstick"));
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .env_remove("NOTIFY_SOCKET");
    command
}

/// Runs it to its end.
pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    tool::output(&mut promptstick(arguments), b"")
}

/// Runs it, and it must succeed; what it printed.
pub fn succeed<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> String {
    expect_success(&run(arguments))
}

fn expect_success(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stderr}", output.status);
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// `answer` on an image, to be run.
pub fn answer_command(image: &Path, model: &Path) -> Command {
    let mut command = promptstick(["answer"]);
    command.arg(image).arg("--model").arg(model);
    command
}

/// `answer`, which must succeed; what it printed.
pub fn answer(image: &Path, model: &Path) -> String {
    expect_success(&tool::output(&mut answer_command(image, model), b""))
}

/// `answer` with the backend that the board has, which must succeed; what it printed.
pub fn answer_as_the_board(image: &Path, model: &Path) -> String {
    let mut command = answer_command(image, model);
    expect_success(&tool::output(command.args(["--backend", "armv6"]), b""))
}

/// `answer`, which must fail; what it printed on standard error.
pub fn answer_fails(image: &Path, model: &Path) -> String {
    let output = tool::output(&mut answer_command(image, model), b"");
    assert!(!output.status.success());
    String::from_utf8(output.stderr).expect("UTF-8")
}

/// A running daemon; killed when it is dropped.
pub struct Daemon {
    child: Child,
    notify: UnixDatagram,
    log: Arc<Mutex<String>>,
    _folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts `serve` and waits until it is ready.
    pub fn serve(image: &Path, model: &Path, more: &[&str]) -> Self {
        let mut command = promptstick(["serve", "--gadget", "none", "--image"]);
        command.arg(image).arg("--model").arg(model).args(more);
        let daemon = Self::start(command);
        daemon.wait_notified("READY=1");
        daemon
    }

    /// Starts a command with a socket for its notifications.
    pub fn start(mut command: Command) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("notify");
        let notify = UnixDatagram::bind(&socket).expect("a socket");
        notify.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        command
            .env("NOTIFY_SOCKET", &socket)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || {
                for line in stderr.lines().map_while(Result::ok) {
                    let mut log = log.lock().expect("the log");
                    log.push_str(&line);
                    log.push('\n');
                }
            }
        });
        Self {
            child,
            notify,
            log,
            _folder: folder,
        }
    }

    /// Waits for a notification that contains `what`.
    pub fn wait_notified(&self, what: &str) {
        let mut buffer = [0; 4096];
        loop {
            match self.notify.recv(&mut buffer) {
                Ok(len) if String::from_utf8_lossy(&buffer[..len]).contains(what) => return,
                Ok(_) => {}
                Err(error) => panic!("no {what}: {error}\n{}", self.log()),
            }
        }
    }

    /// Reads its notifications from now on, as a service manager does: a daemon whose notifications
    /// nobody reads waits when it has sent a few.
    pub fn read_notifications(&self) {
        let notify = self.notify.try_clone().expect("a socket");
        std::thread::spawn(move || while notify.recv(&mut [0; 4096]).is_ok() {});
    }

    /// Waits until `condition` yields something.
    pub fn wait_until<T>(&self, what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(value) = condition() {
                return value;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "waited in vain for {what}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the log contains `what`.
    pub fn wait_logged(&self, what: &str) {
        self.wait_until(what, || self.log().contains(what).then_some(()));
    }

    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process numbers of its children.
    pub fn children(&self) -> Vec<i32> {
        let pid = self.pid();
        let path = format!("/proc/{pid}/task/{pid}/children");
        let list = std::fs::read_to_string(path).expect("a kernel with CONFIG_PROC_CHILDREN");
        list.split_whitespace()
            .map(|child| child.parse().expect("a process number"))
            .collect()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process number"));
        kill(pid, signal).expect("the daemon runs");
    }

    /// Waits for the end, and says how long it took.
    pub fn wait(mut self) -> (ExitStatus, Duration, String) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return (status, start.elapsed(), self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the daemon does not end\n{}", self.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
