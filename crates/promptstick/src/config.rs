//! What the operator decides: the configuration file, overridden by flags, validated into
//! [`Config`]. Used by `serve` (all of it) and `answer` (flags alone). Nothing in here comes from
//! the stick; the stick's own settings are `mailbox::Settings`.

use std::ops::RangeInclusive;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use engine::Backend;
use serde::Deserialize;

use crate::size::Bytes;

/// Size of the image that is made where none exists.
const DEFAULT_IMAGE_BYTES: u64 = 256 << 20;
/// Priority of the process that computes, below everything that must answer the host.
const DEFAULT_NICE: i32 = 10;
/// Room for prompt and response. A longer context costs memory that the board does not have.
const DEFAULT_CONTEXT_TOKENS: u32 = 2048;

/// From what holds a question to what the largest models were trained on.
const CONTEXT_TOKENS: RangeInclusive<u32> = 64..=131_072;
/// From what a swap of the second drive takes, with its gap and the host's remount, to an hour.
const PROGRESS_S: RangeInclusive<u32> = 10..=3600;
/// From what the host was asked for politely, several times, to a day.
const FORCE_ANSWERS_S: RangeInclusive<u32> = 10..=86_400;
/// What `led` says for no LED.
const NO_LED: &str = "none";
/// Far more than any board has.
const MAX_THREADS: u32 = 64;

/// The configuration file, as written. Every key may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// The FAT image that the host sees.
    pub image: Option<PathBuf>,
    /// Size of the image if it has to be made.
    pub image_size: Option<Bytes>,
    /// The device's own folder: ledger and responses.
    pub state: Option<PathBuf>,
    /// The model used where the stick's settings name none.
    pub model: Option<PathBuf>,
    /// The folder of the models that the stick's settings may name.
    pub models: Option<PathBuf>,
    /// How the image becomes a drive.
    pub gadget: Option<Gadget>,
    /// The USB device controller, as in `/sys/class/udc`.
    pub udc: Option<String>,
    /// A description of the drive (ids, names, power) in the place of the built-in one.
    pub gadget_description: Option<PathBuf>,
    /// How long an answer waits, in seconds, before the medium of a second drive that a viewer
    /// keeps open is forced out; 0 is never.
    pub force_answers_s: Option<u32>,
    /// What computes.
    pub backend: Option<Backend>,
    /// Threads that compute.
    pub threads: Option<u32>,
    /// Room for prompt and response, in tokens.
    pub context_tokens: Option<u32>,
    /// Memory that the computing process may have.
    pub memory_limit: Option<Bytes>,
    /// Its niceness.
    pub nice: Option<i32>,
    /// Whether names and texts of prompts may appear in the log.
    pub log_prompts: Option<bool>,
    /// The LED that shows what the stick does, as in `/sys/class/leds`, or `"none"`.
    pub led: Option<String>,
    /// How often a response in work appears on the second drive, in seconds; 0 is never.
    pub progress_s: Option<u32>,
}

/// How the image becomes a drive.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Gadget {
    /// Not at all: other programs on this machine write the image.
    None,
    /// The kernel's USB mass-storage gadget, through configfs.
    Configfs,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The FAT image; absolute, symbolic links resolved.
    pub image: PathBuf,
    /// Size of the image if it has to be made.
    pub image_bytes: u64,
    /// The device's own folder.
    pub state: PathBuf,
    /// How the image becomes a drive.
    pub gadget: Gadget,
    /// The USB device controller; none: the only one that is free.
    pub udc: Option<String>,
    /// The file that describes the drive; none: the built-in description.
    pub gadget_description: Option<PathBuf>,
    /// How long an answer waits before a read-only medium is forced out.
    pub force_answers: Option<Duration>,
    /// The model used where the stick's settings name none.
    pub model: PathBuf,
    /// The folder of the models that the stick's settings may name.
    pub models: PathBuf,
    /// What computes.
    pub backend: Backend,
    /// Threads that compute.
    pub threads: u32,
    /// Room for prompt and response, in tokens.
    pub context_tokens: u32,
    /// Memory that the computing process may have, in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// Its niceness.
    pub nice: i32,
    /// Whether names and texts of prompts may appear in the log.
    pub log_prompts: bool,
    /// Name of the LED that shows what the stick does.
    pub led: Option<String>,
    /// How often a response in work appears on the second drive.
    pub progress: Option<Duration>,
}

impl Config {
    /// The keys of [`Config::hardware`].
    pub const HARDWARE: &'static str =
        "`image`, `state`, `gadget`, `udc`, `gadget_description` and `led`";

    /// What a daemon holds on to for as long as it runs.
    pub fn hardware(&self) -> impl PartialEq {
        (
            self.image.clone(),
            self.state.clone(),
            self.gadget,
            self.udc.clone(),
            self.gadget_description.clone(),
            self.led.clone(),
        )
    }
}

impl Raw {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// It cannot be read, or is not valid: the message names the file, the line and the key.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("in the configuration {}", path.display()))
    }

    /// `self` where it says something, `base` elsewhere.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            image: self.image.or(base.image),
            image_size: self.image_size.or(base.image_size),
            state: self.state.or(base.state),
            model: self.model.or(base.model),
            models: self.models.or(base.models),
            gadget: self.gadget.or(base.gadget),
            udc: self.udc.or(base.udc),
            gadget_description: self.gadget_description.or(base.gadget_description),
            force_answers_s: self.force_answers_s.or(base.force_answers_s),
            backend: self.backend.or(base.backend),
            threads: self.threads.or(base.threads),
            context_tokens: self.context_tokens.or(base.context_tokens),
            memory_limit: self.memory_limit.or(base.memory_limit),
            nice: self.nice.or(base.nice),
            log_prompts: self.log_prompts.or(base.log_prompts),
            led: self.led.or(base.led),
            progress_s: self.progress_s.or(base.progress_s),
        }
    }

    /// The LED, if there is to be one.
    ///
    /// # Errors
    /// Its name is none.
    pub fn led(&self) -> anyhow::Result<Option<String>> {
        Ok(self.led.clone().map(led_name).transpose()?.flatten())
    }

    /// Checks everything that can be checked before anything is opened.
    ///
    /// # Errors
    /// What is missing or out of range, and what to write instead.
    pub fn validate(self) -> anyhow::Result<Config> {
        let led = self.led()?;
        let image = self
            .image
            .context("no image: give --image FILE, or `image` in the config")?;
        let image = resolve_image(&image)?;
        let model = self
            .model
            .context("no model: give --model FILE, or `model` in the config")?;
        let model = std::path::absolute(&model).context("cannot resolve the model's path")?;
        let threads = self.threads.unwrap_or_else(spare_cores);
        ensure!(
            (1..=64).contains(&threads),
            "threads = {threads}: must be from 1 to 64"
        );
        let nice = self.nice.unwrap_or(DEFAULT_NICE);
        ensure!(
            (0..=19).contains(&nice),
            "nice = {nice}: must be from 0 to 19"
        );
        let context_tokens = self.context_tokens.unwrap_or(DEFAULT_CONTEXT_TOKENS);
        ensure!(
            CONTEXT_TOKENS.contains(&context_tokens),
            "context_tokens = {context_tokens}: must be from {} to {}",
            CONTEXT_TOKENS.start(),
            CONTEXT_TOKENS.end()
        );
        Ok(Config {
            state: self.state.unwrap_or_else(|| beside(&image, ".state")),
            image_bytes: self.image_size.map_or(DEFAULT_IMAGE_BYTES, |size| size.0),
            gadget: self.gadget.unwrap_or(Gadget::None),
            udc: self.udc,
            gadget_description: self.gadget_description,
            force_answers: self
                .force_answers_s
                .map(force_answers)
                .transpose()?
                .flatten(),
            models: self.models.unwrap_or_else(|| parent(&model)),
            backend: self.backend.unwrap_or_default(),
            memory_limit_bytes: self.memory_limit.map(|size| size.0),
            log_prompts: self.log_prompts.unwrap_or(false),
            led,
            progress: self.progress_s.map(progress).transpose()?.flatten(),
            image,
            model,
            threads,
            context_tokens,
            nice,
        })
    }
}

/// The LED, or none. A name is one folder of `/sys/class/leds`, no path.
fn led_name(name: String) -> anyhow::Result<Option<String>> {
    let plain = !matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\0']);
    ensure!(
        plain,
        "led = {name:?}: must be a name from /sys/class/leds, such as \"ACT\", or \"{NO_LED}\""
    );
    Ok((name != NO_LED).then_some(name))
}

fn progress(seconds: u32) -> anyhow::Result<Option<Duration>> {
    off_or_within("progress_s", seconds, &PROGRESS_S)
}

fn force_answers(seconds: u32) -> anyhow::Result<Option<Duration>> {
    off_or_within("force_answers_s", seconds, &FORCE_ANSWERS_S)
}

fn off_or_within(
    key: &str,
    seconds: u32,
    range: &RangeInclusive<u32>,
) -> anyhow::Result<Option<Duration>> {
    ensure!(
        seconds == 0 || range.contains(&seconds),
        "{key} = {seconds}: must be 0 (off) or from {} to {}",
        range.start(),
        range.end()
    );
    let period = Duration::from_secs(seconds.into());
    Ok((seconds != 0).then_some(period))
}

/// `IMAGE` with something added to its name.
#[must_use]
pub fn beside(image: &Path, suffix: &str) -> PathBuf {
    let mut path = image.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The image may be missing, its folder may not. What lies beside the image is found by its real
/// name, so that two names of one image are one image.
fn resolve_image(image: &Path) -> anyhow::Result<PathBuf> {
    if let Ok(real) = image.canonicalize() {
        let metadata = real.metadata()?;
        ensure!(
            !metadata.is_dir(),
            "{} is a folder; name a file",
            image.display()
        );
        // The journal and the ledger lie beside it, and /dev does not outlive the power.
        ensure!(
            !metadata.file_type().is_block_device(),
            "{} is a device; name a file, which holds the volume",
            image.display()
        );
        // Another name in the file system would be another image to the lock.
        ensure!(
            metadata.nlink() == 1,
            "{} has more than one name (hard links); make a copy of its own",
            image.display()
        );
        return Ok(real);
    }
    let Some(name) = image.file_name() else {
        bail!("{} does not name a file", image.display());
    };
    let folder = parent(image);
    let folder = folder
        .canonicalize()
        .with_context(|| format!("the folder {} of the image", folder.display()))?;
    Ok(folder.join(name))
}

fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// One core is left for the host's side where there are several: threads of llama.cpp wait for
/// each other by spinning, and the slowest decides.
fn spare_cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores - 1)
        .unwrap_or(MAX_THREADS)
        .clamp(1, MAX_THREADS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minimal(folder: &Path) -> Raw {
        Raw {
            image: Some(folder.join("stick.img")),
            model: Some("/models/m.gguf".into()),
            ..Raw::default()
        }
    }

    #[test]
    fn flags_come_before_the_file_and_the_file_before_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file: Raw = toml::from_str("nice = 3\nthreads = 2\nimage_size = \"64M\"").unwrap();
        let flags = Raw {
            threads: Some(1),
            ..minimal(folder.path())
        };
        let config = flags.over(file).validate().unwrap();
        assert_eq!((config.nice, config.threads), (3, 1));
        assert_eq!(config.image_bytes, 64 << 20);
        assert_eq!(config.context_tokens, DEFAULT_CONTEXT_TOKENS);
        assert_eq!(config.models, Path::new("/models"));
        assert!(config.state.ends_with("stick.img.state"));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let error = toml::from_str::<Raw>("imgae = \"x\"").unwrap_err();
        assert!(error.to_string().contains("imgae"), "{error}");
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            Raw {
                threads: Some(0),
                ..minimal(folder.path())
            },
            Raw {
                nice: Some(-5),
                ..minimal(folder.path())
            },
            Raw {
                context_tokens: Some(1),
                ..minimal(folder.path())
            },
            Raw {
                led: Some("../ACT".into()),
                ..minimal(folder.path())
            },
            Raw {
                progress_s: Some(1),
                ..minimal(folder.path())
            },
        ];
        let names = ["threads", "nice", "context_tokens", "led", "progress_s"];
        for (raw, name) in cases.into_iter().zip(names) {
            let error = raw.validate().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn the_led_and_the_progress_are_off_unless_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        for (text, led, seconds) in [
            ("", None, None),
            ("led = \"none\"\nprogress_s = 0", None, None),
            (
                "led = \"led0:green\"\nprogress_s = 60",
                Some("led0:green"),
                Some(60),
            ),
        ] {
            let file: Raw = toml::from_str(text).unwrap();
            let config = minimal(folder.path()).over(file).validate().unwrap();
            assert_eq!(config.led.as_deref(), led);
            assert_eq!(config.progress, seconds.map(Duration::from_secs));
        }
    }

    #[test]
    fn two_names_of_one_image_are_one_image() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("stick.img");
        std::fs::write(&image, b"").unwrap();
        let link = folder.path().join("link.img");
        std::os::unix::fs::symlink(&image, &link).unwrap();
        assert_eq!(
            resolve_image(&link).unwrap(),
            resolve_image(&image).unwrap()
        );
    }
}
