//! A device that counts what is read of it, and that somebody else writes meanwhile.

use std::cell::Cell;
use std::io;

use volume::ReadAt;
use volume::testing::PagedImage;

use crate::image::{Later, Recipe, apply};

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// How often.
    pub count: u64,
    /// How much.
    pub bytes: u64,
}

/// An image that is read, and changes after so many reads.
#[derive(Debug)]
pub struct Metered {
    /// The image as it is after so many changes: made beforehand, so that reading takes no memory.
    images: Vec<PagedImage>,
    /// Reads until the next change.
    waits: Vec<u32>,
    len_bytes: u64,
    reads: Cell<Reads>,
    longest_bytes: Cell<u64>,
    /// How many changes have happened, and the reads since the last.
    happened: Cell<(usize, u32)>,
}

impl Metered {
    /// An image that stays as it is.
    pub fn still(image: PagedImage) -> Self {
        let len_bytes = image.len();
        Self::new(Recipe {
            image,
            len_bytes,
            later: Vec::new(),
        })
    }

    /// An image that changes as the recipe says.
    pub fn new(recipe: Recipe) -> Self {
        let waits = recipe.later.iter().map(|later| later.reads).collect();
        let mut images = vec![recipe.image];
        for Later { writes, .. } in &recipe.later {
            let mut image = images[images.len() - 1].clone();
            writes.iter().for_each(|write| apply(&mut image, write));
            images.push(image);
        }
        Self {
            images,
            waits,
            len_bytes: recipe.len_bytes,
            reads: Cell::default(),
            longest_bytes: Cell::default(),
            happened: Cell::default(),
        }
    }

    /// What was read since the last call.
    pub fn take_reads(&self) -> Reads {
        self.reads.take()
    }

    /// The longest read so far, bytes.
    pub fn longest_bytes(&self) -> u64 {
        self.longest_bytes.get()
    }

    /// The image that the next read sees.
    fn now(&self) -> &PagedImage {
        let (mut number, mut reads) = self.happened.get();
        if self.waits.get(number).is_some_and(|wait| reads >= *wait) {
            (number, reads) = (number + 1, 0);
        }
        self.happened.set((number, reads.saturating_add(1)));
        &self.images[number]
    }
}

impl ReadAt for Metered {
    fn len(&self) -> u64 {
        self.len_bytes
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let image = self.now();
        let (bytes, reads) = (buf.len() as u64, self.reads.get());
        self.reads.set(Reads {
            count: reads.count + 1,
            bytes: reads.bytes + bytes,
        });
        self.longest_bytes.set(self.longest_bytes.get().max(bytes));
        match offset.checked_add(bytes) {
            Some(end) if end <= self.len_bytes => image.read_at(offset, buf),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
