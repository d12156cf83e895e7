//! Tools that we did not write, as judges. A missing one fails the test and says what to install:
//! a judge that is not there has not agreed.

use std::ffi::OsStr;
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// A command with the environment in which mtools asks nothing, checks no geometry, and takes names
/// for UTF-8 and times for UTC.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .env("MTOOLS_SKIP_CHECK", "1")
        .env("LC_ALL", "C.UTF-8")
        .env("TZ", "UTC");
    // dosfstools lie in /usr/sbin, which is not on every user's path.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

/// Runs a tool to its end, with something on its standard input.
pub fn output(command: &mut Command, input: &[u8]) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot run {name}: {error}; `cargo xtask setup` installs what the tests need")
        });
    // A tool that does not read its input closes it: no reason to fail.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("the tool ends")
}

/// Runs a tool that must succeed.
pub fn expect(command: &mut Command) -> Output {
    let output = output(command, b"");
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// Runs a tool that must succeed, and returns the text that it printed.
pub fn printed(command: &mut Command) -> String {
    String::from_utf8(expect(command).stdout).expect("UTF-8")
}

/// Runs a tool that must succeed, and returns what it printed.
pub fn run<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Vec<u8> {
    expect(command(name).args(arguments)).stdout
}
