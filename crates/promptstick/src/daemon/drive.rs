//! How the image reaches a host: as a plain file, or as the media of a USB drive. The edge behind
//! the actions of `medium`'s state machines; decides nothing itself.
//!
//! Invariants: the medium of a drive that a host may reach is never written; a drive that is
//! dropped without [`Drive::remove`] goes on as it is, so that a daemon that dies pulls no plug.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use medium::gadget::{Description, Ejection, Gadget, Paths, Started};
use medium::{Bus, How, Medium, PlainFile, Take, Timing};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use volume::ImageFile;

use super::polled::polled;
use super::world::Found;
use crate::config::{self, Config};

/// LUN of the drive that takes prompts; those after it show answers.
const PROMPTS: usize = 0;
/// Between unbinding and binding: seen to suffice for hosts to notice; doubled.
const REBIND: Duration = Duration::from_millis(400);

/// The image, as a host meets it.
pub enum Drive {
    /// Other programs on this machine are the hosts.
    Plain(PlainFile),
    /// A computer at the other end of a cable is.
    Usb(Gadget),
}

impl Drive {
    /// Makes the drive, or takes over the one that an earlier daemon left. It is not connected.
    ///
    /// # Errors
    /// The description is not valid, or the kernel or the board lack something: what, and what to
    /// do.
    pub fn start(config: &Config) -> anyhow::Result<Self> {
        if config.gadget == config::Gadget::None {
            return Ok(Self::Plain(PlainFile::new(&config.image)));
        }
        let description = description(config.gadget_description.as_deref())?;
        let udc = config.udc.as_deref();
        Ok(
            match Gadget::start(&description, &Paths::default(), udc, &config.image)? {
                Started::Adopted(gadget) => {
                    tracing::info!(
                        udc = gadget.udc(),
                        "took over the drive of an earlier daemon"
                    );
                    Self::Usb(gadget)
                }
                Started::Fresh(gadget) => {
                    tracing::info!(udc = gadget.udc(), luns = gadget.luns(), "made the drive");
                    Self::Usb(gadget)
                }
            },
        )
    }

    /// The waiting times that suit it.
    pub fn timing(&self) -> Timing {
        match self {
            Self::Plain(_) => Timing::PLAIN_FILE,
            Self::Usb(_) => Timing::GADGET,
        }
    }

    /// Looks who has the medium. A drive with another medium in it is disconnected.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn found(&self, image: &Path) -> anyhow::Result<Found> {
        let Self::Usb(gadget) = self else {
            return Ok(Found::Alone);
        };
        if !gadget.is_bound()? {
            return Ok(Found::Alone);
        }
        if gadget.holds(PROMPTS, image)? {
            return Ok(Found::Held);
        }
        if gadget.inserted(PROMPTS)?.is_none() {
            return Ok(Found::Absent);
        }
        self.disconnect()?;
        Ok(Found::Alone)
    }

    /// Pulls the plug.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn disconnect(&self) -> anyhow::Result<()> {
        if let Self::Usb(gadget) = self {
            gadget.unbind()?;
        }
        Ok(())
    }

    /// Puts the medium into the drive, whatever was in it, and connects it.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn connect(&self, image: &Path) -> anyhow::Result<()> {
        let Self::Usb(gadget) = self else {
            return Ok(());
        };
        if !gadget.holds(PROMPTS, image)? {
            gadget.eject(PROMPTS)?;
            gadget.insert(PROMPTS, image)?;
        }
        Ok(gadget.bind()?)
    }

    /// The end of a change that [`stick::take_to_mend`](crate::stick::take_to_mend) or an open file
    /// was for, while no host could reach the image.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn mended(&mut self, file: File) -> anyhow::Result<()> {
        match self {
            Self::Plain(plain) => Ok(plain.give_back(file)?),
            Self::Usb(_) => Ok(()),
        }
    }

    /// Takes the medium, for writing. [`How::Alone`] and [`How::Asleep`] disconnect the drive.
    ///
    /// # Errors
    /// The image cannot be opened, or the kernel refused in an unexpected way.
    pub fn try_take(&mut self, how: How, image: &Path) -> anyhow::Result<Take> {
        let gadget = match self {
            Self::Plain(file) => return Ok(file.try_take()?),
            Self::Usb(gadget) => gadget,
        };
        match how {
            How::Asked | How::Asleep => {
                if gadget.eject(PROMPTS)? == Ejection::Busy {
                    return Ok(Take::Busy);
                }
                if how == How::Asleep {
                    gadget.unbind()?;
                }
            }
            How::Ejected => {}
            How::Alone => gadget.unbind()?,
        }
        let opened = ImageFile::open_read_write(image).map(ImageFile::into_file);
        let opened = opened.with_context(|| format!("cannot write {}", image.display()));
        match how {
            How::Asked if opened.is_err() => gadget.insert(PROMPTS, image)?,
            How::Asleep | How::Alone if opened.is_err() => self.connect(image)?,
            _ => {}
        }
        Ok(Take::Granted(opened?))
    }

    /// Undoes a [`Drive::try_take`] after which nothing was done.
    ///
    /// # Errors
    /// The kernel refused; the medium is then absent for the host.
    pub fn put_back(&mut self, how: How, file: File, image: &Path) -> anyhow::Result<()> {
        match self {
            Self::Plain(plain) => Ok(plain.give_back(file)?),
            Self::Usb(_) if how == How::Ejected => Ok(()),
            Self::Usb(_) => {
                drop(file);
                self.connect(image)
            }
        }
    }

    /// Ends the writing. The medium stays out of a drive until [`Drive::insert`], unless there is
    /// no host that should see its absence (the drive is disconnected).
    ///
    /// # Errors
    /// As [`Drive::put_back`].
    pub fn release(&mut self, how: How, file: File, image: &Path) -> anyhow::Result<()> {
        match self {
            Self::Usb(_) if matches!(how, How::Asked | How::Ejected) => Ok(()),
            _ => self.put_back(how, file, image),
        }
    }

    /// Puts the medium into the drive.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn insert(&self, image: &Path) -> anyhow::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Usb(gadget) => Ok(gadget.insert(PROMPTS, image)?),
        }
    }

    /// Whether the drive is empty.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn is_empty(&self) -> anyhow::Result<bool> {
        match self {
            Self::Plain(_) => Ok(false),
            Self::Usb(gadget) => Ok(gadget.inserted(PROMPTS)?.is_none()),
        }
    }

    /// Disconnects the drive and connects it again, if the host lets go of the medium; whether it
    /// did.
    ///
    /// # Errors
    /// The kernel refused; the drive may be disconnected.
    pub async fn rebind(&self, image: &Path) -> anyhow::Result<bool> {
        if let Self::Usb(gadget) = self {
            if gadget.eject(PROMPTS)? == Ejection::Busy {
                return Ok(false);
            }
            gadget.unbind()?;
            tokio::time::sleep(REBIND).await;
            self.connect(image)?;
        }
        Ok(true)
    }

    /// How many drives there are for answers.
    pub fn answer_drives(&self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Usb(gadget) => gadget.luns() - 1,
        }
    }

    /// Whether a drive for answers (from 0) is empty.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn is_answers_empty(&self, at: usize) -> anyhow::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Usb(gadget) => Ok(gadget.inserted(at + 1)?.is_none()),
        }
    }

    /// Puts an image into a drive for answers (from 0).
    ///
    /// # Errors
    /// The kernel refused.
    pub fn insert_answers(&self, at: usize, image: &Path) -> anyhow::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Usb(gadget) => Ok(gadget.insert(at + 1, image)?),
        }
    }

    /// Asks the host for the medium of a drive for answers (from 0); whether it let go.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn eject_answers(&self, at: usize) -> anyhow::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Usb(gadget) => Ok(gadget.eject(at + 1)? == Ejection::Granted),
        }
    }

    /// Takes the medium of a drive for answers (from 0) from the host.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn force_answers(&self, at: usize) -> anyhow::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Usb(gadget) => Ok(gadget.force_eject(at + 1)?),
        }
    }

    /// The state of the connection. A plain file has a host at all times.
    ///
    /// # Errors
    /// It cannot be read: there may be a host.
    pub fn bus(&self) -> anyhow::Result<Bus> {
        match self {
            Self::Plain(_) => Ok(Bus::Configured),
            Self::Usb(gadget) => gadget.bus().context("cannot read the state of the bus"),
        }
    }

    /// Ends it. When somebody `asked` for that, nothing is left behind, and whoever uses the drive
    /// finds it gone, as if the plug were pulled. Otherwise only a drive that nobody can use is
    /// removed: the next daemon takes over the other.
    pub fn end(self, asked: bool) {
        let Self::Usb(gadget) = self else {
            return;
        };
        if !asked && gadget.is_bound().unwrap_or(true) {
            return;
        }
        if let Err(error) = gadget.remove() {
            tracing::warn!(%error, "the drive could not be removed; the next start does it");
        }
    }
}

/// The drive as the host sees it: as `path` describes it, or as built in.
///
/// # Errors
/// The description cannot be read, or is not valid.
pub fn description(path: Option<&Path>) -> anyhow::Result<Description> {
    let Some(path) = path else {
        return Ok(Description::built_in());
    };
    let naming = || format!("in the description of the drive, {}", path.display());
    let text = std::fs::read_to_string(path).with_context(naming)?;
    Description::parse(&text).with_context(naming)
}

/// Wakes when the state of the connection has changed.
pub struct BusWatch {
    state: Option<AsyncFd<File>>,
}

impl BusWatch {
    /// Watches the bus of `drive`; a plain file has none.
    ///
    /// # Errors
    /// The controller is gone.
    pub fn start(drive: &Drive) -> anyhow::Result<Self> {
        let state = match drive {
            Drive::Plain(_) => None,
            Drive::Usb(gadget) => Some(polled(gadget.bus_file()?, Interest::PRIORITY)?),
        };
        Ok(Self { state })
    }

    /// Waits for the next change. Nothing is lost when the future is dropped.
    pub async fn next(&self) {
        use std::os::unix::fs::FileExt;

        /// More than the longest name of a state.
        const STATE_BYTES: usize = 64;
        let Some(state) = &self.state else {
            return std::future::pending().await;
        };
        match state.ready(Interest::PRIORITY).await {
            Ok(mut ready) => {
                ready.clear_ready();
                // Reading it from its start arms the next wake-up; what it says is asked elsewhere.
                let _ = state.get_ref().read_at(&mut [0; STATE_BYTES], 0);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot watch the bus");
                std::future::pending::<()>().await;
            }
        }
    }
}
