//! `promptstick volume format`: makes an image with an empty volume.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use volume::{FatType, FormatOptions, ImageFile};

use super::size;

/// Make an image with an empty volume.
#[derive(Debug, clap::Args)]
pub struct Format {
    /// The image to make.
    image: PathBuf,
    /// Its size: a number and K, M or G.
    #[arg(long, value_parser = size::parse)]
    size: u64,
    /// The volume's label.
    #[arg(long, default_value = "PROMPTSTICK")]
    label: String,
    /// The volume's serial number, 8 hexadecimal digits [default: from the clock].
    #[arg(long, value_parser = parse_serial)]
    serial: Option<u32>,
    /// FAT16 or FAT32 [default: FAT16 up to 512M].
    #[arg(long, value_parser = parse_fat)]
    fat: Option<FatType>,
    /// Size of a cluster: a number, or a number and K [default: by the size of the volume].
    #[arg(long, value_parser = size::parse_cluster)]
    cluster: Option<u32>,
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
        let used = fs::metadata(image).is_ok_and(|metadata| metadata.len() > 0);
        if used && !self.force {
            bail!("{} is not empty: --force erases it", image.display());
        }
        let existed = image.exists();
        let made = self.make();
        if made.is_err() && !existed {
            // What is left of an attempt would only be in the way of the next one.
            let _ = fs::remove_file(image);
        }
        made.with_context(|| format!("formatting {}", image.display()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn make(&self) -> anyhow::Result<()> {
        let options = FormatOptions {
            label: Some(self.label.clone()),
            serial: self.serial.unwrap_or_else(serial_from_clock),
            cluster_bytes: self.cluster,
            fat_type: self.fat,
            partitioned: self.partitioned,
        };
        let mut device = ImageFile::from_file(sized(&self.image, self.size)?)?;
        volume::format(&mut device, &options)?;
        // The stick's own files (README.TXT, SETTINGS.TOML, ask/) go in here, as one edit.
        Ok(())
    }
}

/// An image file of that size, sparse where it is new.
fn sized(image: &Path, bytes: u64) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(image)?;
    if file.metadata()?.is_file() {
        file.set_len(bytes)?;
    }
    Ok(file)
}

fn serial_from_clock() -> u32 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // Seconds and their fraction, mixed as DOS mixed date and time: only to differ.
    u32::try_from(since.as_secs() & 0xFFFF_FFFF).unwrap_or(0) ^ since.subsec_nanos().rotate_left(8)
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
