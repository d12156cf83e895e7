//! `promptstick volume format`: makes an image with a new volume.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use medium::ImageLock;
use volume::{FatType, FormatOptions};

use crate::size::Bytes;
use crate::stick;

/// Make an image with a volume as a new stick has it.
#[derive(Debug, clap::Args)]
pub struct Format {
    /// The image to make.
    image: PathBuf,
    /// Its size: a number and K, M or G.
    #[arg(long)]
    size: Bytes,
    /// The volume's label.
    #[arg(long, default_value = stick::LABEL)]
    label: String,
    /// The volume's serial number, 8 hexadecimal digits [default: random].
    #[arg(long, value_parser = parse_serial)]
    serial: Option<u32>,
    /// FAT16 or FAT32 [default: FAT16 up to 512M].
    #[arg(long, value_parser = parse_fat)]
    fat: Option<FatType>,
    /// Size of a cluster: a number, or a number and K [default: by the size of the volume].
    #[arg(long)]
    cluster: Option<Bytes>,
    /// Put the volume into a partition.
    #[arg(long)]
    partitioned: bool,
    /// Erase what the image holds.
    #[arg(long)]
    force: bool,
}

impl Format {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let image = &self.image;
        if let Ok(metadata) = image.metadata() {
            let name = image.display();
            ensure!(metadata.is_file(), "{name} is not a file");
            let erasable = metadata.len() == 0 || self.force;
            ensure!(erasable, "{name} is not empty: --force erases it");
        }
        let _lock = ImageLock::acquire(image)?;
        stick::create(image, self.size.0, &self.options()?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn options(&self) -> anyhow::Result<FormatOptions> {
        let cluster_bytes = self.cluster.map(|size| u32::try_from(size.0)).transpose()?;
        Ok(FormatOptions {
            label: Some(self.label.clone()),
            serial: self.serial.unwrap_or_else(stick::random_serial),
            cluster_bytes,
            fat_type: self.fat,
            root_slots: None,
            partitioned: self.partitioned,
        })
    }
}

fn parse_serial(text: &str) -> Result<u32, String> {
    u32::from_str_radix(&text.replace('-', ""), 16)
        .map_err(|_| format!("{text:?} is no serial number: write 8 hexadecimal digits"))
}

fn parse_fat(text: &str) -> Result<FatType, String> {
    match text {
        "16" => Ok(FatType::Fat16),
        "32" => Ok(FatType::Fat32),
        _ => Err("write 16 or 32".to_owned()),
    }
}
