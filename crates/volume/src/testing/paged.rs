//! An image in pages that clones share until they write: thousands of variants of one image, each
//! as cheap as its difference.

use std::io;
use std::rc::Rc;

use crate::bytes::index;
use crate::device::{ReadAt, WriteAt};

const PAGE_BYTES: usize = 4096;

/// An image in memory that is cheap to clone and to compare.
#[derive(Clone, Debug, Eq)]
pub struct PagedImage {
    pages: Vec<Rc<[u8]>>,
    len_bytes: u64,
}

impl PagedImage {
    /// An image of zeros, which takes no more memory than the list of its pages.
    #[must_use]
    pub fn blank(len_bytes: u64) -> Self {
        let page: Rc<[u8]> = Rc::new([0; PAGE_BYTES]);
        let pages = vec![page; index(len_bytes.div_ceil(PAGE_BYTES as u64))];
        Self { pages, len_bytes }
    }

    /// Calls `visit` with each page's number and place in it, and the part of `range` there.
    fn parts(
        &self,
        offset: u64,
        len: usize,
        mut visit: impl FnMut(usize, std::ops::Range<usize>, std::ops::Range<usize>),
    ) -> bool {
        let fits = offset
            .checked_add(len as u64)
            .is_some_and(|end| end <= self.len_bytes);
        let mut done = 0;
        while fits && done < len {
            let at = index(offset) + done;
            let (page, within) = (at / PAGE_BYTES, at % PAGE_BYTES);
            let count = (PAGE_BYTES - within).min(len - done);
            visit(page, within..within + count, done..done + count);
            done += count;
        }
        fits
    }
}

impl From<&[u8]> for PagedImage {
    fn from(image: &[u8]) -> Self {
        let pages = image.chunks(PAGE_BYTES).map(Rc::from).collect();
        Self {
            pages,
            len_bytes: image.len() as u64,
        }
    }
}

impl PartialEq for PagedImage {
    fn eq(&self, other: &Self) -> bool {
        let same =
            |(ours, theirs): (&Rc<[u8]>, &Rc<[u8]>)| Rc::ptr_eq(ours, theirs) || ours == theirs;
        self.len_bytes == other.len_bytes && self.pages.iter().zip(&other.pages).all(same)
    }
}

impl ReadAt for PagedImage {
    fn len(&self) -> u64 {
        self.len_bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let fits = self.parts(offset, buf.len(), |page, within, part| {
            buf[part].copy_from_slice(&self.pages[page][within]);
        });
        if fits {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl WriteAt for PagedImage {
    fn write_at(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut places = Vec::new();
        let fits = self.parts(offset, data.len(), |page, within, part| {
            places.push((page, within, part));
        });
        for (page, within, part) in places {
            Rc::make_mut(&mut self.pages[page])[within].copy_from_slice(&data[part]);
        }
        if fits {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
