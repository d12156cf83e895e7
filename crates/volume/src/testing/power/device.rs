//! The image of a machine that loses power: what a program sees of it, and each write counted.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use super::{Lab, no_power};
use crate::device::{ReadAt, WriteAt};

/// The image of a [`PowerLab`](super::PowerLab).
pub struct PowerDevice(Rc<RefCell<Lab>>);

impl PowerDevice {
    pub(super) fn new(lab: Rc<RefCell<Lab>>) -> Self {
        Self(lab)
    }
}

impl ReadAt for PowerDevice {
    fn len(&self) -> u64 {
        self.0.borrow().seen_image.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let lab = self.0.borrow();
        if lab.dead {
            Err(no_power())
        } else {
            lab.seen_image.read_at(offset, buf)
        }
    }
}

impl WriteAt for PowerDevice {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        let cut = lab.tick()?;
        lab.fail_here()?;
        lab.seen_image.write_at(offset, data)?;
        lab.writes.push((offset, data.to_vec()));
        lab.cut_image_write = cut;
        if cut { Err(no_power()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut lab = self.0.borrow_mut();
        if lab.tick()? {
            return Err(no_power());
        }
        let writes = std::mem::take(&mut lab.writes);
        // What was not synced is dropped, and counts as written.
        lab.fail_here()?;
        for (offset, data) in writes {
            lab.durable_image.write_at(offset, &data)?;
        }
        Ok(())
    }
}
