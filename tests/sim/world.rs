//! The real session's [`World`] in memory: the simulated disk, the simulated drive, an engine that
//! answers when its time has come, and a clock that the runner holds.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use engine::{ModelOptions, Request};
use mailbox::MailboxError;
use medium::gadget::Ejection;
use medium::{Bus, How, Timing};
use promptstick::daemon::{
    Answer, Append, Drives, Found, Sign, Storage, Thinking, Woken, World, answers_image,
};
use volume::GrowingVolume;
use volume::testing::PagedImage;

use super::disk::{Disk, Image};
use super::engine::Engine;
use super::files::{Files, Journal};
use super::gadget::Gadget;
use super::process::{Of, Process};
use super::usb::{LUNS, Medium, Usb};

/// LUN of the drive that takes prompts.
const PROMPTS: usize = 0;
/// How long the device stays unbound when it connects its drive anew.
const REBIND_MS: u64 = 400;

/// What there is of one stick outside its session; clones are the same.
#[derive(Clone)]
pub struct Stick {
    pub disk: Disk,
    pub usb: Usb,
    pub engine: Engine,
    now_ms: Rc<Cell<u64>>,
    /// The media for answers, files on the device's disk.
    media: Rc<RefCell<Vec<Option<PagedImage>>>>,
    serial: Rc<Cell<u32>>,
    watches_reads: Rc<Cell<bool>>,
    blank: PagedImage,
}

impl Stick {
    /// A stick whose disk holds this image, and nothing else.
    pub fn new(image: PagedImage, blank: PagedImage, engine: Engine) -> Self {
        let disk = Disk::new(image);
        Self {
            usb: Usb::new(disk.clone()),
            disk,
            engine,
            now_ms: Rc::default(),
            media: Rc::new(RefCell::new(vec![None; LUNS - 1])),
            serial: Rc::new(Cell::new(1)),
            watches_reads: Rc::default(),
            blank,
        }
    }

    /// An empty device of the size of a medium for answers.
    pub fn blank() -> PagedImage {
        let len_bytes = usize::try_from(answers_image::IMAGE_BYTES).unwrap();
        vec![0; len_bytes].as_slice().into()
    }

    /// The time, everywhere.
    pub fn set_now(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        self.usb.step(now_ms);
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// A host read the image while the session looked out for that.
    pub fn take_looked(&self) -> bool {
        self.usb.take_read() && self.watches_reads.get()
    }

    /// The power goes and comes back; the media for answers are not worth a sync.
    pub fn lose_power(&self, random: &mut volume::testing::Random) {
        self.usb.power_cut();
        self.disk.power_cut(random);
        self.media.borrow_mut().fill(None);
        self.engine.forget();
        self.watches_reads.set(false);
    }
}

impl Stick {
    fn gadget(&self) -> Gadget {
        Gadget::new(self.usb.clone(), self.process().clone())
    }

    fn process(&self) -> &Process {
        self.disk.process()
    }

    fn open_image(&self) -> io::Result<Image> {
        let disk = &self.disk;
        self.process().look(Of::Image, || Ok(disk.image()))
    }

    /// A medium for answers that is inserted is neither added to nor replaced.
    fn change_medium<T>(
        &mut self,
        at: usize,
        work: impl FnOnce(&mut Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        ensure!(!self.usb.is_inserted(at + 1), "it is inserted");
        let process = self.process().clone();
        process.change(Of::Files, || {
            let counted = self.disk.count_operation();
            counted.map(|()| work(self))
        })?
    }
}

impl Storage for Stick {
    type Image = Image;
    type Journal = Journal;
    type State = Files;

    fn image_name(&self) -> String {
        "the image".into()
    }

    fn read_image(&self) -> anyhow::Result<Image> {
        Ok(self.open_image()?)
    }

    fn mend_image(&mut self) -> anyhow::Result<Image> {
        Ok(self.open_image()?)
    }

    fn mended(&mut self, _: Image) -> anyhow::Result<()> {
        Ok(())
    }

    fn modified(&self) -> Option<SystemTime> {
        let modified = || Ok(Duration::from_nanos(self.disk.modified()));
        let modified = self.process().look(Of::Image, modified);
        Some(SystemTime::UNIX_EPOCH + modified.ok()?)
    }

    fn journal(&self) -> Journal {
        self.disk.journal()
    }

    fn open_state(&mut self) -> Result<Files, MailboxError> {
        let disk = &self.disk;
        let opened = self.process().look(Of::Files, || Ok(disk.state()));
        opened.map_err(|source| MailboxError::Open {
            path: "state".into(),
            source,
        })
    }
}

impl Drives for Stick {
    fn is_usb(&self) -> bool {
        true
    }

    fn timing(&self) -> Timing {
        Timing::GADGET
    }

    fn found(&mut self) -> anyhow::Result<Found> {
        Ok(match self.gadget().is_bound()? {
            false => Found::Alone,
            true if self.gadget().is_inserted(PROMPTS)? => Found::Held,
            true => Found::Absent,
        })
    }

    fn disconnect(&mut self) -> anyhow::Result<()> {
        Ok(self.gadget().unbind()?)
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        self.gadget().insert(PROMPTS, Medium::Stick)?;
        Ok(self.gadget().bind()?)
    }

    fn try_take(&mut self, how: How) -> anyhow::Result<Option<Image>> {
        match how {
            How::Asked | How::Asleep => {
                if self.gadget().eject(PROMPTS)? == Ejection::Busy {
                    return Ok(None);
                }
                if how == How::Asleep {
                    self.gadget().unbind()?;
                }
            }
            How::Ejected => {}
            How::Alone => self.gadget().unbind()?,
        }
        let opened = self.open_image();
        match how {
            How::Asked if opened.is_err() => self.gadget().insert(PROMPTS, Medium::Stick)?,
            How::Asleep | How::Alone if opened.is_err() => self.connect()?,
            _ => {}
        }
        Ok(Some(opened?))
    }

    fn put_back(&mut self, how: How, _: Image) -> anyhow::Result<()> {
        match how {
            How::Ejected => Ok(()),
            _ => self.connect(),
        }
    }

    fn release(&mut self, how: How, image: Image) -> anyhow::Result<()> {
        match how {
            How::Asked | How::Ejected => Ok(()),
            _ => self.put_back(how, image),
        }
    }

    fn insert(&mut self) -> anyhow::Result<()> {
        Ok(self.gadget().insert(PROMPTS, Medium::Stick)?)
    }

    fn is_empty(&self) -> anyhow::Result<bool> {
        Ok(!self.gadget().is_inserted(PROMPTS)?)
    }

    async fn rebind(&mut self) -> anyhow::Result<bool> {
        if self.gadget().eject(PROMPTS)? == Ejection::Busy {
            return Ok(false);
        }
        self.gadget().unbind()?;
        self.set_now(self.now_ms() + REBIND_MS);
        self.connect()?;
        Ok(true)
    }

    fn bus(&self) -> anyhow::Result<Bus> {
        Ok(self.gadget().bus()?)
    }

    fn answer_drives(&self) -> usize {
        LUNS - 1
    }

    fn is_answers_empty(&self, at: usize) -> anyhow::Result<bool> {
        Ok(!self.gadget().is_inserted(at + 1)?)
    }

    fn answers_files(&self, at: usize) -> anyhow::Result<Vec<(String, u64)>> {
        self.process().look(Of::Files, || Ok(()))?;
        let media = self.media.borrow();
        let image = media[at].as_ref().context("there is no medium")?;
        let files = GrowingVolume::open(image.clone())?.files()?.into_iter();
        Ok(files
            .map(|entry| (entry.name, entry.len_bytes.into()))
            .collect())
    }

    fn make_answers(
        &mut self,
        at: usize,
        volume_serial: u32,
        newest_first: impl IntoIterator<Item = Answer>,
    ) -> anyhow::Result<usize> {
        self.change_medium(at, |stick| {
            stick.serial.set(stick.serial.get() + 1);
            let serial = stick.serial.get() ^ volume_serial.rotate_left(16);
            let mut image = stick.blank.clone();
            let count = answers_image::make(&mut image, serial, newest_first)?;
            stick.media.borrow_mut()[at] = Some(image);
            Ok(count)
        })
    }

    fn add_answers(&mut self, at: usize, answers: &[Answer]) -> anyhow::Result<Append> {
        self.change_medium(at, |stick| match &mut stick.media.borrow_mut()[at] {
            Some(image) => answers_image::add(image, answers),
            None => Ok(Append::Full),
        })
    }

    fn insert_answers(&mut self, at: usize) -> anyhow::Result<()> {
        let image = self.media.borrow()[at].clone();
        let image = image.context("there is no medium")?;
        Ok(self.gadget().insert(at + 1, Medium::ReadOnly(image))?)
    }

    fn eject_answers(&mut self, at: usize) -> anyhow::Result<bool> {
        Ok(self.gadget().eject(at + 1)? == Ejection::Granted)
    }

    fn force_answers(&mut self, at: usize) -> anyhow::Result<()> {
        Ok(self.gadget().force_eject(at + 1)?)
    }
}

impl Thinking for Stick {
    fn ask(&mut self, _: &ModelOptions, request: Request) -> anyhow::Result<()> {
        Ok(self.process().change(Of::Engine, || {
            self.engine.ask(self.now_ms(), &request);
            Ok(())
        })?)
    }

    async fn cancel(&mut self) {
        let cancelled = self.process().change(Of::Engine, || {
            self.engine.forget();
            Ok(())
        });
        // Only a killed process cannot, and that has none any more.
        cancelled.ok();
    }
}

impl World for Stick {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn show(&mut self, _: Sign) {}

    fn watch_reads(&mut self, wanted: bool) -> bool {
        if wanted && !self.watches_reads.get() {
            self.usb.take_read();
        }
        self.watches_reads.set(wanted);
        wanted
    }

    fn forget_reads(&mut self) {
        self.usb.take_read();
    }

    /// The runner waits.
    async fn wait(&mut self, _: Option<u64>) -> Woken {
        std::future::pending().await
    }
}
