//! The daemon as its kernel has it: a process that asks for one thing after another. It may be
//! killed at each of them, and refused each of them.
//!
//! Everything that the daemon reaches goes through here: the image, the journal, the state folder
//! ([`files`](super::files)), the drive, the engine. A killed process reaches nothing any more,
//! whatever it still tries; what it did before stays, for the kernel has it: the disk's cache, the
//! drive with what is in it. Any number of kills and refusals can be planned. Used by `disk`,
//! `files` and `world`; the runner plans.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use nix::errno::Errno;

/// What the daemon asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The image.
    Image,
    /// The state folder, the journal, the media for answers.
    Files,
    /// The drive and its media.
    Drive,
    /// The state of the connection.
    Bus,
    /// The process with the model.
    Engine,
}

/// When exactly a process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The kernel was not asked.
    Before,
    /// The kernel did it, and the process never knew.
    After,
}

/// What the kernel says to a process that is not there.
const KILLED: &str = "the process was killed";

/// A handle; clones are the same process, and the next one in its place.
#[derive(Clone, Default)]
pub struct Process(Rc<RefCell<Inner>>);

#[derive(Default)]
struct Inner {
    is_killed: bool,
    /// Requests so far that change something.
    changes: usize,
    kills: Vec<(usize, Moment)>,
    refusals: Vec<Refusal>,
    refused: u64,
}

/// A request that fails.
struct Refusal {
    of: Of,
    /// Requests of that kind before it.
    left: usize,
    errno: Errno,
}

impl Process {
    /// It is killed at the change after so many more.
    pub fn kill_after(&self, changes: usize, moment: Moment) {
        let mut inner = self.0.borrow_mut();
        let at = inner.changes + changes;
        inner.kills.push((at, moment));
    }

    /// The request of that kind after so many more fails once.
    pub fn refuse_after(&self, of: Of, requests: usize, errno: Errno) {
        let left = requests;
        let refusal = Refusal { of, left, errno };
        self.0.borrow_mut().refusals.push(refusal);
    }

    /// Nothing that was planned happens any more.
    pub fn forget_planned(&self) {
        let mut inner = self.0.borrow_mut();
        inner.kills.clear();
        inner.refusals.clear();
    }

    /// Requests that were refused.
    pub fn refused(&self) -> u64 {
        self.0.borrow().refused
    }

    pub fn is_killed(&self) -> bool {
        self.0.borrow().is_killed
    }

    /// The next process is in its place.
    pub fn start_anew(&self) {
        self.0.borrow_mut().is_killed = false;
    }

    /// A request that changes nothing.
    pub fn look<T>(&self, of: Of, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.0.borrow_mut().admit(of)?;
        work()
    }

    /// A request that changes something outside the process.
    pub fn change<T>(&self, of: Of, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let kill = {
            let mut inner = self.0.borrow_mut();
            inner.admit(of)?;
            inner.next_kill()
        };
        match kill {
            None => work(),
            Some(moment) => {
                if moment == Moment::After {
                    // Nobody is there any more to be told how it went.
                    let _ = work();
                }
                self.0.borrow_mut().is_killed = true;
                Err(io::Error::other(KILLED))
            }
        }
    }
}

impl Inner {
    fn admit(&mut self, of: Of) -> io::Result<()> {
        if self.is_killed {
            return Err(io::Error::other(KILLED));
        }
        let mut refused = None;
        self.refusals.retain_mut(|refusal| {
            let is_due = refusal.of == of && refusal.left == 0;
            if is_due {
                refused = Some(refusal.errno);
            } else if refusal.of == of {
                refusal.left -= 1;
            }
            !is_due
        });
        match refused {
            Some(errno) => {
                self.refused += 1;
                Err(errno.into())
            }
            None => Ok(()),
        }
    }

    /// Counts a change; how the process is killed at it, if it is.
    fn next_kill(&mut self) -> Option<Moment> {
        let number = self.changes;
        self.changes += 1;
        let due = self.kills.extract_if(.., |(at, _)| *at <= number);
        due.map(|(_, moment)| moment).last()
    }
}
