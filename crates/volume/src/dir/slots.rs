//! Reads the 32-byte slots of one folder in order, up to its end mark.
//!
//! Bounds: a folder has at most [`MAX_DIR_SLOTS`] slots (specification: a directory is at most
//! 2 MiB); reads are of at most [`PIECE_BYTES`]. Used by listing, by the walk and by edits.

use super::entry::DirPlace;
use crate::chain::{ChainEnd, ChainWalk, Step};
use crate::device::ReadAt;
use crate::error::ReadError;
use crate::inspect::ChainProblem;
use crate::view::View;

pub(crate) const DIR_SLOT_BYTES: u32 = 32;
/// Most slots of one folder.
pub const MAX_DIR_SLOTS: u32 = 65_536;
/// Folders are read in pieces of this size at most, so that short ones in large clusters are cheap.
const PIECE_BYTES: u32 = 4096;
/// First byte of the slot after the last one in use.
pub(crate) const END: u8 = 0x00;
/// First byte of a slot that was given up.
pub(crate) const DELETED: u8 = 0xE5;

/// A slot and where it lies on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) offset_bytes: u64,
    pub(crate) bytes: [u8; 32],
}

/// What is left to read of one contiguous area: a cluster or FAT16's root.
#[derive(Clone, Copy)]
struct Area {
    offset_bytes: u64,
    len_bytes: u32,
}

pub(crate) struct SlotReader<'a, D: ReadAt + ?Sized> {
    view: View<'a, D>,
    chain: Option<ChainWalk>,
    area: Area,
    piece: Vec<u8>,
    piece_offset: u64,
    at: usize,
    slots_read: u32,
    ended: bool,
}

impl<'a, D: ReadAt + ?Sized> SlotReader<'a, D> {
    pub(crate) fn new(view: View<'a, D>, place: DirPlace) -> Self {
        let (chain, area) = match place {
            DirPlace::Fixed {
                offset_bytes,
                slots,
            } => (
                None,
                Area {
                    offset_bytes,
                    len_bytes: slots * DIR_SLOT_BYTES,
                },
            ),
            DirPlace::Chain { first_cluster } => {
                let chain = ChainWalk::new(&view, first_cluster);
                (
                    Some(chain),
                    Area {
                        offset_bytes: 0,
                        len_bytes: 0,
                    },
                )
            }
        };
        let piece = Vec::new();
        Self {
            view,
            chain,
            area,
            piece,
            piece_offset: 0,
            at: 0,
            slots_read: 0,
            ended: false,
        }
    }

    /// How many slots have been read so far, the end mark included.
    pub(crate) fn slots_read(&self) -> u32 {
        self.slots_read
    }

    /// The next slot in use or given up; `None` at the end mark or the end of the chain.
    pub(crate) fn next(&mut self) -> Result<Option<Slot>, ReadError> {
        if self.ended || (self.at >= self.piece.len() && !self.load()?) {
            self.ended = true;
            return Ok(None);
        }
        if self.slots_read >= MAX_DIR_SLOTS {
            return Err(ReadError::FolderTooLong);
        }
        self.slots_read += 1;
        let mut bytes = [0; 32];
        if let Some(slot) = self.piece.get(self.at..self.at + bytes.len()) {
            bytes.copy_from_slice(slot);
        }
        let offset_bytes = self.piece_offset + self.at as u64;
        self.at += bytes.len();
        self.ended = bytes[0] == END;
        Ok((!self.ended).then_some(Slot {
            offset_bytes,
            bytes,
        }))
    }

    /// Reads the next piece; false at the end of the folder.
    fn load(&mut self) -> Result<bool, ReadError> {
        if self.area.len_bytes == 0 && !self.next_area()? {
            return Ok(false);
        }
        let len_bytes = self.area.len_bytes.min(PIECE_BYTES);
        self.piece.resize(len_bytes as usize, 0);
        self.view
            .device
            .read_at(self.area.offset_bytes, &mut self.piece)
            .map_err(ReadError::Io)?;
        self.piece_offset = self.area.offset_bytes;
        self.at = 0;
        self.area.offset_bytes += u64::from(len_bytes);
        self.area.len_bytes -= len_bytes;
        Ok(true)
    }

    fn next_area(&mut self) -> Result<bool, ReadError> {
        let Some(chain) = &mut self.chain else {
            return Ok(false);
        };
        match chain.step(&self.view).map_err(ReadError::Io)? {
            Step::Cluster(cluster) => {
                let offset = self.view.geometry.cluster_offset(cluster);
                self.area.offset_bytes = offset.unwrap_or(u64::MAX);
                self.area.len_bytes = self.view.geometry.cluster_bytes;
                Ok(true)
            }
            Step::Stop(ChainEnd::EndMark) => Ok(false),
            Step::Stop(end) => {
                let problem = ChainProblem::from_end(end);
                Err(ReadError::Chain {
                    name: String::new(),
                    problem,
                })
            }
        }
    }
}
