//! TOML to [`Settings`]: every key known, every value of its type and in its range.
//!
//! The table is walked by hand rather than derived, because an error has to name the line, the key
//! and the nearest key that there is. Of several errors, the topmost is reported.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::quoted;
use super::model::{
    Format, MAX_TOKENS_MAX, MIN_P_MAX, REPEAT_PENALTY_MAX, REPEAT_PENALTY_MIN, SEED_MAX, STOP_MAX,
    STOP_TEXT_LIMIT_BYTES, SYSTEM_LIMIT_BYTES, Settings, TEMPERATURE_MAX, TOP_K_MAX, TOP_P_MAX,
    is_model_name,
};
use super::{Problem, SettingsError};

/// Every setting, in the order of `SETTINGS.TOML`.
pub const KEYS: [&str; 11] = [
    "model",
    "system",
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repeat_penalty",
    "seed",
    "stop",
    "format",
];

/// How alike a key must be to one of ours to be taken for a slip of it (Jaro-Winkler, 0 to 1).
const NEAR_MIN: f64 = 0.75;

impl Settings {
    /// Settings from a file's text; what it does not name has its default.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        Self::default().overridden(text, 1)
    }

    /// These settings, overridden by what `text` names. Its first line has number `first_line`.
    pub(crate) fn overridden(&self, text: &str, first_line: usize) -> Result<Self, SettingsError> {
        let line_at = |offset: usize| {
            let before = text.get(..offset).unwrap_or(text);
            Some(before.matches('\n').count() + first_line)
        };
        let table = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            SettingsError {
                line: line_at(offset),
                problem: syntax(text, offset, error.message()),
            }
        })?;
        let mut settings = self.clone();
        let mut errors = Vec::new();
        for (key, value) in table.get_ref() {
            if let Err(problem) = set(&mut settings, key.get_ref(), value.get_ref()) {
                errors.push((key.span().start, problem));
            }
        }
        match errors.into_iter().min_by_key(|(offset, _)| *offset) {
            Some((offset, problem)) => Err(SettingsError {
                line: line_at(offset),
                problem,
            }),
            None => Ok(settings),
        }
    }
}

/// A syntax error, with a guess at the slip behind it.
fn syntax(text: &str, offset: usize, message: &str) -> Problem {
    let line_start = text
        .get(..offset)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |at| at + 1);
    let line = text
        .get(line_start..)
        .and_then(|rest| rest.lines().next())
        .unwrap_or_default();
    let hint = if line.contains(['“', '”', '„', '«', '»', '‘', '’']) {
        "Use straight quotes (\") around the text, not curly ones."
    } else if has_decimal_comma(line) {
        "Write the number with a point, as in 0.7, not with a comma."
    } else if line.contains('=') {
        "Write one setting in a line, as in max_tokens = 256; put texts in straight quotes (\")."
    } else {
        "Write each setting as name = value, or begin a remark with #."
    };
    Problem::Syntax {
        message: quoted(message.lines().next().unwrap_or("not TOML")),
        hint,
    }
}

fn has_decimal_comma(line: &str) -> bool {
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    line.as_bytes().windows(3).any(|window| {
        window.get(1) == Some(&b',') && is_digit(window.first()) && is_digit(window.last())
    })
}

fn set(settings: &mut Settings, key: &str, value: &DeValue<'_>) -> Result<(), Problem> {
    let Some(key) = KEYS.into_iter().find(|known| *known == key) else {
        return Err(Problem::UnknownKey {
            key: quoted(key),
            nearest: nearest(key),
        });
    };
    let field = Field { key, value };
    match key {
        "model" => settings.model = field.model()?,
        "system" => settings.system = field.text(SYSTEM_LIMIT_BYTES)?,
        "max_tokens" => settings.max_tokens = field.whole(1, MAX_TOKENS_MAX)?,
        "temperature" => settings.temperature = field.number(0.0, TEMPERATURE_MAX)?,
        "top_k" => settings.top_k = field.whole(0, TOP_K_MAX)?,
        "top_p" => settings.top_p = field.number(0.0, TOP_P_MAX)?,
        "min_p" => settings.min_p = field.number(0.0, MIN_P_MAX)?,
        "repeat_penalty" => {
            settings.repeat_penalty = field.number(REPEAT_PENALTY_MIN, REPEAT_PENALTY_MAX)?;
        }
        "seed" => settings.seed = Some(field.whole(0, SEED_MAX)?),
        "stop" => settings.stop = field.stop()?,
        _ => settings.format = field.format()?,
    }
    Ok(())
}

/// The key that `key` is most probably a slip of.
fn nearest(key: &str) -> Option<&'static str> {
    let key = key.to_lowercase().replace(['-', ' '], "_");
    KEYS.into_iter()
        .map(|known| (strsim::jaro_winkler(&key, known), known))
        .filter(|(likeness, _)| *likeness >= NEAR_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

/// A known key and the value it was given.
struct Field<'a> {
    key: &'static str,
    value: &'a DeValue<'a>,
}

impl Field<'_> {
    fn bad(&self, must_be: impl Into<String>) -> Problem {
        let found = match self.value {
            DeValue::String(text) => format!("\"{}\"", quoted(text)),
            DeValue::Integer(number) => quoted(&number.to_string()),
            DeValue::Float(number) => quoted(&number.to_string()),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        Problem::BadValue {
            key: self.key,
            found,
            must_be: must_be.into(),
        }
    }

    fn whole(&self, low: u32, high: u32) -> Result<u32, Problem> {
        let bad = || self.bad(format!("a whole number from {low} to {high}"));
        let DeValue::Integer(number) = self.value else {
            return Err(bad());
        };
        let number = u32::from_str_radix(number.as_str(), number.radix()).map_err(|_| bad())?;
        if (low..=high).contains(&number) {
            Ok(number)
        } else {
            Err(bad())
        }
    }

    fn number(&self, low: f32, high: f32) -> Result<f32, Problem> {
        let bad = || self.bad(format!("a number from {low} to {high}"));
        let number: f32 = match self.value {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse(),
            DeValue::Float(number) => number.as_str().parse(),
            _ => return Err(bad()),
        }
        .map_err(|_| bad())?;
        if (low..=high).contains(&number) {
            Ok(number)
        } else {
            Err(bad())
        }
    }

    /// A text; an empty one is none, so that a prompt can take back what the stick's settings say.
    fn text(&self, limit_bytes: usize) -> Result<Option<String>, Problem> {
        match self.value {
            DeValue::String(text) if text.is_empty() => Ok(None),
            DeValue::String(text) if text.len() <= limit_bytes => Ok(Some(text.to_string())),
            DeValue::String(_) => Err(self.bad(format!("at most {limit_bytes} bytes long"))),
            _ => Err(self.bad("a text in straight quotes (\")")),
        }
    }

    fn model(&self) -> Result<Option<String>, Problem> {
        match self.text(usize::MAX)? {
            Some(name) if !is_model_name(&name) => {
                Err(self.bad("the name of a file in the models folder, without a path"))
            }
            name => Ok(name),
        }
    }

    fn stop(&self) -> Result<Vec<String>, Problem> {
        let bad = || {
            self.bad(format!(
                "a list of at most {STOP_MAX} texts of 1 to {STOP_TEXT_LIMIT_BYTES} bytes, \
                 as in [\"END\"]"
            ))
        };
        let as_stop = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::String(text) if (1..=STOP_TEXT_LIMIT_BYTES).contains(&text.len()) => {
                Ok(text.to_string())
            }
            _ => Err(bad()),
        };
        match self.value {
            DeValue::Array(texts) if texts.len() <= STOP_MAX => texts.iter().map(as_stop).collect(),
            _ => Err(bad()),
        }
    }

    fn format(&self) -> Result<Format, Problem> {
        match self.value.as_str() {
            Some("text") => Ok(Format::Text),
            Some("json") => Ok(Format::Json),
            _ => Err(self.bad("\"text\" or \"json\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> SettingsError {
        Settings::parse(text).unwrap_err()
    }

    #[test]
    fn every_key_is_taken_and_the_rest_keeps_its_default() {
        let text = "model = \"a.gguf\"\r\nsystem = \"Be brief.\"\r\nmax_tokens = 12\r\n\
                    temperature = 1\r\ntop_k = 0\r\ntop_p = 1.0\r\nmin_p = 0.1\r\n\
                    repeat_penalty = 1.0\r\nseed = 4_294_967_294\r\nstop = [\"END\"]\r\n\
                    format = \"json\"\r\n";
        let expected = Settings {
            model: Some("a.gguf".into()),
            system: Some("Be brief.".into()),
            max_tokens: 12,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.1,
            repeat_penalty: 1.0,
            seed: Some(SEED_MAX),
            stop: vec!["END".into()],
            format: Format::Json,
        };
        assert_eq!(Settings::parse(text), Ok(expected));
        assert_eq!(Settings::parse("# nothing\n"), Ok(Settings::default()));
        let hex = Settings::parse("seed = 0x10").unwrap();
        assert_eq!(hex.seed, Some(16));
    }

    #[test]
    fn a_text_can_be_taken_back() {
        let stick = Settings::parse("system = \"Be brief.\"\nmodel = \"a.gguf\"").unwrap();
        let prompt = stick.overridden("system = \"\"\nmodel = ''", 1).unwrap();
        assert_eq!((prompt.system, prompt.model), (None, None));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_nearest_and_its_line() {
        for (key, expected) in [
            ("max_token", Some("max_tokens")),
            ("Max-Tokens", Some("max_tokens")),
            ("temprature", Some("temperature")),
            ("TEMPERATURE", Some("temperature")),
            ("topk", Some("top_k")),
            ("stops", Some("stop")),
            ("zzz", None),
        ] {
            let error = error(&format!("# remark\n\n{key} = 1\n"));
            assert_eq!(error.line, Some(3));
            let problem = Problem::UnknownKey {
                key: key.into(),
                nearest: expected,
            };
            assert_eq!(error.problem, problem);
        }
    }

    #[test]
    fn the_topmost_error_is_reported() {
        assert_eq!(error("top_k = -1\nbottom_k = 1\n").line, Some(1));
        assert_eq!(error("zzz = 1\nmax_tokens = 0\n").line, Some(1));
    }

    #[test]
    fn values_out_of_range_or_of_another_type_are_refused_with_the_range() {
        for (line, must_be) in [
            ("max_tokens = 0", "a whole number from 1 to 4096"),
            ("max_tokens = 4097", "a whole number from 1 to 4096"),
            ("max_tokens = 1.5", "a whole number from 1 to 4096"),
            (
                "max_tokens = 99999999999999999999999",
                "a whole number from 1 to 4096",
            ),
            ("temperature = 2.1", "a number from 0 to 2"),
            ("temperature = -0.1", "a number from 0 to 2"),
            ("temperature = nan", "a number from 0 to 2"),
            ("temperature = inf", "a number from 0 to 2"),
            ("temperature = \"warm\"", "a number from 0 to 2"),
            ("top_p = 1.1", "a number from 0 to 1"),
            ("min_p = 2", "a number from 0 to 1"),
            ("repeat_penalty = 0", "a number from 0.5 to 2"),
            ("seed = -1", "a whole number from 0 to 4294967294"),
            ("seed = 4294967295", "a whole number from 0 to 4294967294"),
            ("system = 5", "a text in straight quotes (\")"),
            ("format = \"xml\"", "\"text\" or \"json\""),
            ("format = true", "\"text\" or \"json\""),
            (
                "model = \"../x\"",
                "the name of a file in the models folder, without a path",
            ),
            ("[model]\na = 1", "the name"),
        ] {
            let problem = error(line).problem;
            let Problem::BadValue { must_be: found, .. } = &problem else {
                panic!("{line}: {problem:?}")
            };
            if line.starts_with('[') {
                assert_eq!(found, "a text in straight quotes (\")");
            } else {
                assert_eq!(found, must_be, "{line}");
            }
        }
        for line in ["stop = \"END\"", "stop = [\"\"]", "stop = [1]"] {
            assert!(matches!(
                error(line).problem,
                Problem::BadValue { key: "stop", .. }
            ));
        }
        let nine = format!("stop = [{}]", "\"a\",".repeat(STOP_MAX + 1));
        assert!(matches!(
            error(&nine).problem,
            Problem::BadValue { key: "stop", .. }
        ));
    }

    #[test]
    fn syntax_errors_have_a_line_and_a_hint() {
        for (text, line, hint) in [
            ("top_k = 3\ntemperature = 0,7\n", 2, "point"),
            ("system = “Hi”\n", 1, "straight quotes"),
            ("\n\nmax_tokens 5\n", 3, "name = value"),
            ("a = 1 b = 2\n", 1, "one setting in a line"),
            ("top_k = 1\ntop_k = 2\n", 2, "one setting in a line"),
        ] {
            let error = error(text);
            assert_eq!(error.line, Some(line), "{text}");
            assert!(error.advice().contains(hint), "{text}: {}", error.advice());
        }
    }

    proptest! {
        #[test]
        fn any_text_parses_or_gives_two_lines(
            text in "(?s)[a-z_=\"\\[\\]{}0-9.\\n+-]{0,60}|.{0,60}",
        ) {
            if let Err(error) = Settings::parse(&text) {
                prop_assert!(!error.what().contains('\n'), "{}", error.what());
                prop_assert!(!error.advice().contains('\n'), "{}", error.advice());
            }
        }

        #[test]
        fn deep_nesting_is_an_error(depth in 0..5000usize) {
            let text = format!("stop = {}", "[".repeat(depth));
            prop_assert!(Settings::parse(&text).is_err());
        }
    }
}
