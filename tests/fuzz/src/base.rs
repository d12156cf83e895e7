//! The base images of the fuzz targets: small sound volumes of each kind, with something of
//! everything on them. Made by our own formatting and edits, once in each thread.

use std::rc::Rc;

use volume::testing::PagedImage;
use volume::{FatTime, FatType, FormatOptions, Geometry, Root, Volume, WriteAt};

const SECTOR_BYTES: usize = 512;
const SLOT_BYTES: u64 = 32;
const KIB: usize = 1024;

/// The time of everything on the base images: 2024-05-06 07:08:10.
pub const TIME: FatTime = FatTime {
    date: 44 << 9 | 5 << 5 | 6,
    time: 7 << 11 | 8 << 5 | 5,
};

/// A sound volume with something of everything.
#[derive(Debug)]
pub struct Base {
    /// The whole device.
    pub image: PagedImage,
    /// Its layout.
    pub geometry: Geometry,
}

thread_local! {
    static BASES: Rc<[Base]> = Rc::new([
        Base::of(formatted(2200 * KIB, &FormatOptions::default())),
        Base::of(small_fat32(1500)),
        Base::of(formatted(
            3300 * KIB,
            &FormatOptions { partitioned: true, ..FormatOptions::default() },
        )),
        Base::of(formatted(
            9000 * KIB,
            &FormatOptions { cluster_bytes: Some(2048), ..FormatOptions::default() },
        )),
    ]);
}

/// The base images, made once in each thread.
pub fn bases() -> Rc<[Base]> {
    BASES.with(Rc::clone)
}

/// A blank FAT16 volume of so many bytes.
fn formatted(len_bytes: usize, options: &FormatOptions) -> Vec<u8> {
    let mut image = vec![0; len_bytes];
    let options = FormatOptions {
        serial: 0x1234_ABCD,
        cluster_bytes: options.cluster_bytes.or(Some(512)),
        fat_type: options.fat_type.or(Some(FatType::Fat16)),
        label: Some("FUZZED".to_owned()),
        ..options.clone()
    };
    volume::format(&mut image, &options).expect("the sizes are possible");
    image
}

/// A blank FAT32 volume with fewer clusters than FAT32 should have; we read those as `fsck.fat`,
/// Linux and Windows do. A volume of the least size is made and all but its beginning cut out.
pub fn small_fat32(clusters: u32) -> Vec<u8> {
    let options = FormatOptions {
        fat_type: Some(FatType::Fat32),
        ..FormatOptions::default()
    };
    let large = formatted(34 << 20, &options);
    let from = Volume::open(&large)
        .expect("it was formatted")
        .geometry()
        .clone();
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX);
    let table_sectors = ((clusters + 2) * 4).div_ceil(512);
    let table_bytes = table_sectors as usize * SECTOR_BYTES;
    let (fat, data) = (at(from.fat_offset_bytes), at(from.data_offset_bytes));
    let mut image = large[..fat].to_vec();
    for _ in 0..from.fat_copies {
        image.extend_from_slice(&large[fat..fat + table_bytes]);
    }
    image.extend_from_slice(&large[data..data + clusters as usize * SECTOR_BYTES]);
    let sectors = u32::try_from(image.len() / SECTOR_BYTES).unwrap_or(u32::MAX);
    // The boot sector and its copy: total sectors, sectors of a table; FSInfo: free clusters.
    for sector in [0, 6] {
        let boot = sector * SECTOR_BYTES;
        image[boot + 19..boot + 21].fill(0);
        image[boot + 32..boot + 36].copy_from_slice(&sectors.to_le_bytes());
        image[boot + 36..boot + 40].copy_from_slice(&table_sectors.to_le_bytes());
        let free = boot + SECTOR_BYTES + 488;
        image[free..free + 4].copy_from_slice(&(clusters - 1).to_le_bytes());
    }
    image
}

impl Base {
    fn of(blank: Vec<u8>) -> Self {
        let mut image = PagedImage::from(&blank[..]);
        let volume = Volume::open(&blank).expect("it was made");
        let mut edit = volume.edit();
        let mut put = |path: &str, content: &[u8]| {
            edit.create(path, content, TIME)
                .expect("there is room, and the name is free");
        };
        put("README.TXT", b"Save your question as a text file.\r\n");
        put("SETTINGS.TOML", b"top_k = 7\n");
        put("a.txt", &text(700));
        put("Wie gro\u{df} ist der K\u{f6}lner Dom.txt", &text(3000));
        put("empty.txt", b"");
        for folder in ["prompts", "ask", "prompts/a folder with a long name"] {
            edit.make_dir(folder, TIME).expect("the name is free");
        }
        for number in 0..12 {
            let folder =
                ["", "prompts/", "prompts/a folder with a long name/"][number as usize % 3];
            let path = format!("{folder}question number {number} of twelve.txt");
            edit.create(&path, &text(number * number * 37), TIME)
                .expect("there is room");
        }
        edit.create("ask/Why is the sky blue", b"", TIME)
            .expect("there is room");
        for sector in edit.finish().expect("memory does not fail").sectors() {
            image
                .write_at(sector.offset_bytes, &sector.after)
                .expect("the sector is the image's");
        }
        let geometry = volume.geometry().clone();
        Self { image, geometry }
    }

    /// Where a cluster of the volume is: number `cluster`, or what is left of that.
    pub fn cluster(&self, cluster: u16) -> u64 {
        let cluster = 2 + u32::from(cluster) % self.geometry.clusters;
        self.geometry
            .cluster_offset(cluster)
            .unwrap_or(self.geometry.data_offset_bytes)
    }

    /// Where a cluster's entry is in a copy of the table.
    pub fn table_entry(&self, copy: u8, cluster: u32) -> u64 {
        let entry = u64::from(cluster) * u64::from(self.geometry.fat_type.entry_bytes());
        self.geometry.fat_offset_bytes + u64::from(copy) * self.geometry.fat_bytes + entry
    }

    /// Where the root begins, and its length.
    pub fn root_bytes(&self) -> (u64, u64) {
        match self.geometry.root {
            Root::Fixed {
                offset_bytes,
                slots,
            } => (offset_bytes, u64::from(slots) * SLOT_BYTES),
            // Its first clusters, which follow one another on the base image.
            Root::Chain { .. } => (self.geometry.data_offset_bytes, 4096),
        }
    }
}

/// So many bytes of text that differ from sector to sector.
fn text(len_bytes: u32) -> Vec<u8> {
    (0..len_bytes)
        .map(|at| b"etaoin shrdlu\n"[((at + at / 512) % 14) as usize])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_images_are_sound_and_of_every_kind() {
        let bases = bases();
        let kinds: Vec<_> = bases.iter().map(|base| base.geometry.fat_type).collect();
        assert!(kinds.contains(&FatType::Fat16) && kinds.contains(&FatType::Fat32));
        for base in bases.iter() {
            let volume = Volume::open(&base.image).unwrap();
            let repair = volume
                .repair(volume::RepairLimits::default(), TIME)
                .unwrap();
            assert_eq!(repair.report.findings(), [], "{:?}", base.geometry);
            assert_eq!(volume.list("prompts").unwrap().len(), 5);
        }
    }
}
