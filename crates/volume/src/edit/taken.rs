//! The names that a folder has, kept from one call of an edit to the next: a folder of 65,536 slots
//! is read once for all the files that are put into it, not once for each.
//!
//! Invariant: what is kept is what the folder has in the edit. Only `Edit::insert` adds entries,
//! and a call that fails forgets what was kept.

use std::collections::HashSet;

use super::short_name::{self, ShortName};
use crate::device::ReadAt;
use crate::dir::{self, DirPlace};
use crate::error::ReadError;
use crate::names;
use crate::view::View;

/// The names in use in one folder.
pub(super) struct Taken {
    place: DirPlace,
    shorts: HashSet<ShortName>,
    /// Long and short names, folded.
    folded: HashSet<String>,
}

impl Taken {
    /// Reads a folder.
    pub(super) fn read<D: ReadAt + ?Sized>(
        view: View<'_, D>,
        place: DirPlace,
    ) -> Result<Self, ReadError> {
        let mut taken = Self {
            place,
            shorts: HashSet::new(),
            folded: HashSet::new(),
        };
        dir::entries(view, place, |entry, raw| {
            taken.folded.insert(names::fold(&entry.short_name));
            taken.insert(&entry.name, *raw);
            None::<()>
        })?;
        Ok(taken)
    }

    /// Whether these are the names of that folder.
    pub(super) fn is_of(&self, place: DirPlace) -> bool {
        self.place == place
    }

    /// Whether the folder has something of that name, long or short, in any case.
    pub(super) fn has(&self, name: &str) -> bool {
        self.folded.contains(&names::fold(name))
    }

    /// The short names that a new entry must not have.
    pub(super) fn shorts(&self) -> &HashSet<ShortName> {
        &self.shorts
    }

    /// Takes note of an entry that was added.
    pub(super) fn add(&mut self, name: &str, short: ShortName) {
        self.folded.insert(names::fold(&short_name::plain(&short)));
        self.insert(name, short);
    }

    fn insert(&mut self, name: &str, short: ShortName) {
        self.shorts.insert(short);
        self.shorts.extend(short_name::reserved_by(name));
        self.folded.insert(names::fold(name));
    }
}
