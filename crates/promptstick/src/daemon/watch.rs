//! Tells when the image was written, replaced or removed (inotify through `notify`).
//!
//! What a host can produce in one second is unbounded, what is kept of it is three flags: nothing
//! queues up here, and nothing wakes the daemon while the image is left alone. Only the image is
//! watched, not its folder, so that its neighbours cost no wake-ups. A host that writes without a
//! pause costs 20 wake-ups a second.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

const WROTE: u8 = 1;
const CLOSED: u8 = 2;
const REPLACED: u8 = 4;

/// Between two writes that are told, one right after the other. The kernel makes one event of equal
/// ones that follow each other and are not yet read, so none wait for this but those of that time.
const WRITES_APART: Duration = Duration::from_millis(50);

/// Watches one image.
pub struct Watch {
    flags: Arc<Flags>,
    /// Ends the watch when it is dropped.
    _watcher: RecommendedWatcher,
}

#[derive(Default)]
struct Flags {
    set: AtomicU8,
    wake: tokio::sync::Notify,
}

/// What happened to the image since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Somebody wrote to it (the device too), or events were lost.
    pub wrote: bool,
    /// Somebody who could write closed it. A program that wrote through a mapping shows in no
    /// other way.
    pub closed: bool,
    /// It was moved, removed, or lost a name.
    pub replaced: bool,
}

impl Watch {
    /// Starts to watch.
    ///
    /// # Errors
    /// The image is missing, or the kernel has no watch left (`fs.inotify.max_user_watches`).
    pub fn start(image: &Path) -> notify::Result<Self> {
        let flags = Arc::new(Flags::default());
        let mut watcher = notify::recommended_watcher({
            let flags = Arc::clone(&flags);
            let mut last = 0;
            move |event: notify::Result<notify::Event>| {
                let bits = flags.note(&event);
                if (last, bits) == (WROTE, WROTE) {
                    thread::sleep(WRITES_APART);
                }
                last = bits;
            }
        })?;
        watcher.watch(image, RecursiveMode::NonRecursive)?;
        Ok(Self {
            flags,
            _watcher: watcher,
        })
    }

    /// Waits for the next event. Nothing is lost when the future is dropped.
    pub async fn next(&self) -> Seen {
        loop {
            let set = self.flags.set.swap(0, Ordering::AcqRel);
            if set != 0 {
                return Seen {
                    wrote: set & WROTE != 0,
                    closed: set & CLOSED != 0,
                    replaced: set & REPLACED != 0,
                };
            }
            self.flags.wake.notified().await;
        }
    }
}

impl Flags {
    /// What the event says.
    fn note(&self, event: &notify::Result<notify::Event>) -> u8 {
        let bits = match event {
            Ok(event) => bits(event),
            Err(_) => WROTE | REPLACED,
        };
        if bits != 0 {
            self.set.fetch_or(bits, Ordering::AcqRel);
            self.wake.notify_one();
        }
        bits
    }
}

fn bits(event: &notify::Event) -> u8 {
    if event.need_rescan() {
        return WROTE | REPLACED;
    }
    match event.kind {
        EventKind::Modify(notify::event::ModifyKind::Data(_)) => WROTE,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => CLOSED,
        // The device's own reads open and close the image; they tell nothing.
        EventKind::Access(_) => 0,
        // Removal shows as a change of the link count (metadata) while somebody has it open.
        _ => REPLACED,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::*;

    async fn soon(watch: &Watch) -> Seen {
        tokio::time::timeout(Duration::from_secs(10), watch.next())
            .await
            .expect("an event")
    }

    /// Collects events until one satisfies `wanted`.
    async fn wait_for(watch: &Watch, wanted: impl Fn(Seen) -> bool) {
        while !wanted(soon(watch).await) {}
    }

    #[tokio::test(flavor = "current_thread")]
    async fn tells_of_writes_of_removal_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("stick.img");
        std::fs::write(&image, b"old").unwrap();
        let watch = Watch::start(&image).unwrap();
        std::fs::read(&image).unwrap();
        std::fs::write(folder.path().join("neighbour"), b"x").unwrap();
        let mut file = OpenOptions::new().write(true).open(&image).unwrap();
        file.write_all(b"new").unwrap();
        let first = soon(&watch).await;
        assert!(
            first.wrote && !first.replaced,
            "the read and the neighbour came first: {first:?}"
        );
        drop(file);
        wait_for(&watch, |seen| seen.closed).await;
        std::fs::remove_file(&image).unwrap();
        wait_for(&watch, |seen| seen.replaced).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_host_that_writes_without_a_pause_wakes_it_seldom() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("stick.img");
        std::fs::write(&image, b"old").unwrap();
        let watch = Watch::start(&image).unwrap();
        let end = Instant::now() + 20 * WRITES_APART;
        let writer = thread::spawn(move || {
            let mut file = OpenOptions::new().write(true).open(image).unwrap();
            while Instant::now() < end {
                file.write_all(b"new").unwrap();
            }
        });
        let mut wakes = 0;
        while !soon(&watch).await.closed {
            wakes += 1;
        }
        assert!((2..40).contains(&wakes), "{wakes}");
        writer.join().unwrap();
    }

    #[test]
    fn a_missing_image_cannot_be_watched() {
        assert!(Watch::start(Path::new("/nonexistent/stick.img")).is_err());
    }
}
