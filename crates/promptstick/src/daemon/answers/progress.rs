//! A response that is not complete yet, as a file: `NAME.partial-N.txt`. Pure.
//!
//! Each has a new number, because a name on the drive means one content for ever.

use mailbox::TextForm;

use super::Answer;
use volume::FatTime;

/// End of a response's name, which a partial one has another for.
const RESPONSE_END: &str = ".response.txt";
/// What the last line says.
const NOT_COMPLETE: &str = "[not complete; the stick goes on]";

/// The file number `number` (from 1) with `text` so far, for the prompt at `prompt_path`; none
/// where there is nothing to show yet.
pub fn partial(
    prompt_path: &str,
    number: u32,
    text: &str,
    form: TextForm,
    time: FatTime,
) -> Option<Answer> {
    if text.trim().is_empty() {
        return None;
    }
    let response = mailbox::response_path(prompt_path, &|_| false)?;
    let stem = response.strip_suffix(RESPONSE_END).unwrap_or(&response);
    let text = format!("{}\n\n{NOT_COMPLETE}\n", text.trim_end());
    Some(Answer {
        path: format!("{stem}.partial-{number}.txt"),
        bytes: mailbox::encode(&text, form),
        time,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(prompt: &str, number: u32) -> Option<String> {
        let form = TextForm::default();
        partial(prompt, number, "Once", form, FatTime::FIRST).map(|answer| answer.path)
    }

    #[test]
    fn the_name_is_the_prompts_with_a_number() {
        let name = named("prompts/poem.md", 3);
        assert_eq!(name.as_deref(), Some("prompts/poem.partial-3.txt"));
        let long = named(&format!("{}.txt", "x".repeat(251)), 999_999).unwrap();
        assert!(long.len() <= volume::MAX_NAME_UNITS, "{}", long.len());
    }

    #[test]
    fn the_text_says_that_it_is_not_complete() {
        let form = TextForm::default();
        let answer = partial("a.txt", 1, "Once upon\na ", form, FatTime::FIRST).unwrap();
        let text = String::from_utf8(answer.bytes).unwrap();
        let expected = "Once upon\r\na\r\n\r\n[not complete; the stick goes on]\r\n";
        assert_eq!(text, expected);
        assert_eq!(partial("a.txt", 1, " \n", form, FatTime::FIRST), None);
    }
}
