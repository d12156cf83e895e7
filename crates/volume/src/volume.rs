//! An open volume: what can be read of it.
//!
//! A volume is what the device held when it was opened and as it was read since: it keeps a few
//! windows of the allocation table. Open it again after the device may have changed.

use std::io;
use std::ops::ControlFlow;

use crate::boot::{self, FIRST_CLUSTER, FatType, Geometry};
use crate::bytes::index;
use crate::chain::{ChainEnd, ChainWalk, Step};
use crate::device::ReadAt;
use crate::dir::{self, CodePage, Entry};
use crate::edit::Edit;
use crate::error::{OpenError, ReadError, RepairError};
use crate::fat::FatCache;
use crate::inspect::{self, ChainProblem, Inspection};
use crate::repair::{self, Repair, RepairLimits};
use crate::scan;
use crate::time::FatTime;
use crate::view::View;

/// Longest single read of file data.
const MAX_READ_BYTES: u32 = 64 * 1024;

/// The boot sector's byte: in use (`fs/fat/inode.c`, `FAT_STATE_DIRTY`); reading or writing failed.
pub(crate) const STATE_DIRTY: u8 = 0x01;
pub(crate) const STATE_ERROR: u8 = 0x02;
/// The table's second entry, where a bit that is set says that all is well (specification, "FAT
/// Data Structure").
pub(crate) const FAT16_CLEAN: u32 = 0x8000;
pub(crate) const FAT16_NO_ERROR: u32 = 0x4000;
pub(crate) const FAT32_CLEAN: u32 = 0x0800_0000;
pub(crate) const FAT32_NO_ERROR: u32 = 0x0400_0000;

/// What the host says about being done with the volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirtyMarks {
    /// The boot sector's byte says "in use" (Linux, and Windows while it has unwritten changes).
    pub boot_sector: bool,
    /// The table's second entry says "not shut down cleanly" (macOS, and Windows likewise).
    pub fat_entry: bool,
    /// Either says that reading or writing failed.
    pub io_error: bool,
}

impl DirtyMarks {
    /// Whether no mark is set.
    #[must_use]
    pub fn is_clean(self) -> bool {
        self == Self::default()
    }
}

/// A FAT16 or FAT32 volume on a device.
pub struct Volume<D: ReadAt> {
    device: D,
    geometry: Geometry,
    cache: FatCache,
    code_page: CodePage,
}

impl<D: ReadAt> std::fmt::Debug for Volume<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume")
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}

impl<D: ReadAt> Volume<D> {
    /// Finds the volume on a device, with or without an MBR partition table.
    ///
    /// # Errors
    /// What is there instead of a FAT16 or FAT32 volume, and what to do about it.
    pub fn open(device: D) -> Result<Self, OpenError> {
        Self::open_with_code_page(device, CodePage::default())
    }

    /// Like [`Volume::open`], with another code page for short names.
    ///
    /// # Errors
    /// As [`Volume::open`].
    pub fn open_with_code_page(device: D, code_page: CodePage) -> Result<Self, OpenError> {
        let geometry = boot::locate(&device)?;
        Ok(Self {
            device,
            geometry,
            cache: FatCache::default(),
            code_page,
        })
    }

    /// The layout.
    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The device underneath.
    #[must_use]
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The serial number.
    #[must_use]
    pub fn serial(&self) -> u32 {
        self.geometry.serial
    }

    /// The label: the root directory's, else the boot sector's.
    ///
    /// # Errors
    /// The root directory cannot be read.
    pub fn label(&self) -> Result<Option<String>, ReadError> {
        dir::label(self.view())
    }

    /// The marks that hosts set while they use a volume (Microsoft specification for the table's
    /// second entry; `fs/fat/inode.c`, `fat_set_state`, for the boot sector's byte).
    ///
    /// # Errors
    /// The device failed.
    pub fn dirty_marks(&self) -> Result<DirtyMarks, ReadError> {
        let mut state = [0];
        self.device
            .read_at(self.geometry.dirty_byte_offset(), &mut state)
            .map_err(ReadError::Io)?;
        let entry = self
            .cache
            .raw(&self.device, &self.geometry, 0, 1)
            .map_err(ReadError::Io)?;
        let (clean, no_error) = match self.geometry.fat_type {
            FatType::Fat16 => (FAT16_CLEAN, FAT16_NO_ERROR),
            FatType::Fat32 => (FAT32_CLEAN, FAT32_NO_ERROR),
        };
        Ok(DirtyMarks {
            boot_sector: state[0] & STATE_DIRTY != 0,
            fat_entry: entry & clean == 0,
            io_error: state[0] & STATE_ERROR != 0 || entry & no_error == 0,
        })
    }

    /// Free space: counted in the table, whatever the `FSInfo` sector says.
    ///
    /// # Errors
    /// The device failed.
    pub fn free_bytes(&self) -> Result<u64, ReadError> {
        let mut clusters = 0_u64;
        let all = FIRST_CLUSTER..=self.geometry.last_cluster();
        scan::scan(&self.device, &self.geometry, all, |_, raw| {
            clusters += u64::from(raw == 0);
            ControlFlow::Continue(())
        })
        .map_err(ReadError::Io)?;
        Ok(clusters * u64::from(self.geometry.cluster_bytes))
    }

    /// The entries of a folder; `""` is the root, `/` separates.
    ///
    /// # Errors
    /// There is no such folder, or it is damaged.
    pub fn list(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        dir::list(self.view(), path)
    }

    /// The file or folder at a path. Names match in any case, and by short name.
    ///
    /// # Errors
    /// A folder on the way is damaged.
    pub fn find(&self, path: &str) -> Result<Option<Entry>, ReadError> {
        dir::find(self.view(), path)
    }

    /// The content of a file of at most `limit_bytes`.
    ///
    /// # Errors
    /// It is longer, it is a folder, or its chain does not have the clusters that it needs.
    pub fn read(&self, entry: &Entry, limit_bytes: u64) -> Result<Vec<u8>, ReadError> {
        let len_bytes = u64::from(entry.len_bytes);
        if len_bytes > limit_bytes {
            let name = entry.name.clone();
            return Err(ReadError::TooLarge {
                name,
                len_bytes,
                limit_bytes,
            });
        }
        let mut content = Vec::new();
        self.read_pieces(entry, &mut |piece| {
            content.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(content)
    }

    /// Copies a file of any length to `out`.
    ///
    /// # Errors
    /// As [`Volume::read`], and whatever `out` reports.
    pub fn copy_to(&self, entry: &Entry, out: &mut dyn io::Write) -> Result<(), ReadError> {
        self.read_pieces(entry, &mut |piece| {
            out.write_all(piece).map_err(ReadError::Output)
        })
    }

    /// Whether entries are complete and consistent, in the order given. One pass over the table
    /// and the folders for all of them (more only beyond 131,072 pieces of file). Chains are
    /// followed for three times the clusters of the volume in all: entries that share so many
    /// with others that this is not enough get a problem for it.
    ///
    /// # Errors
    /// The device failed, or the volume has more folders than a walk visits.
    pub fn inspect(&self, entries: &[Entry]) -> Result<Vec<Inspection>, ReadError> {
        inspect::inspect(self.view(), entries)
    }

    /// Starts an edit. Nothing is written until its change set is published.
    #[must_use]
    pub fn edit(&self) -> Edit<'_, D> {
        Edit::new(&self.device, &self.geometry, self.code_page)
    }

    /// Whether a host or a failure left a mark that says so: then, before the volume is used,
    /// [`Volume::repair`] looks at all of it.
    ///
    /// # Errors
    /// The device failed.
    pub fn repair_needed(&self) -> Result<bool, ReadError> {
        Ok(!self.dirty_marks()?.is_clean())
    }

    /// Checks all of the volume, whatever its marks say, and plans one round of its repair.
    /// Nothing is written: publish the changes, and while the round is not complete, open the
    /// volume again and ask for the next. [`crate::repair()`] does all of that. A volume on which
    /// nothing is wrong gives no changes. `time` goes into the entries of recovered files.
    ///
    /// # Errors
    /// The device failed, or the volume is larger than the bounds of a repair.
    pub fn repair(&self, limits: RepairLimits, time: FatTime) -> Result<Repair, RepairError> {
        repair::round(&self.device, &self.geometry, limits, time)
    }

    fn view(&self) -> View<'_, D> {
        View {
            device: &self.device,
            geometry: &self.geometry,
            cache: &self.cache,
            code_page: self.code_page,
        }
    }

    /// Reads a file along its chain. What is held is one piece; the chain, not the size field,
    /// decides how much is read.
    fn read_pieces(
        &self,
        entry: &Entry,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        if entry.is_dir() {
            return Err(ReadError::IsAFolder {
                name: entry.name.clone(),
            });
        }
        let broken = |problem| ReadError::Chain {
            name: entry.name.clone(),
            problem,
        };
        let view = self.view();
        let needed = u32::try_from(self.geometry.clusters_for(u64::from(entry.len_bytes)));
        let needed = needed.unwrap_or(u32::MAX);
        let mut left = entry.len_bytes;
        let mut clusters = 0;
        let mut walk = ChainWalk::new(&view, entry.first_cluster);
        let mut buffer = Vec::new();
        while left > 0 {
            if clusters == 0 && entry.first_cluster == 0 {
                return Err(broken(ChainProblem::TooShort { clusters, needed }));
            }
            let cluster = match walk.step(&view).map_err(ReadError::Io)? {
                Step::Cluster(cluster) => cluster,
                Step::Stop(ChainEnd::EndMark) => {
                    return Err(broken(ChainProblem::TooShort { clusters, needed }));
                }
                Step::Stop(end) => return Err(broken(ChainProblem::from_end(end))),
            };
            clusters += 1;
            let count = left.min(self.geometry.cluster_bytes).min(MAX_READ_BYTES);
            buffer.resize(index(u64::from(count)), 0);
            let offset = self.geometry.cluster_offset(cluster).unwrap_or(u64::MAX);
            self.device
                .read_at(offset, &mut buffer)
                .map_err(ReadError::Io)?;
            take(&buffer)?;
            left -= count;
        }
        Ok(())
    }
}
