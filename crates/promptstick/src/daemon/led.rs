//! The light: four signs on one LED of the kernel (`/sys/class/leds/NAME`).
//!
//! Invariants: nothing about an LED is ever an error; what goes wrong is logged once. The kernel
//! blinks by itself, so the daemon has no timer for it. The trigger that the LED had is restored at
//! the end. What is written for which sign is pure ([`Sign::writes`]); [`Led`] writes it.
//!
//! Triggers: kernel documentation, `leds/leds-class.rst` and
//! `ABI/testing/sysfs-class-led-trigger-pattern`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use medium::gadget::Owner;
use nix::unistd::{AccessFlags, access};

/// Where the kernel shows LEDs.
pub const LED_CLASS: &str = "/sys/class/leds";

/// Half a period of slow blinking.
const SLOW_MS: u32 = 1000;
/// Half a period of fast blinking.
const FAST_MS: u32 = 100;
/// A double blink: on, off, on, and then off for longer.
const BLINK_MS: u32 = 150;
const PAUSE_MS: u32 = 1200;
// The four signs must be told apart at a glance.
const _: () = assert!(SLOW_MS >= 5 * FAST_MS && PAUSE_MS >= 4 * BLINK_MS);

/// What the stick shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Steady: it waits for prompts.
    Ready,
    /// Slow blinking: a prompt is being answered.
    Thinking,
    /// Double blinks: an answer waits for the host to let go of the drive.
    AnswerWaiting,
    /// Fast blinking: there is an error file, or the stick itself is in trouble.
    Error,
}

/// What an LED can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// The triggers that this kernel has.
    pub triggers: Vec<String>,
    /// Full brightness.
    pub max_brightness: u32,
    /// The timer is in force, and this process may change nothing but its delays ([`give`]).
    pub delays_only: bool,
}

/// One attribute of the LED and what is written to it.
type Write = (&'static str, String);

impl Abilities {
    fn has(&self, trigger: &str) -> bool {
        self.triggers.iter().any(|other| other == trigger)
    }
}

impl Sign {
    /// What is written, in this order. Where the kernel cannot blink, only "ready" is lit.
    pub fn writes(self, abilities: &Abilities) -> Vec<Write> {
        if abilities.delays_only {
            return self.delays();
        }
        match self {
            Self::Ready => steady(abilities.max_brightness),
            Self::Thinking => blinking(abilities, SLOW_MS),
            Self::AnswerWaiting => double_blinks(abilities),
            Self::Error => blinking(abilities, FAST_MS),
        }
    }

    /// A timer that is never off is a steady light.
    fn delays(self) -> Vec<Write> {
        let (on_ms, off_ms) = match self {
            Self::Ready => (SLOW_MS, 0),
            Self::Thinking => (SLOW_MS, SLOW_MS),
            Self::AnswerWaiting => (BLINK_MS, PAUSE_MS),
            Self::Error => (FAST_MS, FAST_MS),
        };
        vec![
            ("delay_on", on_ms.to_string()),
            ("delay_off", off_ms.to_string()),
        ]
    }
}

fn steady(brightness: u32) -> Vec<Write> {
    vec![
        ("trigger", "none".to_owned()),
        ("brightness", brightness.to_string()),
    ]
}

fn blinking(abilities: &Abilities, half_ms: u32) -> Vec<Write> {
    if !abilities.has("timer") {
        return steady(0);
    }
    // The delays are attributes of the trigger and appear with it.
    vec![
        ("trigger", "timer".to_owned()),
        ("delay_on", half_ms.to_string()),
        ("delay_off", half_ms.to_string()),
    ]
}

/// By the `pattern` trigger; else `heartbeat`, which beats twice and rests; else a short flash.
fn double_blinks(abilities: &Abilities) -> Vec<Write> {
    if abilities.has("pattern") {
        let on = abilities.max_brightness;
        let steps = [(on, BLINK_MS), (0, BLINK_MS), (on, BLINK_MS), (0, PAUSE_MS)];
        // A second tuple of no length makes a step of what would be a slope.
        let tuples = steps.map(|(level, ms)| format!("{level} {ms} {level} 0"));
        return vec![
            ("trigger", "pattern".to_owned()),
            ("pattern", tuples.join(" ")),
        ];
    }
    if abilities.has("heartbeat") {
        return vec![("trigger", "heartbeat".to_owned())];
    }
    let mut writes = blinking(abilities, BLINK_MS);
    if let Some((_, delay)) = writes.iter_mut().find(|(name, _)| *name == "delay_off") {
        *delay = PAUSE_MS.to_string();
    }
    writes
}

/// The LED, or none.
#[derive(Debug)]
pub struct Led {
    folder: Option<PathBuf>,
    abilities: Abilities,
    before: Vec<Write>,
    shown: Option<Sign>,
}

impl Led {
    /// The LED `name` of `class` (usually [`LED_CLASS`]); none where the configuration has none, or
    /// where it is not there, which is logged.
    pub fn open(class: &Path, name: Option<&str>) -> Self {
        let mut led = Self {
            folder: None,
            abilities: Abilities::default(),
            before: Vec::new(),
            shown: None,
        };
        let Some(name) = name else {
            return led;
        };
        let folder = class.join(name);
        match probe(&folder) {
            Ok((abilities, before)) => {
                led = Self {
                    folder: Some(folder),
                    abilities,
                    before,
                    ..led
                }
            }
            Err(error) => {
                let there = names_in(class);
                tracing::warn!(led = name, %error, there, "cannot use the LED; going on without");
            }
        }
        led
    }

    /// Shows a sign. A sign that is shown already is not written again, which would disturb it.
    pub fn show(&mut self, sign: Sign) {
        if self.shown != Some(sign) {
            self.shown = Some(sign);
            self.write_all(&sign.writes(&self.abilities));
        }
    }

    /// Gives the LED back as it was found.
    pub fn restore(&mut self) {
        if self.shown.take().is_some() {
            let before = self.before.clone();
            self.write_all(&before);
        }
    }

    fn write_all(&mut self, writes: &[Write]) {
        let Some(folder) = &self.folder else {
            return;
        };
        let result = writes
            .iter()
            .try_for_each(|(attribute, value)| write(&folder.join(attribute), value));
        if let Err(error) = result {
            tracing::warn!(led = %folder.display(), %error, "the LED failed; going on without");
            self.folder = None;
        }
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        self.restore();
    }
}

/// What an LED can do, and what to write to make it again what it is.
fn probe(folder: &Path) -> io::Result<(Abilities, Vec<Write>)> {
    let listed = fs::read_to_string(folder.join("trigger"))?;
    let number = |name| -> io::Result<u32> {
        let text = fs::read_to_string(folder.join(name))?;
        text.trim().parse().map_err(io::Error::other)
    };
    let mut abilities = Abilities {
        max_brightness: number("max_brightness")?,
        triggers: Vec::new(),
        delays_only: false,
    };
    let mut former = "none";
    for word in listed.split_whitespace() {
        // The one in force is in brackets.
        let active = word
            .strip_prefix('[')
            .and_then(|word| word.strip_suffix(']'));
        former = active.unwrap_or(former);
        abilities.triggers.push(active.unwrap_or(word).to_owned());
    }
    let mut before = vec![("trigger", former.to_owned())];
    if access(&folder.join("trigger"), AccessFlags::W_OK).is_err() {
        abilities.delays_only = former == "timer";
        before.clear();
    }
    match former {
        "none" => before.push(("brightness", number("brightness")?.to_string())),
        "timer" => {
            // In this order: with no delay at all the kernel takes its own.
            before.push(("delay_off", number("delay_off")?.to_string()));
            before.push(("delay_on", number("delay_on")?.to_string()));
        }
        // Other triggers start again with what they were set up with.
        _ => {}
    }
    Ok((abilities, before))
}

fn write(attribute: &Path, value: &str) -> io::Result<()> {
    // Truncated as a shell does, and never created.
    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(attribute)?;
    file.write_all(value.as_bytes())
}

/// Prepares the LED `name` of `class` for a daemon that is `owner`: the kernel's timer drives it,
/// and its delays are the owner's to write. It is dark until then. For root.
///
/// # Errors
/// There is no such LED, the kernel has no timer for it, or refused.
pub fn give(class: &Path, name: &str, owner: Owner) -> io::Result<()> {
    let folder = class.join(name);
    write(&folder.join("trigger"), "timer")?;
    write(&folder.join("delay_on"), "0")?;
    // The trigger has made these files; they were root's until now.
    for delay in ["delay_on", "delay_off"] {
        chown(folder.join(delay), Some(owner.uid), Some(owner.gid))?;
    }
    Ok(())
}

/// The LEDs that there are, for a message.
fn names_in(class: &Path) -> String {
    let mut names: Vec<String> = fs::read_dir(class)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names.join(" ")
}

#[cfg(test)]
mod tests;
