//! Scenarios: what happens to the stick, step by step, by name. The harness boots one guest for
//! each. A new scenario is a function, a row of [`ALL`] and a test in `tests/lab`; what several of
//! them do is in [`steps`].

mod attackers;
mod board;
mod crash;
mod daemon;
mod desktop;
mod foreign;
mod hosts;
mod leftover;
mod plain;
mod service;
mod steps;
pub mod torture;
mod try_usb;
pub mod two_machines;
mod unfinished;
mod vanish;

pub use try_usb::{PROMPT_FILE as TRY_PROMPT, RESPONSE_FILE as TRY_RESPONSE};

use crate::Result;
use crate::debian::System;
use crate::error::Failure;

/// The parameter of the kernel's command line that names the scenario.
pub const NAME_PARAMETER: &str = "lab.scenario";

/// What begins all our parameters.
const PREFIX: &str = "lab.";

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Its name on the command line and in `tests/lab`.
    pub name: &'static str,
    /// Whether the host's kernel has its disk driver; without it nothing touches the units but the
    /// scenario itself.
    pub host_has_disks: bool,
    /// Whether the modules of gadget and host are loaded before it begins.
    pub kernel_is_ready: bool,
    /// The Debian that is in the guest.
    pub debian: Option<System>,
    /// What happens.
    pub run: fn(&Lab) -> Result<()>,
}

impl Scenario {
    /// On a Linux host with its own disk driver.
    const fn linux(name: &'static str, run: fn(&Lab) -> Result<()>) -> Self {
        Self {
            name,
            host_has_disks: true,
            kernel_is_ready: true,
            debian: None,
            run,
        }
    }

    /// On a Linux host with a desktop.
    const fn desktop(name: &'static str, run: fn(&Lab) -> Result<()>) -> Self {
        Self {
            debian: Some(System::Desktop),
            ..Self::linux(name, run)
        }
    }

    /// On a host that speaks SCSI by itself.
    const fn raw(name: &'static str, run: fn(&Lab) -> Result<()>) -> Self {
        Self {
            host_has_disks: false,
            ..Self::linux(name, run)
        }
    }

    /// On a kernel that lacks all that a gadget and a host need.
    const fn unprepared(name: &'static str, run: fn(&Lab) -> Result<()>) -> Self {
        Self {
            kernel_is_ready: false,
            ..Self::raw(name, run)
        }
    }

    /// With a Debian as the stick's system, which the scenario starts.
    const fn stick(name: &'static str, run: fn(&Lab) -> Result<()>) -> Self {
        Self {
            debian: Some(System::Stick),
            ..Self::unprepared(name, run)
        }
    }
}

/// Every scenario.
pub const ALL: &[Scenario] = &[
    Scenario::linux("plain_gadget", plain::gadget),
    Scenario::linux("cable", plain::cable),
    Scenario::linux("bus_states", plain::bus_states),
    Scenario::linux("desktop_polling", plain::desktop_polling),
    Scenario::linux("late_writes", plain::late_writes),
    Scenario::linux("partitioned", plain::partitioned),
    Scenario::linux("program", plain::program),
    Scenario::linux("daemon_killed", plain::daemon_killed),
    Scenario::linux("daemon_killed_under_host", crash::killed_under_host),
    Scenario::linux("daemon_killed_often", crash::killed_often),
    Scenario::linux("daemon_killed_state_broken", crash::killed_and_state_broken),
    Scenario::linux("stale_gadget", leftover::stale),
    Scenario::unprepared("lacking_kernel", leftover::lacking),
    Scenario::linux("host_vanished", vanish::host_vanished),
    Scenario::linux("cable_pulled_usbip", vanish::cable_pulled),
    Scenario::linux("cable_pulled_disk_full", vanish::cable_pulled_disk_full),
    Scenario::linux("cable_wiggled_usbip", vanish::cable_wiggled),
    Scenario::linux("daemon_killed_under_viewer", crash::killed_under_viewer),
    Scenario::linux("host_formats", vanish::formatted),
    Scenario::linux("host_wipes", vanish::wiped),
    Scenario::raw("daemon_windows", foreign::windows),
    Scenario::raw("daemon_windows_fat32", foreign::windows_fat32),
    Scenario::raw("daemon_macos", foreign::macos),
    Scenario::raw("daemon_unfinished", unfinished::given_back),
    Scenario::linux("daemon_unmounted", daemon::let_go::unmounted),
    Scenario::linux("daemon_unpolled", daemon::let_go::unmounted_unpolled),
    Scenario::linux("daemon_ejected", daemon::let_go::ejected),
    Scenario::linux("daemon_powered_off", daemon::let_go::powered_off),
    Scenario::linux(
        "daemon_powered_off_empty",
        daemon::let_go::powered_off_empty,
    ),
    Scenario::linux("daemon_idle", daemon::let_go::idle),
    Scenario::linux("daemon_asleep", daemon::let_go::asleep),
    Scenario::raw("daemon_never_mounted", daemon::let_go::never_mounted),
    Scenario::linux("daemon_kept", daemon::kept::kept),
    Scenario::linux("daemon_read_only", daemon::kept::read_only),
    Scenario::linux("daemon_large_file", daemon::kept::large_file),
    Scenario::linux("daemon_late_writes", daemon::kept::late_writes),
    Scenario::linux("daemon_reset", daemon::kept::reset),
    Scenario::linux("daemon_queue", daemon::prompts::queue),
    Scenario::linux("daemon_changed", daemon::prompts::changed),
    Scenario::linux("daemon_queue_changed", daemon::prompts::queue_changed),
    Scenario::linux("daemon_rename_save", daemon::prompts::rename_save),
    Scenario::linux("daemon_viewer_pins", daemon::viewer::pinned),
    Scenario::linux("daemon_viewer_forced", daemon::viewer::forced),
    Scenario::linux("daemon_progress", daemon::viewer::progress),
    Scenario::linux("daemon_status", daemon::viewer::status),
    Scenario::linux("daemon_led", daemon::led::signs),
    Scenario::linux("daemon_partitioned", daemon::media::partitioned),
    Scenario::linux("daemon_full", daemon::media::full),
    Scenario::linux("daemon_full_unmounted", daemon::media::full_unmounted),
    Scenario::linux("daemon_disk_full", daemon::disk::full),
    Scenario::linux("board_memory", board::memory::memory),
    Scenario::linux("board_boot", board::boot::boot),
    Scenario::linux("board_clock", board::clock::clock),
    Scenario::linux("attacker_writes", attackers::writes),
    Scenario::linux("attacker_locks", attackers::locks),
    Scenario::linux("attacker_ejects", attackers::ejects),
    Scenario::linux("attacker_resets", attackers::resets),
    Scenario::linux("torture", torture::torture),
    Scenario::linux("try_usb", try_usb::run),
    Scenario::linux("two_machines_board", two_machines::board),
    Scenario::linux("two_machines_host", two_machines::host),
    Scenario::desktop("desktop_kept", desktop::kept),
    Scenario::desktop("desktop_unmounted", desktop::unmounted),
    Scenario::desktop("desktop_ejected", desktop::ejected),
    Scenario::desktop("desktop_powered_off", desktop::powered_off),
    Scenario::desktop("service", service::service),
    Scenario::stick("board_service", service::board::boots),
    Scenario::stick(
        "board_service_late",
        service::board::boots_without_controller,
    ),
    Scenario::raw("windows_model", hosts::windows),
    Scenario::raw("windows_model_fat32", hosts::windows_fat32),
    Scenario::raw("macos_model", hosts::macos),
];

/// The scenario that is called `name`.
///
/// # Errors
/// There is none.
pub fn find(name: &str) -> Result<&'static Scenario> {
    let found = ALL.iter().find(|scenario| scenario.name == name);
    found.ok_or_else(|| Failure::Wrong(format!("there is no scenario {name:?}")))
}

/// What a scenario is given: parameters by name.
#[derive(Debug, Default)]
pub struct Lab {
    parameters: Vec<(String, String)>,
}

impl Lab {
    /// A lab for a scenario without parameters.
    pub fn named(name: &str) -> Self {
        Self::from_command_line(&format!("{NAME_PARAMETER}={name}"))
    }

    /// Takes our words out of the kernel's command line.
    pub fn from_command_line(line: &str) -> Self {
        let ours = line.split_whitespace().filter_map(|word| {
            let (name, value) = word.split_once('=')?;
            let name = name.starts_with(PREFIX).then_some(name)?;
            Some((name.to_owned(), value.to_owned()))
        });
        Self {
            parameters: ours.collect(),
        }
    }

    /// The scenario's name; empty where none was given.
    pub fn name(&self) -> &str {
        self.parameter(NAME_PARAMETER).unwrap_or_default()
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// `lab.seed`, for scenarios that choose at random; 1 where none was given.
    pub fn seed(&self) -> u64 {
        let seed = self.parameter("lab.seed");
        seed.and_then(|seed| seed.parse().ok()).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn parameters_come_from_the_command_line() {
        let lab = Lab::from_command_line("console=ttyS0 lab.scenario=x lab.seed=7 quiet\n");
        assert_eq!((lab.name(), lab.seed()), ("x", 7));
        assert_eq!(lab.parameter("console"), None);
        assert_eq!(Lab::default().seed(), 1);
    }

    #[test]
    fn names_are_unique_and_unknown_ones_are_an_error() {
        let names: BTreeSet<_> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(find("moon").is_err());
    }
}
