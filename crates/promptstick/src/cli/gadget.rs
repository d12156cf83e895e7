//! `promptstick gadget`: what only root may do about the drive. With it, the daemon that reads what
//! a computer wrote needs no rights of its own (systemd/promptstick.service).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use medium::gadget::{Gadget as Drive, GadgetError, Owner, Paths};
use nix::unistd::User;

use crate::config::{self, Raw};
use crate::{daemon, log};

/// What systemd tells a command that runs after a service (systemd.exec(5)).
const RESULT: &str = "SERVICE_RESULT";
/// The result of a service that ended as it was asked to.
const ASKED: &str = "success";

/// Prepare the USB drive for a daemon that is not root, or remove it.
#[derive(Debug, clap::Args)]
pub struct Gadget {
    #[command(subcommand)]
    command: GadgetCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GadgetCommand {
    Prepare(Prepare),
    Remove(Remove),
}

/// Make the drive, not connected, and let a user connect it and change its media, if the
/// configuration wants one. One that is there already stays as it is. The same for the LED.
#[derive(Debug, clap::Args)]
struct Prepare {
    /// The daemon's configuration file.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The user that the daemon runs as.
    #[arg(long)]
    user: String,
}

/// Remove the drive, which is like pulling the plug.
#[derive(Debug, clap::Args)]
struct Remove {
    /// Leave it to the next daemon where `SERVICE_RESULT` says that this one failed.
    #[arg(long)]
    unless_failed: bool,
}

impl Gadget {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        log::start("info");
        match self.command {
            GadgetCommand::Prepare(command) => command.run()?,
            GadgetCommand::Remove(command) => command.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Prepare {
    fn run(self) -> anyhow::Result<()> {
        let config = self.config.as_deref().map(Raw::read).transpose()?;
        let config = config.unwrap_or_default();
        let owner = owner(&self.user)?;
        if config.gadget == Some(config::Gadget::Configfs) {
            let description = daemon::description(config.gadget_description.as_deref())?;
            Drive::prepare(&description, &Paths::default(), owner)?;
        }
        if let Some(led) = config.led()? {
            // As everywhere: without its LED the stick works.
            if let Err(error) = daemon::give_led(Path::new(daemon::LED_CLASS), &led, owner) {
                tracing::warn!(led, %error, "the LED cannot be prepared");
            }
        }
        Ok(())
    }
}

impl Remove {
    fn run(self) -> anyhow::Result<()> {
        let failed = std::env::var(RESULT).is_ok_and(|result| result != ASKED);
        if self.unless_failed && failed {
            return Ok(());
        }
        match Drive::clear(&Paths::default()) {
            // Without them there is no drive either.
            Err(
                GadgetError::ConfigfsMissing(_)
                | GadgetError::ConfigfsNotMounted(_)
                | GadgetError::LibcompositeMissing(_),
            ) => Ok(()),
            result => Ok(result?),
        }
    }
}

fn owner(name: &str) -> anyhow::Result<Owner> {
    let user = User::from_name(name).with_context(|| format!("looking for the user {name}"))?;
    let user = user.with_context(|| format!("there is no user {name}"))?;
    Ok(Owner {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    })
}
