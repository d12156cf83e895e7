//! A response as it grows: bytes of tokens in, text that may be shown out, and when to end.
//!
//! Pure; [`crate::session`] feeds it. Invariant: what is given out is whole characters, never part
//! of a stop string, nothing follows the end, and JSON that the model ended is a whole value.

use serde::de::IgnoredAny;

use crate::error::Failure;
use crate::grammar::JsonTracker;
use crate::report::Finish;
use crate::request::Request;
use crate::stop::StopMatcher;
use crate::utf8::Utf8Decoder;

/// See the module.
#[derive(Debug)]
pub struct Response {
    decoder: Utf8Decoder,
    stops: StopMatcher,
    json: Option<Json>,
    max_tokens: u32,
    tokens: u32,
    /// An answer in a chat does not begin with white space; some models begin with a space.
    trim_start: bool,
}

/// A JSON value as it grows.
#[derive(Debug, Default)]
struct Json {
    tracker: JsonTracker,
    /// All that was given out: as long as `max_tokens` and the context allow.
    text: String,
}

/// What a token led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Text to give out now; may be empty.
    pub text: String,
    /// The response has ended with that text.
    pub finish: Option<Finish>,
}

impl Response {
    /// For a request that went through a chat template or not.
    #[must_use]
    pub fn new(request: &Request, is_chat: bool) -> Self {
        let stops: &[String] = if request.json { &[] } else { &request.stop };
        Self {
            decoder: Utf8Decoder::default(),
            stops: StopMatcher::new(stops),
            json: request.json.then(Json::default),
            max_tokens: request.max_tokens,
            tokens: 0,
            trim_start: is_chat,
        }
    }

    /// Tokens so far.
    #[must_use]
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// The characters that are still incomplete, for the sampler to check against.
    #[must_use]
    pub fn decoder(&self) -> &Utf8Decoder {
        &self.decoder
    }

    /// Takes the bytes of the next token.
    pub fn push(&mut self, bytes: &[u8]) -> Step {
        self.tokens = self.tokens.saturating_add(1);
        let decoded = self.decoder.push(bytes);
        if let Some(json) = self.json.as_mut() {
            json.tracker.push(&decoded);
        }
        let checked = self.stops.push(&decoded);
        let text = self.trimmed(checked.text);
        if checked.stopped {
            return Step {
                text,
                finish: Some(Finish::Stop),
            };
        }
        if self
            .json
            .as_ref()
            .is_some_and(|json| json.tracker.is_complete())
        {
            return Step {
                text,
                finish: Some(Finish::EndOfText),
            };
        }
        if self.tokens >= self.max_tokens {
            return self.ended_with(text, Finish::MaxTokens);
        }
        Step { text, finish: None }
    }

    /// The model ended it, or nothing more fits.
    pub fn end(&mut self, finish: Finish) -> Step {
        self.ended_with(String::new(), finish)
    }

    /// Checks what was promised about a response that ended in this way: that JSON which was not
    /// cut is a whole value. The grammar sees to it, as long as some token can go on with it.
    ///
    /// # Errors
    /// [`Failure::Compute`]; what was given out is not a response.
    pub fn check(&self, finish: Finish) -> Result<(), Failure> {
        let Some(json) = self.json.as_ref().filter(|_| finish == Finish::EndOfText) else {
            return Ok(());
        };
        serde_json::from_str::<IgnoredAny>(&json.text)
            .map(|_| ())
            .map_err(|error| Failure::Compute {
                why: format!(
                    "no token can go on with the JSON value, which is not complete ({error})"
                ),
            })
    }

    fn ended_with(&mut self, mut text: String, finish: Finish) -> Step {
        let incomplete = self.decoder.finish();
        let checked = self.stops.push(&incomplete);
        let mut rest = checked.text;
        rest.push_str(&self.stops.finish());
        text.push_str(&self.trimmed(rest));
        Step {
            text,
            finish: Some(finish),
        }
    }

    /// What is given out of this text.
    fn trimmed(&mut self, mut text: String) -> String {
        if self.trim_start {
            text.drain(..text.len() - text.trim_start().len());
            self.trim_start = text.is_empty();
        }
        if let Some(json) = self.json.as_mut() {
            json.text.push_str(&text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            max_tokens: 3,
            ..Request::new("p")
        }
    }

    #[test]
    fn white_space_before_a_chat_answer_is_dropped() {
        let mut response = Response::new(&request(), true);
        assert_eq!(response.push(b" \n").text, "");
        assert_eq!(response.push(b" Hello").text, "Hello");
        let last = response.push(b" you");
        assert_eq!(
            (last.text.as_str(), last.finish),
            (" you", Some(Finish::MaxTokens))
        );
        assert_eq!(Response::new(&request(), false).push(b" a").text, " a");
    }

    #[test]
    fn the_end_gives_out_what_was_held_back() {
        let mut request = request();
        request.stop = vec!["STOP".into()];
        let mut response = Response::new(&request, false);
        assert_eq!(response.push(b"one ST").text, "one ");
        assert_eq!(response.push(b"\xe2\x82").text, "");
        assert_eq!(response.end(Finish::EndOfText).text, "ST\u{fffd}");
    }

    #[test]
    fn a_stop_string_ends_it() {
        let mut request = request();
        request.stop = vec!["STOP".into()];
        let mut response = Response::new(&request, false);
        response.push(b"one ST");
        let step = response.push(b"OP two");
        assert_eq!((step.text.as_str(), step.finish), ("", Some(Finish::Stop)));
    }

    #[test]
    fn json_ends_with_its_last_brace_and_ignores_stop_strings() {
        let mut request = request();
        request.json = true;
        request.stop = vec!["a".into()];
        let mut response = Response::new(&request, true);
        assert_eq!(response.push(br#"{"a":"#).finish, None);
        assert_eq!(response.push(b"1}").finish, Some(Finish::EndOfText));
        assert_eq!(response.check(Finish::EndOfText), Ok(()));
    }

    #[test]
    fn json_that_nothing_can_go_on_with_is_no_response() {
        let mut request = request();
        request.json = true;
        for (text, is_whole) in [("{\"a\":", false), ("", false), ("-", false), ("-1", true)] {
            let mut response = Response::new(&request, true);
            response.push(text.as_bytes());
            response.end(Finish::EndOfText);
            let checked = response.check(Finish::EndOfText);
            assert_eq!(checked.is_ok(), is_whole, "{text}: {checked:?}");
            assert_eq!(response.check(Finish::MaxTokens), Ok(()));
        }
        let mut response = Response::new(&self::request(), true);
        response.push(b"{");
        assert_eq!(response.check(Finish::EndOfText), Ok(()));
    }
}
