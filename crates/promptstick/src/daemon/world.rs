//! Everything that a session reaches outside itself, as traits: [`Storage`], [`Drives`],
//! [`Thinking`], and [`World`], which is all of them with a clock. The device's own is
//! [`Board`](super::board::Board); the tests' is a simulation whose time and power they hold.
//!
//! Nothing in here decides. What an implementation must keep: what was written is durable after a
//! sync and not before; the medium is written by nobody else between a grant and its return.

use std::time::SystemTime;

use engine::{Event as EngineEvent, ModelOptions, Request};
use mailbox::MailboxError;
use mailbox::disk::Disk;
use medium::{Bus, How, Timing};
use volume::{JournalStore, WriteAt};

use super::answers::{Answer, Append};
use super::led::Sign;

/// Who may reach the medium when a session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody: it is a file like any other, and no drive is connected.
    Alone,
    /// A host that has been there for longer.
    Held,
    /// Nobody, but a host sees an empty drive.
    Absent,
}

/// What a session waited for.
#[derive(Debug)]
pub enum Woken {
    /// The engine said something.
    Engine(EngineEvent),
    /// A host read the image.
    Looked,
    /// The state of the connection has changed.
    Bus,
    /// The time has come.
    Time,
}

/// The device's own disk: the image, its journal, and the state folder.
pub trait Storage {
    /// The image, to be read or written.
    type Image: WriteAt;
    /// The journal of publications to it.
    type Journal: JournalStore;
    /// The state folder.
    type State: Disk;

    /// What the image is called in messages.
    fn image_name(&self) -> String;

    /// The image for reading.
    ///
    /// # Errors
    /// It cannot be opened.
    fn read_image(&self) -> anyhow::Result<Self::Image>;

    /// The image for writing, while no host can reach it.
    ///
    /// # Errors
    /// It cannot be opened, or another program has it open.
    fn mend_image(&mut self) -> anyhow::Result<Self::Image>;

    /// The end of [`Storage::mend_image`].
    ///
    /// # Errors
    /// The kernel refused.
    fn mended(&mut self, image: Self::Image) -> anyhow::Result<()>;

    /// The image's time of change.
    fn modified(&self) -> Option<SystemTime>;

    /// The journal, which need not be there.
    fn journal(&self) -> Self::Journal;

    /// The state folder, locked for as long as it is held.
    ///
    /// # Errors
    /// It cannot be used, or somebody else uses it.
    fn open_state(&mut self) -> Result<Self::State, MailboxError>;
}

/// The drives that a host sees: LUN 0 with the image, and those that show answers, numbered from
/// 0. A plain image is a drive that is always connected and shows no answers.
pub trait Drives: Storage {
    /// Whether there is a drive at all, or only a file.
    fn is_usb(&self) -> bool;

    /// The waiting times that suit it.
    fn timing(&self) -> Timing;

    /// Looks who has the medium. A drive with another medium in it is disconnected.
    ///
    /// # Errors
    /// The kernel refused.
    fn found(&mut self) -> anyhow::Result<Found>;

    /// Pulls the plug.
    ///
    /// # Errors
    /// The kernel refused.
    fn disconnect(&mut self) -> anyhow::Result<()>;

    /// Puts the medium into the drive, whatever was in it, and connects it.
    ///
    /// # Errors
    /// The kernel refused.
    fn connect(&mut self) -> anyhow::Result<()>;

    /// Takes the medium, for writing; none where a host holds it. [`How::Alone`] and
    /// [`How::Asleep`] disconnect the drive.
    ///
    /// # Errors
    /// The image cannot be opened, or the kernel refused in an unexpected way. The medium is then
    /// in the drive, unless it was ejected or that failed, too ([`Drives::found`] tells).
    fn try_take(&mut self, how: How) -> anyhow::Result<Option<Self::Image>>;

    /// Undoes a [`Drives::try_take`] after which nothing was done.
    ///
    /// # Errors
    /// The kernel refused; the medium is then absent for the host.
    fn put_back(&mut self, how: How, image: Self::Image) -> anyhow::Result<()>;

    /// Ends the writing. The medium stays out of a drive until [`Drives::insert`], unless there is
    /// no host that should see its absence (the drive is disconnected).
    ///
    /// # Errors
    /// As [`Drives::put_back`].
    fn release(&mut self, how: How, image: Self::Image) -> anyhow::Result<()>;

    /// Puts the medium into the drive.
    ///
    /// # Errors
    /// The kernel refused.
    fn insert(&mut self) -> anyhow::Result<()>;

    /// Whether the drive is empty.
    ///
    /// # Errors
    /// The kernel refused.
    fn is_empty(&self) -> anyhow::Result<bool>;

    /// Disconnects the drive and connects it again, if the host lets go of the medium; whether it
    /// did.
    ///
    /// # Errors
    /// The kernel refused; the drive may be disconnected.
    fn rebind(&mut self) -> impl Future<Output = anyhow::Result<bool>>;

    /// The state of the connection. A plain file has a host at all times.
    ///
    /// # Errors
    /// It cannot be read: there may be a host.
    fn bus(&self) -> anyhow::Result<Bus>;

    /// How many drives there are for answers.
    fn answer_drives(&self) -> usize;

    /// Whether a drive for answers is empty.
    ///
    /// # Errors
    /// The kernel refused.
    fn is_answers_empty(&self, at: usize) -> anyhow::Result<bool>;

    /// The files on the medium of a drive for answers, name and length in bytes.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    fn answers_files(&self, at: usize) -> anyhow::Result<Vec<(String, u64)>>;

    /// Makes a fresh medium for answers, of which the newest come first, and says how many of them
    /// it took. Hosts tell it from the one before, and from the volume with `volume_serial`, by its
    /// own serial number. The drive must be empty.
    ///
    /// # Errors
    /// The older medium is in use, or the disk failed or is full.
    fn make_answers(
        &mut self,
        at: usize,
        volume_serial: u32,
        newest_first: impl IntoIterator<Item = Answer>,
    ) -> anyhow::Result<usize>;

    /// Adds files to the medium that was made last, all of them or none: [`Append::Full`] where
    /// none was made, too. The drive must be empty.
    ///
    /// # Errors
    /// The medium is in use; or it cannot be added to any more: make a fresh one.
    fn add_answers(&mut self, at: usize, answers: &[Answer]) -> anyhow::Result<Append>;

    /// Puts its medium into a drive for answers.
    ///
    /// # Errors
    /// The kernel refused.
    fn insert_answers(&mut self, at: usize) -> anyhow::Result<()>;

    /// Asks the host for the medium of a drive for answers; whether it let go.
    ///
    /// # Errors
    /// The kernel refused.
    fn eject_answers(&mut self, at: usize) -> anyhow::Result<bool>;

    /// Takes the medium of a drive for answers from the host.
    ///
    /// # Errors
    /// The kernel refused.
    fn force_answers(&mut self, at: usize) -> anyhow::Result<()>;
}

/// The engine, which has one prompt at a time. What it says comes from [`World::wait`].
pub trait Thinking {
    /// Gives it a prompt.
    ///
    /// # Errors
    /// It has one, or the request cannot be sent.
    fn ask(&mut self, model: &ModelOptions, request: Request) -> anyhow::Result<()>;

    /// Takes the prompt from it: nothing more will be said of it.
    fn cancel(&mut self) -> impl Future<Output = ()>;
}

/// All of it, and the time.
pub trait World: Drives + Thinking {
    /// Monotonic milliseconds.
    fn now_ms(&self) -> u64;

    /// Shows what the stick does.
    fn show(&mut self, sign: Sign);

    /// Looks out for reads of the image by others, or rests; whether it would notice one.
    fn watch_reads(&mut self, wanted: bool) -> bool;

    /// What was read until now was read by the session.
    fn forget_reads(&mut self);

    /// Waits for the engine, the host, or `until_ms`, for ever where that is none. Dropping the
    /// future loses nothing.
    fn wait(&mut self, until_ms: Option<u64>) -> impl Future<Output = Woken>;
}
