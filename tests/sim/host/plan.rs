//! In which steps and with which gaps each kind of host does what its user wants. Pure but for
//! chance. Sources of the orders and times: docs/LAB.md.

use labhost::model::Part;
use volume::testing::Random;

use super::Kind;
use super::belief::Content;
use super::chance::{between, percent};
use super::step::{Step, Steps};

/// An `AppleDouble` file without content of its own is as long as this on FAT.
const APPLE_DOUBLE_BYTES: usize = 4096;
/// How it begins (RFC 1740, appendix B).
const APPLE_DOUBLE_MAGIC: [u8; 8] = [0, 5, 0x16, 7, 0, 2, 0, 0];

/// Plans for one host.
pub struct Plan<'a> {
    pub kind: Kind,
    pub random: &'a mut Random,
}

impl Plan<'_> {
    /// A file is made, or emptied and written anew.
    pub fn write(&mut self, path: &str, content: &Content) -> Steps {
        let mut steps = self.begin();
        steps.push((self.gap(50), Step::Create(path.into())));
        if self.shows_empty_entry() {
            steps.extend(self.send_metadata());
        }
        steps.extend(self.fill(path, content));
        if self.kind == Kind::MacOs {
            steps.extend(self.apple_double(path));
        }
        steps
    }

    /// Content goes over what a file begins with.
    pub fn overwrite(&mut self, path: &str, content: &Content) -> Steps {
        let mut steps = self.begin();
        steps.extend(self.fill(path, content));
        steps
    }

    /// A changed name: sent at once, or left to the background.
    pub fn change_names(&mut self, changes: Vec<Step>) -> Steps {
        let mut steps = self.begin();
        for change in changes {
            steps.push((self.gap(100), change));
        }
        if !self.kind.is_linux() {
            steps.extend(self.send_metadata());
        }
        steps
    }

    /// Everything is sent and acknowledged.
    pub fn fsync(&mut self) -> Steps {
        let mut steps = self.begin();
        steps.push((0, Step::FillKept));
        steps.extend(self.send_everything());
        steps.push((self.gap(20), Step::Sync));
        steps
    }

    /// The volume is clean and the lock is off, as when nobody writes any more.
    pub fn let_go(&mut self) -> Steps {
        let mut steps = vec![(0, Step::FillKept)];
        steps.extend(self.send_everything());
        if self.kind.holds_while_dirty() || self.kind == Kind::MacOs {
            steps.push((self.gap(20), Step::Sync));
        }
        steps.push((self.gap(20), Step::Unmark));
        if self.kind.holds_while_dirty() || self.kind == Kind::MacOs {
            steps.push((self.gap(20), Step::Sync));
        }
        steps.push((self.gap(20), Step::Unlock));
        steps
    }

    /// Unmounts; a desktop then probes for 0.5 to 1.5 s.
    pub fn unmount(&mut self) -> Steps {
        let mut steps = self.let_go();
        steps.push((0, Step::Forget));
        if self.kind == Kind::LinuxDesktop {
            for _ in 0..=between(self.random, 1, 3) {
                steps.push((between(self.random, 30, 200), Step::Lock));
                steps.push((between(self.random, 80, 180), Step::Unlock));
            }
        }
        steps
    }

    /// Unmounts and takes the medium out.
    pub fn eject(&mut self) -> Steps {
        let mut steps = self.unmount();
        steps.push((self.gap(100), Step::Eject));
        steps
    }

    /// What is left to the background when a user's work is done: late writing, or letting go.
    pub fn afterwards(&mut self) -> Steps {
        match self.kind {
            Kind::LinuxDefault => self.late_bursts(),
            Kind::LinuxFlush | Kind::LinuxDesktop => {
                let late_ms = between(self.random, 25_000, 35_000);
                after(late_ms, self.send_everything())
            }
            Kind::Windows | Kind::Tester => {
                let late_ms = between(self.random, 1500, 3500);
                after(late_ms, self.let_go())
            }
            Kind::MacOs | Kind::Camera => {
                let late_ms = between(self.random, 500, 3000);
                after(late_ms, self.send_everything())
            }
        }
    }

    /// Names and tables first, after half a minute; what they stand for up to 30 s later. A change
    /// that comes just too late for one round is complete with the next, after 61 s.
    fn late_bursts(&mut self) -> Steps {
        let first_ms = between(self.random, 20_000, 28_000);
        let mut steps = after(first_ms, self.send_metadata());
        let second_ms = between(self.random, 5000, 22_000);
        steps.push((second_ms, Step::FillKept));
        steps.extend(self.send_metadata());
        let third_ms = between(self.random, 0, 5000);
        steps.extend(after(third_ms, self.send_everything()));
        steps
    }

    fn fill(&mut self, path: &str, content: &Content) -> Steps {
        if self.kind == Kind::LinuxDefault {
            return vec![(self.gap(300), Step::Keep(path.into(), content.clone()))];
        }
        // Some programs have a file open for seconds before they write.
        let open_ms = match percent(self.random, 15) {
            true => between(self.random, 500, 5000),
            false => self.gap(100),
        };
        let mut steps = vec![(open_ms, Step::Fill(path.into(), content.clone()))];
        steps.push(self.send(Part::Data));
        steps.extend(self.send_metadata());
        steps
    }

    fn apple_double(&mut self, path: &str) -> Steps {
        let mut content = vec![0; APPLE_DOUBLE_BYTES];
        content[..APPLE_DOUBLE_MAGIC.len()].copy_from_slice(&APPLE_DOUBLE_MAGIC);
        let path = apple_double_path(path);
        let mut steps = vec![(self.gap(30), Step::Create(path.clone()))];
        steps.extend(self.fill(&path, &content.into()));
        steps
    }

    /// Windows and what resembles it; others now and then, for a program that flushes early.
    fn shows_empty_entry(&mut self) -> bool {
        match self.kind {
            Kind::LinuxDefault => false,
            Kind::LinuxFlush | Kind::LinuxDesktop => percent(self.random, 20),
            _ => true,
        }
    }

    fn begin(&mut self) -> Steps {
        match self.kind.holds_while_dirty() {
            true => vec![(0, Step::Begin)],
            false => Vec::new(),
        }
    }

    fn send_metadata(&mut self) -> Steps {
        vec![self.send(Part::Tables), self.send(Part::Folders)]
    }

    fn send_everything(&mut self) -> Steps {
        vec![self.send(Part::All)]
    }

    fn send(&mut self, part: Part) -> (u64, Step) {
        let blocks_max = match self.kind {
            Kind::Tester => 1 << self.random.below(8),
            Kind::LinuxDefault | Kind::LinuxFlush | Kind::LinuxDesktop => 240,
            _ => 128,
        };
        let gap_max_ms = match self.kind {
            Kind::Tester => [0, 5, 50][self.random.below(3)],
            _ => [2, 20, 200][self.random.below(3)],
        };
        // Some programs write a part, and think: two or three times for less long in all than what
        // is on a volume in use has to stay as it is.
        let gap_max_ms = match part {
            Part::Data if percent(self.random, 10) => 1000,
            _ => gap_max_ms,
        };
        let in_order = self.kind != Kind::LinuxDefault || percent(self.random, 50);
        let step = Step::Send {
            part,
            blocks_max,
            gap_max_ms,
            in_order,
        };
        (self.gap(20), step)
    }

    fn gap(&mut self, most_ms: u64) -> u64 {
        between(self.random, 0, most_ms)
    }
}

/// The `._` file beside a file.
pub fn apple_double_path(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/._{name}"),
        None => format!("._{path}"),
    }
}

fn after(late_ms: u64, mut steps: Steps) -> Steps {
    if let Some((gap_ms, _)) = steps.first_mut() {
        *gap_ms += late_ms;
    }
    steps
}
