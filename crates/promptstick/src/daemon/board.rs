//! The device's own [`World`]: files, the USB drive, the process with the model, the LED. What
//! there is to decide is decided by the session.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use engine::{ModelOptions, Request, Worker};
use mailbox::disk::StateFolder;
use mailbox::{Mailbox, MailboxError};
use medium::{Bus, How, Take, Timing};
use volume::{FileJournal, ImageFile};

use super::answers::{Answer, AnswersImage, Append, fresh_serial, path_beside};
use super::clock::Clock;
use super::drive::{BusWatch, Drive};
use super::led::{Led, Sign};
use super::looks::Looks;
use super::world::{Drives, Found, Storage, Thinking, Woken, World};
use crate::config::Config;
use crate::stick;

/// What a session works with that outlives it.
pub struct Tools<'a> {
    /// The process with the model.
    pub worker: &'a mut Worker,
    /// The drive that the host sees.
    pub drive: &'a mut Drive,
    /// The LED.
    pub led: &'a mut Led,
}

/// The board, as one session has it.
pub struct Board<'a> {
    config: &'a Config,
    tools: Tools<'a>,
    bus_watch: BusWatch,
    looks: Looks,
    clock: Clock,
    /// The media for answers that were made since the session began.
    answers: Vec<Option<AnswersImage>>,
}

impl<'a> Board<'a> {
    /// The board with these tools.
    ///
    /// # Errors
    /// The USB controller is gone.
    pub fn new(config: &'a Config, tools: Tools<'a>) -> anyhow::Result<Self> {
        Ok(Self {
            bus_watch: BusWatch::start(tools.drive)?,
            looks: Looks::default(),
            clock: Clock::start(),
            answers: (0..tools.drive.answer_drives()).map(|_| None).collect(),
            config,
            tools,
        })
    }

    fn answers_path(&self, at: usize) -> anyhow::Result<PathBuf> {
        let lun = u8::try_from(at + 1).context("more drives than LUNs")?;
        Ok(path_beside(&self.config.image, lun))
    }
}

impl Storage for Board<'_> {
    type Image = ImageFile;
    type Journal = FileJournal;
    type State = StateFolder;

    fn image_name(&self) -> String {
        self.config.image.display().to_string()
    }

    fn read_image(&self) -> anyhow::Result<ImageFile> {
        Ok(ImageFile::open_read_only(&self.config.image)?)
    }

    fn mend_image(&mut self) -> anyhow::Result<ImageFile> {
        let file = match self.tools.drive {
            Drive::Plain(medium) => stick::take_to_mend(&self.config.image, medium)?,
            Drive::Usb(_) => return Ok(ImageFile::open_read_write(&self.config.image)?),
        };
        Ok(ImageFile::from_file(file)?)
    }

    fn mended(&mut self, image: ImageFile) -> anyhow::Result<()> {
        self.tools.drive.mended(image.into_file())
    }

    fn modified(&self) -> Option<SystemTime> {
        self.config.image.metadata().ok()?.modified().ok()
    }

    fn journal(&self) -> FileJournal {
        FileJournal::new(&stick::journal(&self.config.image))
    }

    fn open_state(&mut self) -> Result<StateFolder, MailboxError> {
        Mailbox::folder(&self.config.state)
    }
}

impl Drives for Board<'_> {
    fn is_usb(&self) -> bool {
        matches!(self.tools.drive, Drive::Usb(_))
    }

    fn timing(&self) -> Timing {
        self.tools.drive.timing()
    }

    fn found(&mut self) -> anyhow::Result<Found> {
        self.tools.drive.found(&self.config.image)
    }

    fn disconnect(&mut self) -> anyhow::Result<()> {
        self.tools.drive.disconnect()
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        self.tools.drive.connect(&self.config.image)
    }

    fn try_take(&mut self, how: How) -> anyhow::Result<Option<ImageFile>> {
        Ok(match self.tools.drive.try_take(how, &self.config.image)? {
            Take::Granted(file) => Some(ImageFile::from_file(file)?),
            Take::Busy => None,
        })
    }

    fn put_back(&mut self, how: How, image: ImageFile) -> anyhow::Result<()> {
        let (file, path) = (image.into_file(), &self.config.image);
        self.tools.drive.put_back(how, file, path)
    }

    fn release(&mut self, how: How, image: ImageFile) -> anyhow::Result<()> {
        let (file, path) = (image.into_file(), &self.config.image);
        self.tools.drive.release(how, file, path)
    }

    fn insert(&mut self) -> anyhow::Result<()> {
        self.tools.drive.insert(&self.config.image)
    }

    fn is_empty(&self) -> anyhow::Result<bool> {
        self.tools.drive.is_empty()
    }

    async fn rebind(&mut self) -> anyhow::Result<bool> {
        self.tools.drive.rebind(&self.config.image).await
    }

    fn bus(&self) -> anyhow::Result<Bus> {
        self.tools.drive.bus()
    }

    fn answer_drives(&self) -> usize {
        self.tools.drive.answer_drives()
    }

    fn is_answers_empty(&self, at: usize) -> anyhow::Result<bool> {
        self.tools.drive.is_answers_empty(at)
    }

    fn answers_files(&self, at: usize) -> anyhow::Result<Vec<(String, u64)>> {
        AnswersImage::open(&self.answers_path(at)?)?.files()
    }

    fn make_answers(
        &mut self,
        at: usize,
        volume_serial: u32,
        newest_first: impl IntoIterator<Item = Answer>,
    ) -> anyhow::Result<usize> {
        let made = self.answers.iter().flatten().map(AnswersImage::serial);
        let serial = fresh_serial(&made.chain([volume_serial]).collect::<Vec<_>>());
        let path = self.answers_path(at)?;
        let (image, count) = AnswersImage::create(&path, serial, newest_first)?;
        *self.answers.get_mut(at).context("no such drive")? = Some(image);
        Ok(count)
    }

    fn add_answers(&mut self, at: usize, answers: &[Answer]) -> anyhow::Result<Append> {
        match self.answers.get_mut(at) {
            Some(Some(image)) => image.append(answers),
            _ => Ok(Append::Full),
        }
    }

    fn insert_answers(&mut self, at: usize) -> anyhow::Result<()> {
        let path = self.answers_path(at)?;
        self.tools.drive.insert_answers(at, &path)
    }

    fn eject_answers(&mut self, at: usize) -> anyhow::Result<bool> {
        self.tools.drive.eject_answers(at)
    }

    fn force_answers(&mut self, at: usize) -> anyhow::Result<()> {
        self.tools.drive.force_answers(at)
    }
}

impl Thinking for Board<'_> {
    fn ask(&mut self, model: &ModelOptions, request: Request) -> anyhow::Result<()> {
        Ok(self.tools.worker.start(model, request)?)
    }

    async fn cancel(&mut self) {
        self.tools.worker.cancel().await;
    }
}

impl World for Board<'_> {
    fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    fn show(&mut self, sign: Sign) {
        self.tools.led.show(sign);
    }

    fn watch_reads(&mut self, wanted: bool) -> bool {
        self.looks.set(wanted, &self.config.image);
        self.looks.is_watching()
    }

    fn forget_reads(&mut self) {
        self.looks.forget();
    }

    async fn wait(&mut self, until_ms: Option<u64>) -> Woken {
        tokio::select! {
            biased;
            // A read that came in time counts, though the deadline has passed meanwhile.
            () = self.looks.next() => {
                self.looks.forget();
                Woken::Looked
            }
            () = self.bus_watch.next() => Woken::Bus,
            event = self.tools.worker.event() => Woken::Engine(event),
            () = self.clock.reach(until_ms) => Woken::Time,
        }
    }
}
