//! Cuts of the power in the middle of the stick's work, as many as somebody wants: QEMU is killed,
//! and of what the guest had not flushed to its disk some is lost. Each next boot finishes what was
//! open, and that is judged here, outside. `labhost::scenario::torture` is what a boot does. Used
//! by `cargo xtask torture` and by `tests/lab`.

mod cut;
mod disk;
mod ext4;
mod judge;
mod nbd;

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use labhost::files::Random;
use labhost::protocol::Line;
use labhost::scenario::torture::{ANSWERED, ASKED_PARAMETER, FOUND, PUBLISHED, ROUND_PARAMETER};

use crate::error::At;
use crate::guest::{Event, Powered, Socket};
use crate::programs::Programs;
use crate::{LabError, Result, Series, tool};
use cut::Plan;
use disk::{Disk, Fallen, Fate};
use ext4::Checked;
use judge::Promises;
use nbd::Shared;

pub use cut::Reached;

/// The scenario in the guest.
const SCENARIO: &str = "torture";

/// After so many cuts, a fresh disk.
const CUTS_PER_DISK: u32 = 20;

/// The stick's image, twice that for answers and state, and what ext4 needs. The file is sparse.
const DISK_BYTES: u64 = 160 << 20;

/// A boot that does not come to its next line for so long hangs.
const SILENCE: Duration = Duration::from_secs(500);

/// How often the guest is looked at while nothing comes from it.
const LOOK: Duration = Duration::from_millis(10);

/// After QEMU was killed, its connection ends.
const LEAVING: Duration = Duration::from_secs(20);

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torture {
    /// How many cuts.
    pub cuts: u32,
    /// Which ones; the same seed chooses the same, as far as the guest's timing is the same.
    pub seed: u64,
    /// The guest's kernel.
    pub series: Series,
}

/// One cut, and what came of it.
#[derive(Debug)]
pub struct Cut {
    /// Its number, from 0.
    pub number: u32,
    /// How far the stick's work was.
    pub reached: Reached,
    /// Sectors written and not flushed.
    pub unflushed: u64,
    /// Of these, lost.
    pub lost: u64,
    /// Why `e2fsck -p` did not mend the file system, where `e2fsck -y` did.
    pub mended: Option<String>,
    /// The next boot found the journal of a publication.
    pub found_journal: bool,
    /// Writes and flushes from the first answer until it was on the volume, where it came so far.
    pub requests: Option<u64>,
    /// What does not hold that was promised; nothing should be here.
    pub losses: Vec<String>,
    /// For a person.
    pub how: String,
    /// From switching on to the cut.
    pub wall: Duration,
}

impl Torture {
    /// Does it, and calls `show` after each cut has been judged.
    ///
    /// # Errors
    /// The lab failed. What the stick lost is no error, but in the [`Cut`].
    pub fn run(&self, programs: &Programs, show: &mut dyn FnMut(&Cut)) -> Result<Vec<Cut>> {
        // Not the folder of a longer run beside it.
        let (series, cuts, seed) = (self.series.name(), self.cuts, self.seed);
        let name = format!("{SCENARIO}-{series}-{cuts}-{seed}");
        let socket = Socket::new(SCENARIO, self.series, &name, programs)?;
        let mut random = Random::new(self.seed);
        let mut cuts: Vec<Cut> = Vec::new();
        while u32::try_from(cuts.len()).unwrap_or(u32::MAX) < self.cuts {
            let first = u32::try_from(cuts.len()).unwrap_or(u32::MAX);
            let last = self.cuts.min(first + CUTS_PER_DISK);
            let mut stick = Stick::fresh(&socket)?;
            for number in first..=last {
                let next = (number < last).then_some(number);
                let judged = stick.round(next, &mut random)?;
                cuts.extend(judged.inspect(|cut| show(cut)));
                if cuts.last().is_some_and(|cut| !cut.losses.is_empty()) {
                    break;
                }
            }
        }
        Ok(cuts)
    }
}

/// A disk, the guests that boot from it, and what the host may rely on.
struct Stick<'a> {
    socket: &'a Socket,
    promises: Promises,
    /// The cut that the next boot is to recover from.
    open: Option<Cut>,
}

impl<'a> Stick<'a> {
    fn fresh(socket: &'a Socket) -> Result<Self> {
        let path = socket.file("disk");
        let file = File::create(&path).at(&path)?;
        file.set_len(DISK_BYTES).at(&path)?;
        tool::run(tool::command("mkfs.ext4").args(["-q", "-F"]).arg(&path))?;
        Ok(Self {
            socket,
            promises: Promises::default(),
            open: None,
        })
    }

    /// One boot: what was open is finished and judged; then the power is cut, unless `next` says
    /// that it was the last. Gives the cut that was judged.
    fn round(&mut self, next: Option<u32>, random: &mut Random) -> Result<Option<Cut>> {
        let temporary = tempfile::tempdir().at(Path::new("a temporary folder"))?;
        let path = temporary.path().join("disk");
        let disk = self.socket.file("disk");
        let disk = Shared::serve(Disk::open(&disk).at(&disk)?, &path).at(&path)?;
        let asked: Vec<&str> = self.promises.asked.iter().map(String::as_str).collect();
        let parameters = [
            ("lab.seed", random.next().to_string()),
            (ROUND_PARAMETER, next.unwrap_or_default().to_string()),
            (ASKED_PARAMETER, asked.join(",")),
        ];
        let mut guest = self.socket.switch_on(SCENARIO, &parameters, &path)?;
        let judged = self.recover(&mut guest)?;
        let is_lost = judged.as_ref().is_some_and(|cut| !cut.losses.is_empty());
        let Some(number) = next.filter(|_| !is_lost) else {
            return Ok(judged);
        };
        let plan = Plan::choose(random);
        let (reached, requests) = self.work(&mut guest, &plan, &disk)?;
        let by = if disk.lock().is_off() {
            "by count"
        } else {
            "by time"
        };
        disk.lock().cut();
        let report = guest.kill();
        for line in &report.lines {
            match line {
                Line::Asked { path } => drop(self.promises.asked.insert(path.clone())),
                Line::Gone { path } => drop(self.promises.flushed.remove(path)),
                Line::Flushed { sha256, path } => {
                    drop(self.promises.flushed.insert(path.clone(), sha256.clone()));
                }
                _ => {}
            }
        }
        let fate = Fate::choose(random);
        let fallen = without_client(disk)?.fall(fate, random);
        let Fallen { unflushed, lost } = fallen.at(&path)?;
        let disk = self.socket.file("disk");
        let checked = ext4::check(&disk, &self.socket.file("disk.copy"))?;
        self.open = Some(Cut {
            number,
            reached,
            unflushed,
            lost,
            found_journal: false,
            requests,
            losses: match &checked {
                Checked::Broken(said) => vec![format!("e2fsck: {said}")],
                _ => Vec::new(),
            },
            mended: match checked {
                Checked::Mended(why) => Some(why),
                _ => None,
            },
            how: format!("{plan}, {by}, {fate:?}"),
            wall: report.wall,
        });
        Ok(judged)
    }

    /// Waits until the guest has finished what the last cut left open, and judges that.
    fn recover(&mut self, guest: &mut Powered) -> Result<Option<Cut>> {
        let open = self.open.take();
        let mut found = String::new();
        let ended = loop {
            match guest.next(SILENCE) {
                Event::Text(text) => match Line::parse(&text) {
                    Some(Line::Step(step)) if step.starts_with(FOUND) => found = step,
                    Some(Line::Exported) => break None,
                    Some(Line::Fail(why)) => break Some(why),
                    _ => {}
                },
                Event::Ended => break Some("the guest ended".to_owned()),
                Event::Late => break Some("the guest did not finish".to_owned()),
            }
        };
        let Some(mut cut) = open else {
            return match ended {
                None => Ok(None),
                Some(why) => Err(LabError::Unexpected(format!("{why}\n{}", guest.report))),
            };
        };
        cut.found_journal = found.contains("journal=true");
        match ended {
            Some(why) => cut.losses.push(format!("{why}\n{}", guest.report)),
            None => {
                let image = self.socket.file("judged.img");
                let losses = judge::losses(&guest.exported()?, &self.promises, &image)?;
                if !losses.is_empty() {
                    cut.losses.push(format!("{}", guest.report));
                    let kept = self.socket.file(&format!("lost-{}.img", cut.number));
                    fs::copy(&image, &kept).at(&kept)?;
                }
                cut.losses.extend(losses);
            }
        }
        Ok(Some(cut))
    }

    /// Lets the host work until the power is to go; how far the stick has come then, and after how
    /// many requests to the disk an answer was on the volume.
    fn work(
        &self,
        guest: &mut Powered,
        plan: &Plan,
        disk: &Shared,
    ) -> Result<(Reached, Option<u64>)> {
        let mut fuse = plan.fuse(Instant::now(), &mut disk.lock());
        let (mut answered, mut requests) = (0, None);
        let mut reached = Reached::Before;
        let mut last = Instant::now();
        while !disk.lock().is_off() && !fuse.is_burnt(Instant::now()) {
            match guest.next(LOOK) {
                Event::Text(text) => {
                    last = Instant::now();
                    match Line::parse(&text) {
                        Some(Line::Log(log)) if log.contains(PUBLISHED) => {
                            reached = Reached::After;
                            let now = disk.lock().requests();
                            requests = requests.or(Some(now - answered));
                        }
                        Some(Line::Log(log)) if log.contains(ANSWERED) => {
                            if reached == Reached::Before {
                                let mut disk = disk.lock();
                                answered = disk.requests();
                                fuse.light(Instant::now(), &mut disk);
                            }
                            reached = Reached::Within;
                        }
                        Some(Line::Fail(why)) => return Err(failed(&why, guest)),
                        _ => {}
                    }
                }
                Event::Late if last.elapsed() < SILENCE => {}
                Event::Late | Event::Ended => return Err(failed("the guest is gone", guest)),
            }
        }
        Ok((reached, requests))
    }
}

fn failed(why: &str, guest: &Powered) -> LabError {
    LabError::Unexpected(format!("{why}\n{}", guest.report))
}

/// The disk, as soon as QEMU's connection has ended.
fn without_client(disk: Shared) -> Result<Disk> {
    let end = Instant::now() + LEAVING;
    while !disk.is_free() && Instant::now() < end {
        std::thread::sleep(LOOK);
    }
    let disk = disk.into_disk();
    disk.ok_or_else(|| LabError::Unexpected("QEMU did not let go of its disk".into()))
}
