//! The LED shows what the daemon does: the Caps Lock light of the guest's keyboard takes part.

use std::path::{Path, PathBuf};

use crate::modules::{self, Modules};
use crate::mount::How;
use crate::scenario::Lab;
use crate::scenario::steps::{
    ANSWER_LIMIT, Plugged, QUESTION, SWAP_LIMIT, SlowBoard, ask, response_on,
};
use crate::{Failure, Result, report, sysfs, wait};

/// Where the kernel shows LEDs.
pub const LEDS: &str = "/sys/class/leds";

/// Thinking: half a period of the timer.
const THINKING: [(&str, &str); 3] = [
    ("trigger", "[timer]"),
    ("delay_on", "1000"),
    ("delay_off", "1000"),
];

const READY: [(&str, &str); 2] = [("trigger", "[none]"), ("brightness", "1")];

/// An answer waits.
const WAITING: [(&str, &str); 1] = [("trigger", "[pattern]")];

/// Ready, thinking, an answer that waits, ready again, and as it was before at the end.
pub fn signs(_: &Lab) -> Result<()> {
    let led = caps_lock()?;
    let before = trigger(&led)?;
    let name = led.file_name().unwrap_or_default().to_string_lossy();
    let mut stick = Plugged::on_desktop(&format!("led = \"{name}\""))?;
    shows(&led, "ready", &READY)?;
    let mount = stick.mount(How::Flush)?;
    let board = SlowBoard::start();
    ask(&mount, "prompt.txt", QUESTION)?;
    shows(&led, "thinking", &THINKING)?;
    drop(board);
    stick.wait_answered(1)?;
    shows(&led, "an answer that waits", &WAITING)?;
    mount.unmount()?;
    stick.wait_swapped()?;
    shows(&led, "ready again", &READY)?;
    let mount = stick.mount(How::Flush)?;
    response_on(&mount, "prompt.txt")?;
    mount.unmount()?;
    stick.daemon.stop()?;
    let restored = || trigger(&led).is_ok_and(|trigger| trigger == before);
    wait::until_true("the LED as it was", SWAP_LIMIT, restored)?;
    Ok(())
}

/// The LED that takes part, with the kernel's triggers for it.
pub fn caps_lock() -> Result<PathBuf> {
    Modules::from_list()?.load_all(&modules::LED_TRIGGERS)?;
    let names = sysfs::names(LEDS);
    let name = names.iter().find(|name| name.ends_with("::capslock"));
    let name = name.ok_or_else(|| Failure::Wrong(format!("no Caps Lock among {names:?}")))?;
    Ok(Path::new(LEDS).join(name))
}

/// The trigger in force, in its brackets.
fn trigger(led: &Path) -> Result<String> {
    let triggers = sysfs::read(led.join("trigger"))?;
    let chosen = triggers
        .split_whitespace()
        .find(|word| word.starts_with('['));
    Ok(chosen.unwrap_or_default().to_owned())
}

/// Waits until the LED's attributes have these values.
pub fn shows(led: &Path, what: &str, attributes: &[(&str, &str)]) -> Result<()> {
    let is_shown = || {
        attributes.iter().all(|(name, value)| {
            let seen = match *name {
                "trigger" => trigger(led),
                _ => sysfs::read(led.join(name)),
            };
            seen.is_ok_and(|seen| seen == *value)
        })
    };
    let took = wait::until_true(&format!("the LED to show {what}"), ANSWER_LIMIT, is_shown)?;
    report::step(format!(
        "the LED shows {what} after {} ms",
        took.as_millis()
    ));
    Ok(())
}
