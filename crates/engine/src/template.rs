//! From a prompt to tokens, through the model's chat template, so that nothing in the user's text
//! can act as a control token.
//!
//! The template is rendered with marks in place of the texts, and taken apart at the marks and at
//! the special tokens that the *template* wrote. What lies between two special tokens (template
//! text and user text in their order) is tokenised as plain text in one go, so that the result is
//! what llama.cpp gives for the whole rendering whenever the user's text holds no special token. A
//! user's `<|im_end|>` becomes the tokens of its characters.
//!
//! Pure: the model is behind [`Vocabulary`] and a closure that renders.

/// Marks that stand for texts while a template is rendered. Templates copy or trim texts; these
/// have no white space to trim and no character that a template looks for.
const SYSTEM_MARK: &str = "\u{e000}promptstick-system\u{e001}";
const PROMPT_MARK: &str = "\u{e000}promptstick-prompt\u{e001}";

/// A token whose text has a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialToken {
    /// Its number.
    pub id: i32,
    /// Its text; not empty.
    pub text: String,
    /// Whether it is a control token, which plain tokenising never produces.
    pub is_control: bool,
}

/// What is needed of a model's vocabulary.
pub trait Vocabulary {
    /// Control and user-defined tokens, the longest text first.
    fn specials(&self) -> &[SpecialToken];
    /// The token that every prompt begins with, if any.
    fn begins_with(&self) -> Option<i32>;
    /// Tokens of a text in which no control token is recognised.
    fn tokenize_text(&self, text: &str) -> Vec<i32>;
}

/// A message in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `system` or `user`.
    pub role: &'static str,
    /// Its text, or a mark.
    pub content: String,
}

impl Message {
    fn new(role: &'static str, content: &str) -> Self {
        Self {
            role,
            content: content.to_owned(),
        }
    }
}

/// A prompt as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// With everything that the template adds.
    pub tokens: Vec<i32>,
    /// Whether a template was used.
    pub is_chat: bool,
}

/// Puts a prompt into the template that `render` applies; where `render` gives `None`, or loses or
/// repeats the prompt, the prompt is used as it is, after the system text.
pub fn compose(
    vocabulary: &impl Vocabulary,
    render: impl Fn(&[Message]) -> Option<String>,
    system: Option<&str>,
    prompt: &str,
) -> Prompt {
    let system = system.map(str::trim).filter(|text| !text.is_empty());
    let chat = rendered(&render, system, prompt.trim());
    let is_chat = chat.is_some();
    let parts = chat.unwrap_or_else(|| vec![Part::User(plain(system, prompt))]);
    let mut pieces = Pieces {
        vocabulary,
        template: template_specials(vocabulary, &parts),
        out: Vec::new(),
    };
    for part in &parts {
        match part {
            Part::Template(text) => pieces.template_text(text),
            Part::User(text) => pieces.user_text(text),
        }
    }
    Prompt {
        tokens: pieces.tokens(),
        is_chat,
    }
}

/// A base model goes on with the text: white space at its end would change what comes next.
fn plain(system: Option<&str>, prompt: &str) -> String {
    let prompt = prompt.trim_end();
    system.map_or_else(
        || prompt.to_owned(),
        |system| format!("{system}\n\n{prompt}"),
    )
}

/// A stretch of the rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Template(String),
    User(String),
}

fn rendered(
    render: &impl Fn(&[Message]) -> Option<String>,
    system: Option<&str>,
    prompt: &str,
) -> Option<Vec<Part>> {
    let user = Message::new("user", PROMPT_MARK);
    if let Some(system) = system {
        let both = render(&[Message::new("system", SYSTEM_MARK), user.clone()])?;
        if let Some(parts) = take_apart(&both, &[(SYSTEM_MARK, system), (PROMPT_MARK, prompt)]) {
            return Some(parts);
        }
    }
    // A template without a place for a system text: it goes before the prompt.
    let alone = render(&[user])?;
    let text = system.map_or_else(
        || prompt.to_owned(),
        |system| format!("{system}\n\n{prompt}"),
    );
    take_apart(&alone, &[(PROMPT_MARK, &text)])
}

/// Cuts the rendering at the marks, which must each be there once, in order.
fn take_apart(rendering: &str, marks: &[(&str, &str)]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = rendering;
    for &(mark, text) in marks {
        let (before, after) = rest.split_once(mark)?;
        parts.push(Part::Template(before.to_owned()));
        parts.push(Part::User(text.to_owned()));
        rest = after;
    }
    if rest.contains(SYSTEM_MARK) || rest.contains(PROMPT_MARK) {
        return None;
    }
    parts.push(Part::Template(rest.to_owned()));
    Some(parts)
}

/// The special tokens that the template wrote: they must not be recognised in the user's text, even
/// where the file calls them user-defined and tokenising always recognises them.
fn template_specials(vocabulary: &impl Vocabulary, parts: &[Part]) -> Vec<SpecialToken> {
    let in_template = |special: &&SpecialToken| {
        parts.iter().any(|part| match part {
            Part::Template(text) => text.contains(&special.text),
            Part::User(_) => false,
        })
    };
    vocabulary
        .specials()
        .iter()
        .filter(in_template)
        .cloned()
        .collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Special(i32),
    Text(String),
    /// Between two texts that must not be tokenised together.
    Cut,
}

struct Pieces<'a, V> {
    vocabulary: &'a V,
    template: Vec<SpecialToken>,
    out: Vec<Piece>,
}

impl<V: Vocabulary> Pieces<'_, V> {
    fn template_text(&mut self, mut text: &str) {
        while let Some((at, special)) = first_special(&self.template, text) {
            let (id, after) = (special.id, at + special.text.len());
            self.text(&text[..at]);
            self.out.push(Piece::Special(id));
            text = &text[after..];
        }
        self.text(text);
    }

    fn user_text(&mut self, mut text: &str) {
        let user_defined: Vec<SpecialToken> = self
            .template
            .iter()
            .filter(|special| !special.is_control)
            .cloned()
            .collect();
        while let Some((at, special)) = first_special(&user_defined, text) {
            // Cut after the first character of it, so that it is not seen as a whole.
            let cut = at + special.text.chars().next().map_or(1, char::len_utf8);
            self.text(&text[..cut]);
            self.out.push(Piece::Cut);
            text = &text[cut..];
        }
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(Piece::Text(last)) = self.out.last_mut() {
            last.push_str(text);
        } else {
            self.out.push(Piece::Text(text.to_owned()));
        }
    }

    fn tokens(self) -> Vec<i32> {
        let mut tokens = Vec::new();
        let first = self.vocabulary.begins_with();
        if let Some(first) = first.filter(|&id| self.out.first() != Some(&Piece::Special(id))) {
            tokens.push(first);
        }
        for piece in &self.out {
            match piece {
                Piece::Special(id) => tokens.push(*id),
                Piece::Text(text) => tokens.extend(self.vocabulary.tokenize_text(text)),
                Piece::Cut => {}
            }
        }
        tokens
    }
}

/// The first special in a text; of several that begin there, the longest.
fn first_special<'a>(
    specials: &'a [SpecialToken],
    text: &str,
) -> Option<(usize, &'a SpecialToken)> {
    specials
        .iter()
        .filter_map(|special| text.find(&special.text).map(|at| (at, special)))
        .min_by_key(|(at, special)| (*at, std::cmp::Reverse(special.text.len())))
}

#[cfg(test)]
mod tests;
