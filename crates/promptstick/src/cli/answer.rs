//! `promptstick answer`: the daemon's work, once.

use std::path::PathBuf;
use std::process::ExitCode;

use engine::Backend;

use crate::config::Raw;
use crate::{daemon, log, output};

/// Answer all prompts on an image, and exit.
///
/// Run again, it does nothing; killed at any instant and run again, it finishes.
#[derive(Debug, clap::Args)]
pub struct Answer {
    /// The FAT image.
    image: PathBuf,
    /// The model (GGUF) that is used where the image's settings name none.
    #[arg(long)]
    model: PathBuf,
    /// Folder for the ledger and the responses [default: IMAGE.state].
    #[arg(long)]
    state: Option<PathBuf>,
    /// What computes: cpu or armv6 [default: the processor's own].
    #[arg(long, value_name = "NAME")]
    backend: Option<Backend>,
}

impl Answer {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        log::start("warn");
        let raw = Raw {
            image: Some(self.image),
            model: Some(self.model),
            state: self.state,
            backend: self.backend,
            ..Raw::default()
        };
        let published = super::runtime()?.block_on(daemon::answer(raw.validate()?))?;
        if published == 0 {
            output::print("nothing new to answer\n")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
