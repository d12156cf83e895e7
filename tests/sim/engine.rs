//! The engine of the simulation: it answers after a while, or fails, and its answer says to which
//! text it is the answer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use engine::{Event, Failure, Finish, Request, Summary};
use mailbox::Digest;
use volume::testing::Random;

/// How an answer begins; the digest of the prompt's text follows.
const ANSWER: &str = "answer to ";
/// The longest answer, in characters beyond its first line.
const LONGEST: usize = 12_000;
/// Of so many prompts, one fails.
const FAILING: usize = 40;

/// A handle; clones are the same engine.
#[derive(Clone)]
pub struct Engine(Rc<RefCell<Inner>>);

struct Inner {
    random: Random,
    /// Of so many prompts, one fails.
    failing: Option<usize>,
    due: VecDeque<(u64, Event)>,
    asked: u64,
    /// The text in work.
    text: String,
    /// Texts that the engine has said to have failed at.
    failed: Vec<String>,
}

impl Engine {
    /// One that fails now and then.
    pub fn new(random: Random) -> Self {
        Self::failing(random, Some(FAILING))
    }

    /// One that never fails.
    pub fn reliable(random: Random) -> Self {
        Self::failing(random, None)
    }

    fn failing(random: Random, failing: Option<usize>) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            random,
            failing,
            due: VecDeque::new(),
            asked: 0,
            text: String::new(),
            failed: Vec::new(),
        })))
    }

    /// Takes a prompt; what it says of it comes from [`Engine::take_due`].
    pub fn ask(&self, now_ms: u64, request: &Request) {
        let mut inner = self.0.borrow_mut();
        assert!(inner.due.is_empty(), "the engine has a prompt already");
        inner.asked += 1;
        inner.text.clone_from(&request.prompt);
        let longest_ms = [300, 4_000, 30_000, 90_000][inner.random.below(4)];
        let done_ms = now_ms + 10 + inner.random.below(longest_ms) as u64;
        let failing = inner.failing;
        if failing.is_some_and(|of| inner.random.below(of) == 0) {
            let failure = Failure::OutOfMemory;
            return inner.due.push_back((done_ms, Event::Failed(failure)));
        }
        let text = answer(&request.prompt);
        let (early, late) = text.split_at(text.len() / 2);
        let half_ms = now_ms + (done_ms - now_ms) / 2;
        inner.due.push_back((half_ms, Event::Text(early.into())));
        inner.due.push_back((done_ms, Event::Text(late.into())));
        inner.due.push_back((done_ms, Event::Finished(summary())));
    }

    /// When it says something next.
    pub fn next_ms(&self) -> Option<u64> {
        self.0.borrow().due.front().map(|(at_ms, _)| *at_ms)
    }

    /// What it says now.
    pub fn take_due(&self, now_ms: u64) -> Option<Event> {
        let mut inner = self.0.borrow_mut();
        let (at_ms, _) = inner.due.front()?;
        if *at_ms > now_ms {
            return None;
        }
        let (_, event) = inner.due.pop_front()?;
        if matches!(event, Event::Failed(_)) {
            let text = inner.text.clone();
            inner.failed.push(text);
        }
        Some(event)
    }

    /// Whatever it was doing, it does no more.
    pub fn forget(&self) {
        self.0.borrow_mut().due.clear();
    }

    /// How many prompts it has had.
    pub fn asked(&self) -> u64 {
        self.0.borrow().asked
    }

    /// Whether it has failed at this text.
    pub fn has_failed(&self, text: &str) -> bool {
        self.0.borrow().failed.iter().any(|failed| failed == text)
    }
}

/// The answer to a text: the same each time, and to no other text.
pub fn answer(prompt: &str) -> String {
    let Digest(digest) = Digest::of(prompt.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = format!("{ANSWER}{hex}\n");
    let length = u16::from_le_bytes([digest[0], digest[1]]) as usize % LONGEST;
    while text.len() < length {
        text.push_str(&format!("as the {hex} is long, line {}\n", text.len()));
    }
    text
}

fn summary() -> Summary {
    Summary {
        finish: Finish::EndOfText,
        prompt_tokens: 1,
        response_tokens: 1,
        prefill_ms: 1.0,
        decode_ms: 1.0,
        load_ms: 0.0,
    }
}
