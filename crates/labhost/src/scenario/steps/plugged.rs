//! The daemon with a stick whose drive a host has found.

use std::time::{Duration, Instant};

use super::volume::mounted_within;
use super::{ANSWER_LIMIT, SWAP_LIMIT, ask, log, response_on, serve_with};
use crate::daemon::Daemon;
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::{Result, desktop, report, wait};

/// Time for the daemon to take what was just unmounted: far more than its quiet time.
const BETWEEN_MOUNTS: Duration = Duration::from_secs(6);

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
        let daemon = serve_with(configuration)?;
        let lun = Lun::wait(0)?;
        lun.touch()?;
        lun.wait_medium(SWAP_LIMIT)?;
        Ok(Self { daemon, lun })
    }

    /// Mounts the drive, which is there or about to be.
    ///
    /// # Errors
    /// It cannot be mounted.
    pub fn mount(&self, how: How) -> Result<Mount> {
        Ok(mounted_within(SWAP_LIMIT, how)?.0)
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
        let daemon = &mut self.daemon;
        daemon.wait_logged_times(log::ANSWERED, count, ANSWER_LIMIT)?;
        report::step(format!("the daemon has made answer {count}"));
        Ok(Instant::now())
    }

    /// How many answers the daemon says that it has put onto LUN 0.
    pub fn published(&self) -> usize {
        self.daemon.times_logged(log::PUBLISHED)
    }

    /// Waits until so many answers are on LUN 0.
    ///
    /// # Errors
    /// They are not in time.
    pub fn wait_published(&mut self, count: usize) -> Result<()> {
        let daemon = &mut self.daemon;
        daemon.wait_logged_times(log::PUBLISHED, count, ANSWER_LIMIT)?;
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
    /// Unlike [`remounted_with`](super::remounted_with) it waits until the host has noticed a
    /// medium by itself, and mounts for writing.
    ///
    /// # Errors
    /// It never is.
    pub fn mount_showing(&self, name: &str) -> Result<Mount> {
        let (mount, _) = wait::until(name, ANSWER_LIMIT, || {
            wait::until_true("a medium", SWAP_LIMIT, || Lun::sees_medium(0))?;
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
