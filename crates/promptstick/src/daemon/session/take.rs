//! Taking the medium, publishing, giving it back.

use std::fs::File;

use mailbox::Digest;
use mailbox::limits::RESPONSE_LIMIT_BYTES;
use medium::{Event, Medium, Refusal, Take};
use volume::{ImageFile, PublishError, ReadAt, Volume};

use super::{Mode, Session, Step};
use crate::daemon::publish::publish;
use crate::daemon::scan::Scan;
use crate::stick;

/// What was done with a medium that the host let go.
enum Used {
    Published,
    InUse,
    OtherVolume,
}

impl Session<'_> {
    /// One attempt to take the medium, and, when it is granted, one publication.
    pub(super) async fn take(&mut self) -> anyhow::Result<Step> {
        let image = match self.medium.try_take() {
            Ok(Take::Granted(image)) => image,
            Ok(Take::Busy) => {
                self.report.held();
                return Ok(self.refused(Refusal::Busy));
            }
            Err(error) => return self.put_off(error.into()),
        };
        let result = self.use_medium(&image).await;
        self.medium.give_back(image)?;
        match result {
            Ok(Used::Published) => {
                self.machine.handle(self.clock.now_ms(), Event::Returned);
                self.want_medium();
                Ok(Step::Again)
            }
            Ok(Used::InUse) => {
                self.report.held();
                Ok(self.refused(Refusal::InUse))
            }
            Ok(Used::OtherVolume) => Ok(Step::OtherVolume),
            Err(error) if is_harmless(&error) => {
                self.machine.handle(self.clock.now_ms(), Event::Returned);
                self.put_off(error)
            }
            Err(error) => Err(error),
        }
    }

    fn refused(&mut self, refusal: Refusal) -> Step {
        self.machine
            .handle(self.clock.now_ms(), Event::Refused(refusal));
        Step::Again
    }

    /// The volume could not be written and is as it was. The daemon tries again later, and goes on
    /// with everything else until then.
    fn put_off(&mut self, error: anyhow::Error) -> anyhow::Result<Step> {
        if self.mode == Mode::Once {
            return Err(error);
        }
        self.report.put_off(&error);
        Ok(self.refused(Refusal::Failed))
    }

    /// The medium is granted; it is ours if the volume says so as well.
    async fn use_medium(&mut self, image: &File) -> anyhow::Result<Used> {
        let mut device = ImageFile::from_file(image.try_clone()?)?;
        let volume = Volume::open(&device)?;
        if volume.serial() != self.serial {
            return Ok(Used::OtherVolume);
        }
        let scan = Scan::read(&volume)?;
        if scan.in_use {
            return Ok(Used::InUse);
        }
        self.machine.handle(self.clock.now_ms(), Event::Taken);
        // Nobody else can write now: what is there is what there is.
        self.mailbox
            .resolve_intents(&|path| digest(&volume, path))?;
        self.believe(&scan, &scan.as_view()).await?;
        let journal = stick::journal(&self.config.image);
        let done = publish(
            &mut device,
            &journal,
            &scan,
            &mut self.mailbox,
            &mut self.report,
        )?;
        self.no_room = done.left > 0 && done.written == 0;
        Ok(Used::Published)
    }
}

/// The digest of a file that could be an answer.
fn digest<D: ReadAt>(volume: &Volume<D>, path: &str) -> Option<Digest> {
    let entry = volume.find(path).ok()??;
    let content = volume.read(&entry, RESPONSE_LIMIT_BYTES as u64).ok()?;
    Some(Digest::of(&content))
}

/// Whether the failure left the volume as it was, with nothing to repair.
fn is_harmless(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(PublishError::Journal(_) | PublishError::Read(_))
    )
}
