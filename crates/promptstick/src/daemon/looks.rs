//! Tells when a host reads the image (inotify's `IN_ACCESS`), for the seconds in which that
//! matters.
//!
//! The device's own reads look the same, so whoever reads meanwhile calls [`Looks::forget`]. Apart
//! from those seconds nothing is watched: a host that copies a file would wake the daemon all the
//! time. `notify` does not report reads.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::polled::polled;

/// Watches, or rests.
#[derive(Default)]
pub struct Looks {
    watch: Option<AsyncFd<File>>,
}

impl Looks {
    /// Begins, or goes on, when `wanted`; rests otherwise.
    pub fn set(&mut self, wanted: bool, image: &Path) {
        if !wanted {
            self.watch = None;
        } else if self.watch.is_none() {
            self.watch = watch(image)
                .inspect_err(|error| tracing::warn!(%error, "cannot tell whether a host reads"))
                .ok();
        }
    }

    /// Whether a read would be told.
    pub fn is_watching(&self) -> bool {
        self.watch.is_some()
    }

    /// What was read until now was read by the device.
    pub fn forget(&mut self) {
        self.watch = None;
    }

    /// Waits for a read.
    pub async fn next(&self) {
        let Some(watch) = &self.watch else {
            return std::future::pending().await;
        };
        if watch.readable().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn watch(image: &Path) -> std::io::Result<AsyncFd<File>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(image, AddWatchFlags::IN_ACCESS | AddWatchFlags::IN_ONESHOT)?;
    polled(OwnedFd::from(inotify).into(), Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn is_seen(looks: &Looks) -> bool {
        let wait = Duration::from_millis(300);
        tokio::time::timeout(wait, looks.next()).await.is_ok()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn reads_are_seen_while_it_is_wanted_and_writes_never() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("stick.img");
        std::fs::write(&image, b"medium").unwrap();
        let mut looks = Looks::default();
        looks.set(true, &image);
        std::fs::write(&image, b"written").unwrap();
        assert!(!is_seen(&looks).await);
        std::fs::read(&image).unwrap();
        assert!(is_seen(&looks).await);
        looks.forget();
        looks.set(true, &image);
        assert!(!is_seen(&looks).await, "forgotten");
        looks.set(false, &image);
        std::fs::read(&image).unwrap();
        assert!(!is_seen(&looks).await, "resting");
    }
}
