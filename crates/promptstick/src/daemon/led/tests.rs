//! The LED on a folder that imitates sysfs. The kernel's own triggers are not here: what they do
//! with these values is the lab's to see.

use super::*;

/// A class with one LED, `ACT`, which the kernel lights on access to the card.
fn class(trigger: &str) -> tempfile::TempDir {
    let class = tempfile::tempdir().unwrap();
    let led = class.path().join("ACT");
    fs::create_dir(&led).unwrap();
    for (name, content) in [
        ("trigger", trigger),
        ("brightness", "0\n"),
        ("max_brightness", "255\n"),
        ("delay_on", "30\n"),
        ("delay_off", "70\n"),
        ("pattern", ""),
    ] {
        fs::write(led.join(name), content).unwrap();
    }
    class
}

const TRIGGERS: &str = "none rc-feedback [mmc0] timer heartbeat pattern default-on\n";

fn read(class: &tempfile::TempDir, name: &str) -> String {
    fs::read_to_string(class.path().join("ACT").join(name)).unwrap()
}

fn able(triggers: &[&str]) -> Abilities {
    Abilities {
        triggers: triggers.iter().map(|name| (*name).to_owned()).collect(),
        max_brightness: 255,
        delays_only: false,
    }
}

#[test]
fn each_sign_is_its_own() {
    for triggers in [
        &["none", "timer", "heartbeat", "pattern"][..],
        &["none", "timer", "heartbeat"],
        &["none", "timer"],
        &[],
    ] {
        let abilities = Abilities {
            delays_only: triggers.is_empty(),
            ..able(triggers)
        };
        let signs = [
            Sign::Ready,
            Sign::Thinking,
            Sign::AnswerWaiting,
            Sign::Error,
        ];
        for (number, sign) in signs.iter().enumerate() {
            for other in &signs[number + 1..] {
                assert_ne!(sign.writes(&abilities), other.writes(&abilities));
            }
        }
    }
}

#[test]
fn double_blinks_use_what_the_kernel_has() {
    let writes = |triggers| Sign::AnswerWaiting.writes(&able(triggers));
    let pattern = "255 150 255 0 0 150 0 0 255 150 255 0 0 1200 0 0";
    assert_eq!(
        writes(&["timer", "heartbeat", "pattern"]),
        [("trigger", "pattern".into()), ("pattern", pattern.into())]
    );
    assert_eq!(
        writes(&["timer", "heartbeat"]),
        [("trigger", "heartbeat".into())]
    );
    let flash = [
        ("trigger", "timer".into()),
        ("delay_on", "150".into()),
        ("delay_off", "1200".into()),
    ];
    assert_eq!(writes(&["timer"]), flash);
    assert_eq!(writes(&["none"]), steady(0));
}

#[test]
fn signs_are_written_and_the_former_trigger_comes_back() {
    let class = class(TRIGGERS);
    let mut led = Led::open(class.path(), Some("ACT"));
    assert_eq!(read(&class, "trigger"), TRIGGERS, "nothing was shown yet");
    led.show(Sign::Ready);
    assert_eq!(read(&class, "trigger"), "none");
    assert_eq!(read(&class, "brightness"), "255");
    led.show(Sign::Thinking);
    assert_eq!(read(&class, "trigger"), "timer");
    assert_eq!(read(&class, "delay_on"), "1000");
    assert_eq!(read(&class, "delay_off"), "1000");
    led.show(Sign::Error);
    assert_eq!(read(&class, "delay_on"), "100");
    led.show(Sign::AnswerWaiting);
    assert_eq!(read(&class, "trigger"), "pattern");
    drop(led);
    assert_eq!(read(&class, "trigger"), "mmc0");
}

#[test]
fn a_sign_that_is_shown_is_left_alone() {
    let class = class(TRIGGERS);
    let mut led = Led::open(class.path(), Some("ACT"));
    led.show(Sign::Thinking);
    fs::write(class.path().join("ACT/trigger"), "untouched").unwrap();
    led.show(Sign::Thinking);
    assert_eq!(read(&class, "trigger"), "untouched");
}

#[test]
fn brightness_and_delays_come_back_too() {
    for (trigger, name, value) in [
        ("[none] timer", "brightness", "7"),
        ("none [timer]", "delay_off", "7"),
    ] {
        let class = class(trigger);
        fs::write(class.path().join("ACT").join(name), "7\n").unwrap();
        let mut led = Led::open(class.path(), Some("ACT"));
        led.show(Sign::Ready);
        led.show(Sign::Thinking);
        led.restore();
        assert_eq!(read(&class, name), value);
    }
}

#[test]
fn no_led_a_wrong_one_and_one_that_vanishes_are_no_error() {
    let class = class(TRIGGERS);
    for name in [None, Some("PWR")] {
        let mut led = Led::open(class.path(), name);
        led.show(Sign::Thinking);
    }
    assert_eq!(read(&class, "trigger"), TRIGGERS);
    let mut led = Led::open(class.path(), Some("ACT"));
    led.show(Sign::Ready);
    fs::remove_dir_all(class.path().join("ACT")).unwrap();
    led.show(Sign::Error);
    led.show(Sign::Ready);
    assert!(led.folder.is_none());
    assert!(!class.path().join("ACT").exists(), "nothing is created");
}
