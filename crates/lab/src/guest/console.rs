//! Shows a kernel's console as it grows in its file. Used by [`guest`](super), where a person
//! watches.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often the file is looked at: a person does not notice.
const LOOK: Duration = Duration::from_millis(200);

/// Shows lines until it is dropped, and then the rest.
#[derive(Debug)]
pub struct Follower {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// Shows what comes into the file, with the time since `start`.
    pub fn start(file: &Path, start: Instant, show: fn(Duration, &str)) -> Self {
        let (stop, stopped) = mpsc::channel::<()>();
        let mut tail = Tail::of(file);
        let thread = thread::spawn(move || {
            loop {
                let is_last = stopped.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout);
                tail.each_line(|line| show(start.elapsed(), line));
                if is_last {
                    return;
                }
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread that only shows must not hide how the run ended.
            let _ = thread.join();
        }
    }
}

/// What has been read of a file that grows.
struct Tail {
    path: PathBuf,
    read_bytes: u64,
}

impl Tail {
    fn of(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            read_bytes: 0,
        }
    }

    /// Whole lines that came since the last call. A file that is not there has none yet.
    fn each_line(&mut self, mut show: impl FnMut(&str)) {
        let Ok(mut file) = File::open(&self.path) else {
            return;
        };
        if file.seek(SeekFrom::Start(self.read_bytes)).is_err() {
            return;
        }
        let mut input = BufReader::new(file.by_ref());
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).is_ok() && line.ends_with(b"\n") {
            self.read_bytes += line.len() as u64;
            show(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn each_line_is_shown_once_and_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("console.log");
        let mut tail = Tail::of(&path);
        let mut new = || {
            let mut lines = Vec::new();
            tail.each_line(|line| lines.push(line.to_owned()));
            lines
        };
        assert!(new().is_empty());
        let mut file = File::create(&path).expect("room");
        file.write_all(b"one\r\ntw").expect("room");
        assert_eq!(new(), ["one"]);
        file.write_all(b"o\n").expect("room");
        assert_eq!(new(), ["two"]);
        assert!(new().is_empty());
    }
}
