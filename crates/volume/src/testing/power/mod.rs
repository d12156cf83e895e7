//! A device and a journal folder that lose power at a chosen operation.
//!
//! Faults that may be injected: the operation in progress stops (a write after any number of
//! bytes); of what was not synced any part is lost, kept or torn, in any order; what was created,
//! removed or renamed since the folder was synced is undone from some point on; the content of a
//! file that was not synced is cut, or zeros. And operations that fail with EIO: after a sync
//! that failed, what it was for stays to be read, and no later sync writes it. Never injected:
//! damage to what was synced, or to what was not being written.

mod device;
mod journal;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::{PagedImage, Random};
use crate::device::WriteAt;

pub use device::PowerDevice;
pub use journal::PowerJournal;

/// What becomes of everything that was not synced when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is lost.
    Lost,
    /// It is kept, the operation in progress too.
    Kept,
    /// It is kept, but of the write in progress only so many bytes.
    Torn(usize),
    /// Each part fares differently.
    Random(u64),
}

/// What is found when the power is back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfterCut {
    /// The image.
    pub image: PagedImage,
    /// The journal, if there is one.
    pub journal: Option<Vec<u8>>,
    /// A journal that was put aside.
    pub aside: Option<Vec<u8>>,
}

impl AfterCut {
    /// An image and nothing beside it.
    #[must_use]
    pub fn image_only(image: PagedImage) -> Self {
        Self {
            image,
            journal: None,
            aside: None,
        }
    }
}

/// A file: what is durable, and what a program sees.
#[derive(Clone, Default)]
struct File {
    durable: Vec<u8>,
    seen: Vec<u8>,
    /// A sync would make it durable.
    is_dirty: bool,
}

/// Which file has which name.
#[derive(Clone, Copy, Default)]
struct Folder {
    journal: Option<usize>,
    /// A journal without its name.
    begun: Option<usize>,
    aside: Option<usize>,
}

struct Lab {
    operations: u64,
    cut_at: Option<u64>,
    fail_at: Vec<u64>,
    dead: bool,
    durable_image: PagedImage,
    seen_image: PagedImage,
    /// Writes since the last sync.
    writes: Vec<(u64, Vec<u8>)>,
    files: Vec<File>,
    /// The durable folder first, then its state after each operation since.
    folders: Vec<Folder>,
    /// Whether the operation that was cut was a write to the image.
    cut_image_write: bool,
}

/// A machine whose power can be cut: one image, one journal.
#[derive(Clone)]
pub struct PowerLab(Rc<RefCell<Lab>>);

/// A disk that fails.
const EIO: i32 = 5;

fn no_power() -> io::Error {
    io::Error::other("the power is off")
}

impl PowerLab {
    /// Starts from what the last cut left. The power goes at operation number `cut_at`, from 0.
    #[must_use]
    pub fn new(found: AfterCut, cut_at: Option<u64>) -> Self {
        let AfterCut {
            image,
            journal,
            aside,
        } = found;
        let mut files = Vec::new();
        let mut add = |content: Option<Vec<u8>>| {
            content.map(|durable| {
                files.push(File {
                    seen: durable.clone(),
                    durable,
                    is_dirty: false,
                });
                files.len() - 1
            })
        };
        let folder = Folder {
            journal: add(journal),
            begun: None,
            aside: add(aside),
        };
        Self(Rc::new(RefCell::new(Lab {
            operations: 0,
            cut_at,
            fail_at: Vec::new(),
            dead: false,
            seen_image: image.clone(),
            durable_image: image,
            writes: Vec::new(),
            files,
            folders: vec![folder],
            cut_image_write: false,
        })))
    }

    /// The operations with those numbers, from 0, fail.
    pub fn fail_at(&self, operations: &[u64]) {
        self.0.borrow_mut().fail_at = operations.to_vec();
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> PowerDevice {
        PowerDevice::new(Rc::clone(&self.0))
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PowerJournal {
        PowerJournal::new(Rc::clone(&self.0))
    }

    /// Whether the power went.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        self.0.borrow().dead
    }

    /// Length of the write to the image that was in progress when the power went, if one was.
    #[must_use]
    pub fn torn_write_bytes(&self) -> Option<usize> {
        let lab = self.0.borrow();
        lab.writes
            .last()
            .filter(|_| lab.cut_image_write)
            .map(|(_, data)| data.len())
    }

    /// What is found after the cut, or after the power goes now.
    #[must_use]
    pub fn after_cut(&self, fate: Fate) -> AfterCut {
        self.0.borrow().after_cut(fate)
    }

    /// What a program sees: for a run that was not cut.
    #[must_use]
    pub fn seen(&self) -> AfterCut {
        self.0.borrow().after_cut(Fate::Kept)
    }
}

impl Lab {
    /// Counts an operation; true when the power goes during it.
    fn tick(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(no_power());
        }
        self.dead = self.cut_at == Some(self.operations);
        self.operations += 1;
        Ok(self.dead)
    }

    /// The error of the operation that was counted last, if it is to fail.
    fn fail_here(&self) -> io::Result<()> {
        let mut numbers = self.fail_at.iter();
        if numbers.any(|number| number + 1 == self.operations) {
            Err(io::Error::from_raw_os_error(EIO))
        } else {
            Ok(())
        }
    }

    fn folder(&self) -> Folder {
        self.folders.last().copied().unwrap_or_default()
    }

    fn journal(&self) -> io::Result<usize> {
        self.folder()
            .journal
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn begun(&self) -> io::Result<usize> {
        let begun = self.folder().begun;
        begun.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// An operation on the folder; while the power goes it may or may not have happened.
    fn change_folder(&mut self, change: impl FnOnce(&mut Folder)) -> io::Result<()> {
        let cut = self.tick()?;
        self.fail_here()?;
        let mut folder = self.folder();
        change(&mut folder);
        self.folders.push(folder);
        if cut { Err(no_power()) } else { Ok(()) }
    }

    fn after_cut(&self, fate: Fate) -> AfterCut {
        let mut random = Random::new(match fate {
            Fate::Random(seed) => seed,
            _ => 0,
        });
        let folder = match fate {
            Fate::Lost => self.folders.first().copied().unwrap_or_default(),
            Fate::Kept | Fate::Torn(_) => self.folder(),
            Fate::Random(_) => self.folders[random.below(self.folders.len())],
        };
        let image = self.image_after(fate, &mut random);
        let mut content =
            |file: Option<usize>| file.map(|file| self.file_after(file, fate, &mut random));
        let journal = content(folder.journal);
        AfterCut {
            image,
            journal,
            aside: content(folder.aside),
        }
    }

    fn image_after(&self, fate: Fate, random: &mut Random) -> PagedImage {
        let mut image = self.durable_image.clone();
        let mut writes: Vec<(u64, &[u8])> = self
            .writes
            .iter()
            .map(|(at, data)| (*at, data.as_slice()))
            .collect();
        match fate {
            Fate::Lost => writes.clear(),
            Fate::Kept => {}
            Fate::Torn(bytes) => {
                if let Some((_, data)) = writes.last_mut().filter(|_| self.cut_image_write) {
                    *data = &data[..bytes.min(data.len())];
                }
            }
            Fate::Random(_) => {
                for (_, data) in &mut writes {
                    match random.below(3) {
                        0 => *data = &[],
                        1 => *data = &data[..random.below(data.len() + 1)],
                        _ => {}
                    }
                }
                // Sectors of one transaction are distinct, so the order matters only when some
                // other code writes one twice; then the later write may come first.
                let turn = random.below(writes.len().max(1));
                let turn = turn.min(writes.len());
                writes.rotate_left(turn);
            }
        }
        for (at, data) in writes {
            // It was within the image when it was made.
            let _ = image.write_at(at, data);
        }
        image
    }

    fn file_after(&self, file: usize, fate: Fate, random: &mut Random) -> Vec<u8> {
        let File {
            durable,
            seen,
            is_dirty,
        } = &self.files[file];
        if !is_dirty {
            return durable.clone();
        }
        match fate {
            Fate::Lost => durable.clone(),
            Fate::Kept | Fate::Torn(_) => seen.clone(),
            Fate::Random(_) => {
                let new = seen.len() - durable.len();
                let mut content = seen[..durable.len() + random.below(new + 1)].to_vec();
                // Allocated, but the data did not arrive.
                if random.below(3) == 0 {
                    let from = durable.len() + random.below(content.len() - durable.len() + 1);
                    content[from..].fill(0);
                }
                content
            }
        }
    }
}
