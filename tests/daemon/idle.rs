//! An idle stick sleeps: neither the daemon nor the process with the model wakes up.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{QUESTION, demo_model};
use crate::support::image::Image;
use crate::support::program::Daemon;

/// Long enough for any timer that one would set to show.
const WATCHED: Duration = Duration::from_secs(60);

/// Context switches of each thread of a process: a thread that wakes up has one more.
fn switches(pid: impl std::fmt::Display) -> BTreeMap<String, u64> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    tasks
        .map(|task| {
            let path = task.expect("a thread").path();
            let status = std::fs::read_to_string(path.join("status")).expect("its status");
            let count = status
                .lines()
                .filter(|line| line.contains("ctxt_switches"))
                .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                .sum();
            (path.display().to_string(), count)
        })
        .collect()
}

#[test]
fn nothing_wakes_up_while_nothing_happens() {
    let image = Image::usual();
    let daemon = Daemon::serve(&image.path(), &demo_model(), &[]);
    image.put("prompt.txt", QUESTION);
    daemon.wait_until("the response", || image.get("prompt.response.txt"));
    let worker = daemon.children();
    assert_eq!(worker.len(), 1, "the model stays resident");
    // The device's own write is settled like anybody's; then there is nothing left to do.
    let mut quiet = switches(daemon.pid());
    daemon.wait_until("the daemon to come to rest", || {
        std::thread::sleep(Duration::from_secs(2));
        let now = switches(daemon.pid());
        let rests = now == quiet;
        quiet = now;
        rests.then_some(())
    });
    let before = (switches(daemon.pid()), switches(worker[0]));
    std::thread::sleep(WATCHED);
    let after = (switches(daemon.pid()), switches(worker[0]));
    assert_eq!(before, after, "a thread woke up within {WATCHED:?}");
}
