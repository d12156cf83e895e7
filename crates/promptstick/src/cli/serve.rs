//! `promptstick serve`: the daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use engine::Backend;

use crate::config::{Config, Gadget, Raw};
use crate::size::Bytes;
use crate::{daemon, log};

/// Serve an image: answer each prompt that appears on it.
#[derive(Clone, Debug, clap::Args)]
pub struct Serve {
    /// Configuration file (TOML); flags come before it.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The FAT image that the host sees; made if it does not exist.
    #[arg(long)]
    image: Option<PathBuf>,
    /// Size of the image if it has to be made.
    #[arg(long)]
    image_size: Option<Bytes>,
    /// Folder for the ledger and the responses [default: IMAGE.state].
    #[arg(long)]
    state: Option<PathBuf>,
    /// The model (GGUF) that is used where the stick's settings name none.
    #[arg(long)]
    model: Option<PathBuf>,
    /// What computes: cpu or armv6 [default: the processor's own].
    #[arg(long, value_name = "NAME")]
    backend: Option<Backend>,
    /// How the image becomes a drive.
    #[arg(long)]
    gadget: Option<Gadget>,
    /// The USB device controller, as in /sys/class/udc [default: the one that is free].
    #[arg(long)]
    udc: Option<String>,
    /// Let names of prompts appear in the log.
    #[arg(long)]
    log_prompts: bool,
}

impl Serve {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        log::start("info");
        let config = self.config()?;
        super::runtime()?.block_on(daemon::serve(config, || self.config()))?;
        Ok(ExitCode::SUCCESS)
    }

    fn config(&self) -> anyhow::Result<Config> {
        let file = self
            .config
            .as_deref()
            .map(Raw::read)
            .transpose()?
            .unwrap_or_default();
        self.flags().over(file).validate()
    }

    fn flags(&self) -> Raw {
        Raw {
            image: self.image.clone(),
            image_size: self.image_size,
            state: self.state.clone(),
            model: self.model.clone(),
            backend: self.backend,
            gadget: self.gadget,
            udc: self.udc.clone(),
            log_prompts: self.log_prompts.then_some(true),
            ..Raw::default()
        }
    }
}
