//! Answers on their way to the volume, one rule a test.

use super::stick::{NOTHING, Stick, response};
use crate::JobId;
use crate::Outcome;
use crate::SettingsFile::Content;

#[test]
fn names_that_a_host_has_taken_are_left_to_it() {
    let mut stick = Stick::new();
    stick
        .answers
        .insert("A.Response.TXT".into(), b"the user's own".to_vec());
    stick.save("a.txt", "one");
    assert_eq!(stick.look_and_work(), ["a.response-2.txt"]);
}

#[test]
fn a_power_cut_between_publishing_and_its_record_publishes_once() {
    for on_volume in [true, false] {
        let mut stick = Stick::new();
        stick.save("a.txt", "Why?");
        stick.look();
        stick.mailbox.answered(JobId(1), &response("x")).unwrap();
        let names = stick.mailbox.names_for(&[JobId(1)], &stick.exists());
        stick.mailbox.publishing(&names).unwrap();
        if on_volume {
            stick.answers.insert("a.response.txt".into(), b"x".to_vec());
        }
        let mut stick = stick.restart();
        stick.look();
        let expected: &[&str] = if on_volume { &[] } else { &["a.response.txt"] };
        assert_eq!(stick.work(), expected);
        assert_eq!(stick.answers["a.response.txt"], b"x");
    }
}

#[test]
fn a_strangers_file_under_the_intended_name_is_not_the_answer() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    stick.mailbox.answered(JobId(1), &response("x")).unwrap();
    stick.mailbox.feed_settings(Content(b"bad")).unwrap();
    let names = stick
        .mailbox
        .names_for(&[JobId(1), JobId(2)], &stick.exists());
    stick.mailbox.publishing(&names).unwrap();
    assert_eq!(stick.mailbox.intended(), names);
    // The volume could not be written, and the host had the medium in the meantime.
    for name in ["A.Response.txt", "SETTINGS.error.txt"] {
        stick.answers.insert(name.into(), b"the user's own".into());
    }
    stick.look();
    assert_eq!(stick.mailbox.intended(), []);
    let mut stick = stick.restart();
    assert_eq!(stick.mailbox.intended(), []);
    // Even if the user takes theirs away again, the names stay used.
    stick.answers.clear();
    let expected = ["a.response-2.txt", "SETTINGS.error-2.txt"];
    assert_eq!(stick.look_and_work(), expected);
    assert_eq!(stick.answers["a.response-2.txt"], b"x");
    assert_eq!(stick.look_and_work(), NOTHING);
}

#[test]
fn the_newest_answers_are_kept_for_the_second_drive_and_no_more() {
    let mut stick = Stick::new();
    let limit = crate::limits::KEPT_OUTCOMES_MAX;
    for n in 0..limit + 3 {
        stick.save(&format!("{n}.txt"), "Why?");
    }
    stick.look_and_work();
    let recent = stick.mailbox.recent();
    assert_eq!(recent.len(), limit);
    assert_eq!(recent[0].path, format!("{}.response.txt", limit + 2));
    let bytes = stick.mailbox.outcome_bytes(recent[0].id).unwrap();
    assert_eq!(bytes.as_ref(), stick.answers.get(&recent[0].path));
    let stick = stick.restart();
    assert_eq!(stick.mailbox.recent(), recent);
}

#[test]
fn an_answer_that_is_too_large_becomes_an_error_file() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    let bytes = vec![b'x'; crate::limits::RESPONSE_LIMIT_BYTES + 1];
    stick
        .mailbox
        .answered(JobId(1), &Outcome::Response { bytes })
        .unwrap();
    assert_eq!(stick.work(), ["a.error.txt"]);
    assert!(stick.answers["a.error.txt"].starts_with(b"The response is too large: it has 1.0 MiB"));
}

#[test]
fn a_lost_answer_is_made_again() {
    let mut stick = Stick::new();
    stick.save("a.txt", "Why?");
    stick.look();
    stick.mailbox.answered(JobId(1), &response("x")).unwrap();
    std::fs::write(stick.state.path().join("answers/1"), b"y").unwrap();
    let mut stick = stick.restart();
    assert_eq!(stick.work(), ["a.response.txt"]);
}

#[test]
fn one_stem_with_two_extensions_makes_two_names() {
    let mut stick = Stick::new();
    stick.save("a.txt", "one");
    stick.save("a.md", "two");
    assert_eq!(
        stick.look_and_work(),
        ["a.response.txt", "a.response-2.txt"]
    );
    assert_eq!(stick.answers["a.response-2.txt"], b"a.md");
}
