//! What goes wrong with a stick that is no host's doing: the power, the process, the disk, the
//! kernel. Drawn by chance for [`history`](super::history).

use mailbox::testing::DiskFault;
use nix::errno::Errno;
use volume::testing::Random;

use super::process::{Moment, Of};
use super::world::Stick;

/// One thing; the numbers count operations of its kind until then.
#[derive(Clone, Copy, Debug)]
pub enum Trouble {
    /// The power goes, in the middle of any write, sync or change of a name.
    Cut { after: usize },
    /// The daemon is killed between two of its steps.
    Kill,
    /// It is killed just before or after something that it asks the kernel for.
    KillAt { after: usize, moment: Moment },
    /// The same, and the power goes soon after: what the process has left in a cache is built upon
    /// by the next one, and is lost.
    KillAndCut {
        after: usize,
        moment: Moment,
        then: usize,
    },
    /// The operator has another configuration.
    Reload,
    /// Writes or syncs fail, so many in a row.
    Disk {
        after: usize,
        times: usize,
        fault: DiskFault,
    },
    /// Requests to the kernel fail, so many in a row.
    Refusal {
        of: Of,
        after: usize,
        times: usize,
        errno: Errno,
    },
}

/// What the kernel says about the drive: EIO; EBUSY, where a controller is used by others; ENOENT,
/// where it is gone.
const OF_DRIVES: [Errno; 3] = [Errno::EIO, Errno::EBUSY, Errno::ENOENT];
/// Of so many faults, one comes more than once.
const LASTING_OF: usize = 4;
/// Operations from a kill to the cut after it, at most: a recovery and a little more.
const THEN_MAX: usize = 40;
/// The most in a row.
const TIMES_MAX: usize = 6;

impl Trouble {
    pub fn draw(random: &mut Random) -> Self {
        let operations = [5, 40, 200][random.below(3)];
        let after = random.below(operations);
        let times = match random.below(LASTING_OF) {
            0 => 2 + random.below(TIMES_MAX - 1),
            _ => 1,
        };
        let refusal = |of, errno| Self::Refusal {
            of,
            after,
            times,
            errno,
        };
        let moment = [Moment::Before, Moment::After][random.below(2)];
        match random.below(18) {
            0..4 => Self::Cut { after },
            4 => Self::Kill,
            5..8 => Self::KillAt { after, moment },
            16.. => Self::KillAndCut {
                after,
                moment,
                then: random.below(THEN_MAX),
            },
            8 => Self::Reload,
            9..12 => Self::Disk {
                after,
                times,
                fault: [DiskFault::Io, DiskFault::Full][random.below(2)],
            },
            12 => refusal(Of::Image, Errno::EIO),
            13 => refusal([Of::Files, Of::Bus][random.below(2)], Errno::EIO),
            _ => refusal(Of::Drive, OF_DRIVES[random.below(OF_DRIVES.len())]),
        }
    }

    /// Plans it, where it is to come at an operation.
    pub fn plan(self, stick: &Stick) {
        let process = stick.disk.process();
        match self {
            Self::Cut { after } => stick.disk.cut_after(after),
            // The cut is planned when the process has been killed.
            Self::KillAt { after, moment } | Self::KillAndCut { after, moment, .. } => {
                process.kill_after(after, moment);
            }
            Self::Disk {
                after,
                times,
                fault,
            } => (after..after + times).for_each(|at| stick.disk.fail_after(at, fault)),
            Self::Refusal {
                of,
                after,
                times,
                errno,
            } => (after..after + times).for_each(|at| process.refuse_after(of, at, errno)),
            Self::Kill | Self::Reload => {}
        }
    }
}
