//! What hosts report to the runner, and the story of a history for a person.

use std::cell::RefCell;
use std::rc::Rc;

/// What the device did to a host that it must never do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The medium left while the host held it, by PREVENT or by its marks, without the host's
    /// doing.
    TakenWhileHeld { at_ms: u64, has_unsent: bool },
    /// A file of a read-only medium was not what the same name has shown since the mount.
    AnswerChanged {
        at_ms: u64,
        lun: usize,
        path: String,
    },
    /// A medium that was put in could not be mounted.
    NotMountable {
        at_ms: u64,
        lun: usize,
        reason: String,
    },
}

/// A file that a user has read.
#[derive(Clone, Debug)]
pub struct Reading {
    pub lun: usize,
    pub path: String,
    pub content: Vec<u8>,
}

/// What happened, a line for each; only if somebody asked for it.
#[derive(Clone, Default)]
pub enum Log {
    #[default]
    Silent,
    Collecting(Rc<RefCell<Vec<String>>>),
    /// Told at once, on standard output.
    Telling,
}

impl Log {
    /// One that collects.
    pub fn collecting() -> Self {
        Self::Collecting(Rc::default())
    }

    /// Adds a line.
    pub fn note(&self, at_ms: u64, line: impl FnOnce() -> String) {
        let told = || format!("{:>9.3} s  {}", at_ms as f64 / 1000.0, line());
        match self {
            Self::Silent => {}
            Self::Collecting(lines) => lines.borrow_mut().push(told()),
            Self::Telling => println!("{}", told()),
        }
    }

    /// What was collected.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Collecting(lines) => lines.borrow().clone(),
            _ => Vec::new(),
        }
    }
}
