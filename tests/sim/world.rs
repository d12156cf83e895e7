//! The real session's [`World`] in memory: the simulated disk, the simulated drive, an engine that
//! answers when its time has come, and a clock that the runner holds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use engine::{ModelOptions, Request};
use mailbox::MailboxError;
use mailbox::testing::CutDisk;
use medium::gadget::Ejection;
use medium::{Bus, How, Timing};
use promptstick::daemon::{
    Answer, Append, Drives, Found, Sign, Storage, Thinking, Woken, World, answers_image,
};
use volume::GrowingVolume;
use volume::testing::PagedImage;

use super::disk::{Disk, Image};
use super::engine::Engine;
use super::journal::Journal;
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

impl Storage for Stick {
    type Image = Image;
    type Journal = Journal;
    type State = CutDisk;

    fn image_name(&self) -> String {
        "the image".into()
    }

    fn read_image(&self) -> anyhow::Result<Image> {
        Ok(self.disk.image())
    }

    fn mend_image(&mut self) -> anyhow::Result<Image> {
        Ok(self.disk.image())
    }

    fn mended(&mut self, _: Image) -> anyhow::Result<()> {
        Ok(())
    }

    fn modified(&self) -> Option<SystemTime> {
        Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(self.disk.modified()))
    }

    fn journal(&self) -> Journal {
        self.disk.journal()
    }

    fn open_state(&mut self) -> Result<CutDisk, MailboxError> {
        Ok(self.disk.state())
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
        Ok(match (self.usb.is_bound(), self.usb.is_inserted(PROMPTS)) {
            (false, _) => Found::Alone,
            (true, true) => Found::Held,
            (true, false) => Found::Absent,
        })
    }

    fn disconnect(&mut self) -> anyhow::Result<()> {
        self.usb.unbind();
        Ok(())
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        if !self.usb.is_inserted(PROMPTS) {
            self.usb.insert(PROMPTS, Medium::Stick);
        }
        self.usb.bind();
        Ok(())
    }

    fn try_take(&mut self, how: How) -> anyhow::Result<Option<Image>> {
        match how {
            How::Asked | How::Asleep => {
                if self.usb.eject(PROMPTS) == Ejection::Busy {
                    return Ok(None);
                }
                if how == How::Asleep {
                    self.usb.unbind();
                }
            }
            How::Ejected => {}
            How::Alone => self.usb.unbind(),
        }
        Ok(Some(self.disk.image()))
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
        self.usb.insert(PROMPTS, Medium::Stick);
        Ok(())
    }

    fn is_empty(&self) -> anyhow::Result<bool> {
        Ok(!self.usb.is_inserted(PROMPTS))
    }

    async fn rebind(&mut self) -> anyhow::Result<bool> {
        if self.usb.eject(PROMPTS) == Ejection::Busy {
            return Ok(false);
        }
        self.usb.unbind();
        self.set_now(self.now_ms() + REBIND_MS);
        self.connect()?;
        Ok(true)
    }

    fn bus(&self) -> anyhow::Result<Bus> {
        Ok(self.usb.bus())
    }

    fn answer_drives(&self) -> usize {
        LUNS - 1
    }

    fn is_answers_empty(&self, at: usize) -> anyhow::Result<bool> {
        Ok(!self.usb.is_inserted(at + 1))
    }

    fn answers_files(&self, at: usize) -> anyhow::Result<Vec<(String, u64)>> {
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
        assert!(!self.usb.is_inserted(at + 1), "the medium is inserted");
        self.serial.set(self.serial.get() + 1);
        let serial = self.serial.get() ^ volume_serial.rotate_left(16);
        let mut image = self.blank.clone();
        let count = answers_image::make(&mut image, serial, newest_first)?;
        self.media.borrow_mut()[at] = Some(image);
        Ok(count)
    }

    fn add_answers(&mut self, at: usize, answers: &[Answer]) -> anyhow::Result<Append> {
        assert!(!self.usb.is_inserted(at + 1), "the medium is inserted");
        match &mut self.media.borrow_mut()[at] {
            Some(image) => answers_image::add(image, answers),
            None => Ok(Append::Full),
        }
    }

    fn insert_answers(&mut self, at: usize) -> anyhow::Result<()> {
        let image = self.media.borrow()[at].clone();
        let image = image.context("there is no medium")?;
        self.usb.insert(at + 1, Medium::ReadOnly(image));
        Ok(())
    }

    fn eject_answers(&mut self, at: usize) -> anyhow::Result<bool> {
        Ok(self.usb.eject(at + 1) == Ejection::Granted)
    }

    fn force_answers(&mut self, at: usize) -> anyhow::Result<()> {
        self.usb.force_eject(at + 1);
        Ok(())
    }
}

impl Thinking for Stick {
    fn ask(&mut self, _: &ModelOptions, request: Request) -> anyhow::Result<()> {
        self.engine.ask(self.now_ms(), &request);
        Ok(())
    }

    async fn cancel(&mut self) {
        self.engine.forget();
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
