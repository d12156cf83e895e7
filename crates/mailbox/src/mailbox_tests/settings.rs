//! `SETTINGS.TOML` that comes, goes and is mistyped, one rule a test.

use super::stick::{NOTHING, Stick};
use crate::Digest;
use crate::SettingsFile::{Absent, Content, Damaged, TooLarge};

#[test]
fn bad_settings_are_answered_once_and_survive_a_restart() {
    let mut stick = Stick::new();
    stick
        .mailbox
        .feed_settings(Content(b"max_tokens = 9"))
        .unwrap();
    stick
        .mailbox
        .feed_settings(Content(b"max_token = 9"))
        .unwrap();
    assert_eq!(stick.look_and_work(), ["SETTINGS.error.txt"]);
    let mut stick = stick.restart();
    assert_eq!(stick.mailbox.settings().max_tokens, 9);
    assert!(
        stick
            .mailbox
            .feed_settings(Content(b"max_token = 9"))
            .unwrap()
            .error
            .is_none()
    );
    assert_eq!(stick.look_and_work(), NOTHING);
    stick.mailbox.feed_settings(Content(b"worse")).unwrap();
    assert_eq!(stick.look_and_work(), ["SETTINGS.error-2.txt"]);
    stick.mailbox.feed_settings(Absent).unwrap();
    assert_eq!(stick.mailbox.settings().max_tokens, 256);
    let stick = stick.restart();
    assert_eq!(stick.mailbox.settings().max_tokens, 256);
}

#[test]
fn a_complaint_about_settings_is_withdrawn_when_they_are_mended_first() {
    let mut stick = Stick::new();
    stick.mailbox.feed_settings(Content(b"bad")).unwrap();
    assert_eq!(stick.mailbox.ready().len(), 1);
    stick.mailbox.feed_settings(Content(b"top_k = 1")).unwrap();
    assert_eq!(stick.mailbox.ready(), []);
}

#[test]
fn settings_that_are_too_large_or_damaged_leave_the_good_ones_alone() {
    let digest = Digest::of(b"what could be read");
    let huge = vec![b'#'; usize::try_from(crate::limits::SETTINGS_LIMIT_BYTES).unwrap() + 1];
    let bytes = u64::MAX;
    let why = "its end is missing".to_owned();
    for bad in [
        TooLarge { digest, bytes },
        Damaged { digest, why },
        Content(&huge),
    ] {
        let mut stick = Stick::new();
        let good = Content(b"max_tokens = 9");
        stick.mailbox.feed_settings(good).unwrap();
        stick.mailbox.feed_settings(bad.clone()).unwrap();
        assert_eq!(stick.mailbox.settings().max_tokens, 9);
        assert_eq!(stick.look_and_work(), ["SETTINGS.error.txt"]);
        let mut stick = stick.restart();
        assert_eq!(stick.mailbox.settings().max_tokens, 9);
        stick.mailbox.feed_settings(bad).unwrap();
        assert_eq!(stick.look_and_work(), NOTHING);
        stick.mailbox.feed_settings(Content(b"")).unwrap();
        assert_eq!(stick.mailbox.settings().max_tokens, 256);
    }
}
