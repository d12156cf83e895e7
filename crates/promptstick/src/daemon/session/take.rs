//! Taking the medium, publishing, giving it back.

use std::cell::Cell;

use anyhow::Context;
use mailbox::disk::Disk;
use mailbox::limits::RESPONSE_LIMIT_BYTES;
use mailbox::{Digest, Mailbox};
use medium::{Event, How, Refusal};
use volume::{PublishError, ReadAt, ReadError, RepairError, Volume};

use super::{Mode, Session, Step, has_journal, open_volume};
use crate::daemon::publish::{NotBegun, publish};
use crate::daemon::report::Part;
use crate::daemon::world::{Found, World};
use crate::stick;
use scan::Scan;

/// What was done with a medium that the host let go.
enum Used {
    /// Whether there is something on it that the host has not seen.
    Done {
        changed: bool,
    },
    Refused(Refusal),
    OtherVolume,
}

impl<W: World> Session<'_, W> {
    /// One attempt to take the medium, and, when it is granted, one publication.
    pub(super) async fn take(&mut self, how: How) -> anyhow::Result<Step> {
        if is_asked(how) && self.is_modified() {
            // Somebody wrote just now, and it was not told yet: that is read first.
            self.wrote();
            return Ok(Step::Again);
        }
        if is_asked(how)
            && let Some(refusal) = self.obstacle()?
        {
            return Ok(self.refused(refusal));
        }
        // To disconnect the drive takes the answers from whoever has them open.
        if how == How::Asleep && !self.answers_are_free() {
            return Ok(self.refused(Refusal::Busy));
        }
        let mut image = match self.world.try_take(how) {
            Ok(Some(image)) => image,
            Ok(None) => return Ok(self.refused(Refusal::Busy)),
            // The drive is not as it was: the next session finds out, and mends that.
            Err(error) if !self.is_as_before(how) => return Err(error),
            Err(error) => return self.put_off(error),
        };
        if how == How::Asleep {
            tracing::info!("the computer sleeps or has powered the drive off; connecting it anew");
        }
        let result = self.use_medium(how, &mut image).await;
        if let Ok(Used::Refused(refusal)) = result {
            self.world.put_back(how, image)?;
            return Ok(self.refused(refusal));
        }
        if let Err(error) = &result
            && !(is_harmless(error) && matches!(has_journal(&self.world), Ok(false)))
        {
            // The journal has to be completed or put aside first: whoever opens the next session
            // does that, and gives the medium back.
            drop(image);
            return result.map(|_| Step::Again);
        }
        let changed = matches!(result, Ok(Used::Done { changed: true }));
        self.world.release(how, image)?;
        self.machine
            .handle(self.world.now_ms(), Event::Returned { changed });
        if how == How::Asleep {
            self.look_at_bus()?;
        }
        match result {
            Ok(Used::OtherVolume) => Ok(Step::OtherVolume),
            Ok(_) => {
                self.want_medium();
                Ok(Step::Again)
            }
            Err(error) => self.put_off(error),
        }
    }

    /// Whether a failed attempt has left the medium where the state machine takes it to be.
    fn is_as_before(&mut self, how: How) -> bool {
        how == How::Ejected || !self.world.is_usb() || matches!(self.world.found(), Ok(Found::Held))
    }

    /// Puts the medium back into the drive.
    pub(super) fn insert(&mut self) -> Step {
        let event = match self.world.insert() {
            Ok(()) => {
                self.report.went_well(Part::Drive);
                Event::Inserted
            }
            Err(error) => {
                self.report.put_off(Part::Drive, &error);
                Event::Failed
            }
        };
        self.machine.handle(self.world.now_ms(), event);
        Step::Again
    }

    /// Makes a host that does not look at the drive any more look again. One that has an answer
    /// open, or holds or has marked the volume, does look.
    ///
    /// # Errors
    /// The kernel refused, and the drive may be disconnected: the next session connects it.
    pub(super) async fn rebind(&mut self) -> anyhow::Result<Step> {
        let is_used = self.is_marked()? || !self.answers_are_free();
        let connected = !is_used && self.world.rebind().await?;
        if connected {
            tracing::info!("nobody reads the drive; connected it anew");
        }
        let event = Event::Rebound { connected };
        self.machine.handle(self.world.now_ms(), event);
        self.look_at_bus()?;
        Ok(Step::Again)
    }

    /// Why a host need not even be asked for the medium: it would miss a medium that it gets back a
    /// moment later. What the last reading said of its files counts, for nobody has written since.
    fn obstacle(&self) -> anyhow::Result<Option<Refusal>> {
        if self.is_marked()? {
            return Ok(Some(Refusal::InUse));
        }
        if self.unfinished && self.world.is_usb() {
            self.report.unfinished();
            return Ok(Some(Refusal::Inconsistent));
        }
        Ok(None)
    }

    /// Whether the volume is marked as in use, as of this moment. A plain file is read as a whole
    /// once it is ours; taking a drive's medium from a host that uses it would not pass unnoticed.
    fn is_marked(&self) -> anyhow::Result<bool> {
        Ok(self.world.is_usb() && !open_volume(&self.world)?.dirty_marks()?.is_clean())
    }

    fn refused(&mut self, refusal: Refusal) -> Step {
        if refusal != Refusal::Failed {
            self.report.held();
        }
        self.machine
            .handle(self.world.now_ms(), Event::Refused(refusal));
        Step::Again
    }

    /// The volume could not be written and is as it was. The daemon tries again later, and goes on
    /// with everything else until then.
    fn put_off(&mut self, error: anyhow::Error) -> anyhow::Result<Step> {
        if self.mode == Mode::Once {
            return Err(error);
        }
        self.report.put_off(Part::Volume, &error);
        Ok(self.refused(Refusal::Failed))
    }

    /// The medium is granted; it is ours if the volume says so as well.
    async fn use_medium(&mut self, how: How, device: &mut W::Image) -> anyhow::Result<Used> {
        if !is_asked(how)
            && let Some(refusal) = self.finish_for_host(device)?
        {
            return Ok(Used::Refused(refusal));
        }
        let volume = Volume::open(&*device)?;
        if volume.serial() != self.serial {
            return Ok(Used::OtherVolume);
        }
        // Before the long reading: a host that has begun to write is given the medium back.
        if !volume.dirty_marks()?.is_clean() {
            return Ok(Used::Refused(Refusal::InUse));
        }
        let scan = Scan::read(&volume)?;
        let view = scan.as_view();
        // Again, for a host may have written between the last reading and the eject.
        if self.world.is_usb() && is_asked(how) && !view.unsettled.is_subset(&self.damaged) {
            self.report.unfinished();
            return Ok(Used::Refused(Refusal::Inconsistent));
        }
        self.machine.handle(self.world.now_ms(), Event::Taken(how));
        // Nobody else can write now: what is there is what there is.
        resolve_intents(&mut self.mailbox, &volume).context(NotBegun)?;
        self.believe(&scan, &view).await?;
        let done = publish(
            device,
            &mut self.world.journal(),
            &scan,
            &mut self.mailbox,
            &mut self.report,
        )?;
        match done.unnoted {
            Some(error) => self.report.put_off(Part::Volume, &error.into()),
            None => self.report.went_well(Part::Volume),
        }
        self.no_room = done.left > 0 && done.written == 0;
        self.answers.published(&done.ids);
        if self.no_room {
            self.show_elsewhere();
        }
        let changed = done.written > 0;
        Ok(Used::Done { changed })
    }

    /// Repairs what a host that is gone left undone; why the volume is not whole now, if it is not.
    ///
    /// # Errors
    /// The repair broke off in the middle of a change, which has to be completed first.
    fn finish_for_host(&mut self, device: &mut W::Image) -> anyhow::Result<Option<Refusal>> {
        let (name, mut journal) = (self.world.image_name(), self.world.journal());
        let Err(error) = stick::repair(&name, device, &mut journal) else {
            return Ok(None);
        };
        if has_journal(&self.world)? {
            return Err(error);
        }
        self.report.put_off(Part::Volume, &error);
        Ok(Some(match error.downcast_ref() {
            Some(RepairError::Publish(_)) => Refusal::Failed,
            _ => Refusal::Inconsistent,
        }))
    }
}

/// Whether there is a host that might use the medium: what its marks and files say counts then.
fn is_asked(how: How) -> bool {
    matches!(how, How::Asked | How::Asleep)
}

/// Finds out what an interrupted publication came to. What cannot be read is not what is not there.
///
/// # Errors
/// The device failed, or the ledger.
pub(super) fn resolve_intents<D: ReadAt, S: Disk>(
    mailbox: &mut Mailbox<S>,
    volume: &Volume<D>,
) -> anyhow::Result<()> {
    let failure = Cell::new(None);
    let content = |path: &str| {
        let digest = digest(volume, path);
        digest.unwrap_or_else(|error| {
            failure.set(Some(error));
            None
        })
    };
    mailbox.resolve_intents(&content)?;
    failure
        .into_inner()
        .map_or(Ok(()), |error| Err(error.into()))
}

/// The digest of a file that could be an answer, if it can be one.
fn digest<D: ReadAt>(volume: &Volume<D>, path: &str) -> Result<Option<Digest>, ReadError> {
    let content = volume.find(path).and_then(|entry| {
        let read = |entry| volume.read(&entry, RESPONSE_LIMIT_BYTES as u64);
        entry.map(read).transpose()
    });
    match content {
        Err(error @ ReadError::Io(_)) => Err(error),
        content => Ok(content.ok().flatten().map(|content| Digest::of(&content))),
    }
}

/// Whether the failure left the volume as it was, with nothing to repair.
fn is_harmless(error: &anyhow::Error) -> bool {
    let left_alone = matches!(
        error.downcast_ref(),
        Some(PublishError::Journal(_) | PublishError::Read(_) | PublishError::Settle(_))
    );
    left_alone || error.is::<NotBegun>()
}

#[cfg(test)]
mod tests {
    use std::io;

    use volume::{FatTime, FormatOptions, WriteAt as _};

    use super::*;

    /// A disk whose every read fails once it is told to.
    struct Failing {
        image: Vec<u8>,
        fails: Cell<bool>,
    }

    impl ReadAt for Failing {
        fn len(&self) -> u64 {
            self.image.len() as u64
        }

        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            match self.fails.get() {
                true => Err(io::ErrorKind::Other.into()),
                false => self.image.read_at(offset, buf),
            }
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_one_that_is_not_there() {
        let mut image = vec![0; 3 << 20];
        volume::format(&mut image, &FormatOptions::default()).expect("room");
        let changes = {
            let volume = Volume::open(&image).expect("a volume");
            let mut edit = volume.edit();
            edit.create("there.txt", b"x", FatTime::FIRST)
                .expect("room");
            edit.finish().expect("changes")
        };
        for sector in changes.sectors() {
            let written = image.write_at(sector.offset_bytes, &sector.after);
            written.expect("in memory");
        }
        let fails = Cell::new(false);
        let volume = Volume::open(Failing { image, fails }).expect("a volume");
        assert!(matches!(digest(&volume, "there.txt"), Ok(Some(_))));
        assert!(matches!(digest(&volume, "not there.txt"), Ok(None)));
        volume.device().fails.set(true);
        for path in ["there.txt", "not there.txt"] {
            assert!(matches!(digest(&volume, path), Err(ReadError::Io(_))));
        }
    }
}
