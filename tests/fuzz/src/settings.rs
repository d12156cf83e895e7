//! Target of settings: any bytes are settings within their limits, or an error of two short lines
//! that names a line of the file; what was in force stays in force then.

use crate::prompts::read_back;
use mailbox::settings::Problem;
use mailbox::{Settings, SettingsError, SettingsFile, SettingsState, decode, prompt};

/// Longest of the two lines of an error, bytes: 40 characters of foreign text at most.
const LINE_BYTES: usize = 400;
/// A line that begins and ends the settings of a prompt.
const FENCE: &str = "+++\n";

/// A settings file, and the same at the top of a prompt.
pub fn settings(data: &[u8]) {
    file(data);
    let Ok(decoded) = decode(data) else { return };
    match Settings::parse(&decoded.text) {
        Ok(settings) => check(&settings),
        Err(error) => check_error(&error, &decoded.text),
    }
    let text = format!("{FENCE}{}\n{FENCE}Why?", decoded.text);
    match prompt::split(&text, &Settings::default()) {
        Ok((settings, _)) => check(&settings),
        Err(error) => check_error(&error, &text),
    }
}

fn file(data: &[u8]) {
    let mut state = SettingsState::default();
    state.feed(SettingsFile::Content(b"top_k = 9\n"));
    let before = state.settings().clone();
    let feedback = state.feed(SettingsFile::Content(data));
    check(state.settings());
    assert_eq!(feedback.changed, *state.settings() != before);
    if let Some(error) = feedback.error {
        assert_eq!(*state.settings(), before, "the last good ones stay");
        let form = decode(data).map(|decoded| decoded.form);
        let text = read_back(&error, form.unwrap_or_default());
        assert_eq!(text.lines().count(), 2, "{text}");
        let again = state.feed(SettingsFile::Content(data));
        assert!(again.error.is_none(), "one complaint each time");
    }
}

fn check(settings: &Settings) {
    use mailbox::settings as limit;
    let Settings {
        max_tokens,
        temperature,
        top_k,
        top_p,
        min_p,
        repeat_penalty,
        seed,
        system,
        stop,
        model,
        ..
    } = settings;
    assert!((1..=limit::MAX_TOKENS_MAX).contains(max_tokens));
    assert!((0.0..=limit::TEMPERATURE_MAX).contains(temperature));
    assert!((0..=limit::TOP_K_MAX).contains(top_k));
    assert!((0.0..=limit::TOP_P_MAX).contains(top_p));
    assert!((0.0..=limit::MIN_P_MAX).contains(min_p));
    assert!((limit::REPEAT_PENALTY_MIN..=limit::REPEAT_PENALTY_MAX).contains(repeat_penalty));
    assert!(seed.is_none_or(|seed| seed <= limit::SEED_MAX));
    let is_short = |text: &String| text.len() <= limit::SYSTEM_LIMIT_BYTES;
    assert!(system.as_ref().is_none_or(is_short));
    let fits = |text: &String| (1..=limit::STOP_TEXT_LIMIT_BYTES).contains(&text.len());
    assert!(stop.len() <= limit::STOP_MAX && stop.iter().all(fits));
    let is_plain = |name: &String| !name.contains(['/', '\\', '\0']) && !name.starts_with('.');
    assert!(model.as_ref().is_none_or(is_plain));
}

fn check_error(error: &SettingsError, text: &str) {
    for line in [error.what(), error.advice()] {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(line.len() <= LINE_BYTES, "{line:?}");
    }
    let lines = text.matches('\n').count() + 1;
    let names_a_line = error.line.is_some_and(|line| (1..=lines).contains(&line));
    let is_about_a_line = !matches!(
        error.problem,
        Problem::NotText { .. } | Problem::TooLarge { .. } | Problem::Damaged { .. }
    );
    assert!(names_a_line && is_about_a_line, "{error:?}");
}
