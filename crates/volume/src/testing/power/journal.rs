//! The journal of a machine that loses power, each operation on it and its folder counted.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::{File, Lab, no_power};
use crate::device::ReadAt;
use crate::journal::JournalStore;

/// The journal of a [`PowerLab`](super::PowerLab).
pub struct PowerJournal(Rc<RefCell<Lab>>);

impl PowerJournal {
    pub(super) fn new(lab: Rc<RefCell<Lab>>) -> Self {
        Self(lab)
    }
}

impl JournalStore for PowerJournal {
    fn len_bytes(&self) -> io::Result<Option<u64>> {
        let lab = self.0.borrow();
        if lab.dead {
            return Err(no_power());
        }
        Ok(lab
            .folder()
            .journal
            .map(|file| lab.files[file].seen.len() as u64))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let lab = self.0.borrow();
        if lab.dead {
            return Err(no_power());
        }
        lab.files[lab.journal()?].seen.read_at(offset, buf)
    }

    fn create(&mut self) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        lab.files.push(File::default());
        let file = lab.files.len() - 1;
        lab.change_folder(|folder| folder.begun = Some(file))
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        let cut = lab.tick()?;
        lab.fail_here()?;
        let file = lab.begun()?;
        lab.files[file].seen.extend_from_slice(data);
        lab.files[file].is_dirty = true;
        if cut { Err(no_power()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        if lab.tick()? {
            return Err(no_power());
        }
        let file = lab.begun()?;
        let was_dirty = std::mem::take(&mut lab.files[file].is_dirty);
        lab.fail_here()?;
        if was_dirty {
            lab.files[file].durable = lab.files[file].seen.clone();
        }
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        lab.begun()?;
        lab.change_folder(|folder| folder.journal = folder.begun.take())
    }

    fn abandon(&mut self) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        lab.change_folder(|folder| folder.begun = None)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        if lab.tick()? {
            return Err(no_power());
        }
        lab.fail_here()?;
        let folder = lab.folder();
        lab.folders = vec![folder];
        Ok(())
    }

    fn remove(&mut self) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        lab.journal()?;
        lab.change_folder(|folder| folder.journal = None)
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        lab.journal()?;
        lab.change_folder(|folder| folder.aside = folder.journal.take())
    }
}
