//! One history: a stick, the computers that it is plugged into one after the other, and what goes
//! wrong meanwhile. Everything follows from its seed.

use std::collections::BTreeSet;

use volume::Volume;
use volume::testing::{PagedImage, Random};

use super::device::Device;
use super::engine::Engine;
use super::figures::Figures;
use super::host::{Belief, Host, KINDS, Kind, Log};
use super::image::{blank, image};
use super::judge;
use super::trouble::Trouble;
use super::world::Stick;

/// A host's longest stay, virtual ms: then it is asked to let go.
const STAY_MAX_MS: u64 = 900_000;
/// Within this time the device has noticed that a host has let go: what it is told late, and its
/// pauses before it looks.
const NOTICED_MS: u64 = 3_000;
/// The longest that a host needs for that.
const LETTING_GO_MAX_MS: u64 = 200_000;
/// When nobody holds the medium any more, all is answered and published within this time: the
/// longest wait for what is damaged, the longest answers of the engine, and the pauses between.
const QUIET_MAX_MS: u64 = 600_000;
/// The same where the disk or the kernel has refused something: it is tried again after pauses that
/// double, from 65 s on, up to 32 times that.
const REFUSED_MAX_MS: u64 = 65 * 65_000;
/// Of so many histories, `fsck.fat` looks at the end of one: it takes longer than the history.
const FSCK_OF: usize = 8;
/// Of so many histories, one has the larger file system.
const FAT32_OF: usize = 32;

/// How many troubles come together, each as often as any other.
const TOGETHER: [usize; 4] = [1, 1, 2, 3];
/// From a kill to the next daemon, at least and at most, ms.
const RESTART_MS: (usize, usize) = (500, 4_500);

/// What came of a history.
#[derive(Debug)]
pub struct Outcome {
    /// What must not be.
    pub violations: Vec<String>,
    pub figures: Figures,
    pub left: Left,
}

/// What is left on the device's disk.
#[derive(Debug, PartialEq, Eq)]
pub struct Left {
    image: PagedImage,
    /// The state folder and what lies beside the image.
    files: Vec<(String, Vec<u8>)>,
}

/// Runs the history of a seed.
pub fn run(seed: u64, log: Log) -> Outcome {
    History::new(seed, log).run()
}

struct History {
    random: Random,
    stick: Stick,
    device: Device,
    host: Option<Host>,
    belief: Belief,
    /// The responses on the volume after the last publication.
    published: BTreeSet<String>,
    /// The device has written the volume, and no host has got it since.
    is_changed: bool,
    /// The power goes so many operations after the kill that is to come.
    cut_after_kill: Option<usize>,
    /// Something goes wrong at that time.
    trouble_ms: Option<u64>,
    log: Log,
    violations: Vec<String>,
    figures: Figures,
}

impl History {
    fn new(seed: u64, log: Log) -> Self {
        let mut random = Random::new(seed);
        let engine = Engine::new(Random::new(random.bits()));
        let is_large = random.below(FAT32_OF) == 0;
        let stick = Stick::new(image(is_large), blank(), engine);
        Self {
            device: Device::new(stick.clone()),
            stick,
            random,
            host: None,
            belief: Belief::default(),
            published: BTreeSet::new(),
            is_changed: false,
            cut_after_kill: None,
            trouble_ms: None,
            log,
            violations: Vec::new(),
            figures: Figures::default(),
        }
    }

    fn run(mut self) -> Outcome {
        for _ in 0..=self.random.below(3) {
            self.stay();
            if !self.violations.is_empty() {
                break;
            }
        }
        self.come_to_rest("nobody is plugged in any more");
        if self.failures() > 0 && self.violations.is_empty() {
            self.start_once_more();
        }
        self.end()
    }

    /// What the disk or the kernel refused may have left a volume that the next start has to mend;
    /// but the files are there, and the answers, before it.
    fn start_once_more(&mut self) {
        let Stick { disk, engine, .. } = &self.stick;
        let faults = judge::judge_files(&disk.snapshot(), &self.belief, engine);
        let before = |fault| format!("{fault} (before the next start)");
        self.violations.extend(faults.into_iter().map(before));
        self.stick.disk.forget_planned();
        self.lose_power();
        self.come_to_rest("after the next start");
    }

    /// How much was refused.
    fn failures(&self) -> u64 {
        let disk = &self.stick.disk;
        disk.faults() as u64 + disk.process().refused()
    }

    fn now_ms(&self) -> u64 {
        self.stick.now_ms()
    }

    /// A host comes, is used, and goes.
    fn stay(&mut self) {
        let kind = KINDS[self.random.below(KINDS.len())];
        let (random, usb) = (Random::new(self.random.bits()), self.stick.usb.clone());
        let belief = std::mem::take(&mut self.belief);
        let host = Host::new(kind, random, usb, belief, self.now_ms(), self.log.clone());
        self.host = Some(host);
        self.figures.stays += 1;
        self.plan_trouble();
        let end_ms = self.now_ms() + STAY_MAX_MS;
        self.pass(end_ms, |history| history.host().is_done());
        if !self.host().is_gone() {
            let now_ms = self.now_ms();
            self.host().let_go(now_ms);
            self.pass(now_ms + LETTING_GO_MAX_MS, |history| {
                history.host().is_done()
            });
        }
        self.trouble_ms = None;
        if !self.host().is_gone() && self.random.below(2) == 0 {
            self.come_to_rest("a host that has let go is plugged in");
        }
        self.part(kind);
        let pause_ms = self.random.below(60_000) as u64;
        let end_ms = self.now_ms() + pause_ms;
        self.pass(end_ms, |_| false);
    }

    /// The plug is pulled, if it was not before; usually the port was the device's supply, too.
    fn part(&mut self, kind: Kind) {
        let host = self.host.take().expect("a host");
        self.belief = host.into_belief();
        if self.random.below(10) < 7 {
            self.log
                .note(self.now_ms(), || format!("{kind:?} was the supply"));
            self.figures.unplugged += 1;
            self.lose_power();
        }
    }

    /// Nothing new goes wrong, and nobody holds the medium: everything is to be answered, and the
    /// medium to be where it belongs.
    fn come_to_rest(&mut self, when: &str) {
        let start_ms = self.now_ms();
        self.log.note(start_ms, || when.into());
        self.pass(start_ms + NOTICED_MS, |_| false);
        // Marks that another host has left keep the volume to itself for as long as one is there.
        let is_kept = |history: &Self| history.host.is_some() && history.is_marked();
        let max_ms = match self.failures() {
            0 => QUIET_MAX_MS,
            _ => REFUSED_MAX_MS,
        };
        self.pass(start_ms + max_ms, |history| {
            history.device.is_done() || is_kept(history)
        });
        if is_kept(self) {
            return;
        }
        let what = match (self.device.is_done(), self.device.has_medium_in_drive()) {
            (true, true) => return,
            (true, false) => "the medium is not in the drive".into(),
            (false, _) => format!(
                "not everything was answered in time: {}",
                self.device.trouble
            ),
        };
        self.violations.push(format!("{what} ({when})"));
    }

    /// Whether the volume says that a host uses it.
    fn is_marked(&self) -> bool {
        let volume = Volume::open(self.stick.disk.snapshot());
        let marks = volume.map(|volume| volume.dirty_marks());
        !matches!(marks, Ok(Ok(marks)) if marks.is_clean())
    }

    /// Lets time pass until the condition holds or the time is over.
    fn pass(&mut self, end_ms: u64, mut condition: impl FnMut(&mut Self) -> bool) {
        loop {
            self.act();
            if condition(self) || !self.violations.is_empty() {
                return;
            }
            let next_ms = self.next_ms().max(self.now_ms());
            if next_ms >= end_ms {
                self.stick.set_now(end_ms.max(self.now_ms()));
                return self.act();
            }
            self.stick.set_now(next_ms);
        }
    }

    fn next_ms(&self) -> u64 {
        let all = [
            self.device.next_ms(),
            self.stick.usb.next_ms(),
            self.stick.engine.next_ms(),
            self.host.as_ref().and_then(Host::next_ms),
            self.trouble_ms,
        ];
        all.into_iter().flatten().min().unwrap_or(u64::MAX)
    }

    /// Everybody does what is due.
    fn act(&mut self) {
        let now_ms = self.now_ms();
        if self.trouble_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.make_trouble();
        }
        if let Some(host) = &mut self.host {
            host.step(now_ms);
        }
        self.device.run();
        if self.stick.disk.is_off() {
            self.figures.cuts += 1;
            self.lose_power();
        }
        if self.stick.disk.process().is_killed() {
            self.figures.kills_at += 1;
            self.restart();
        }
        self.look_at_publication();
        self.collect();
    }

    /// What has just been published answers what its prompt is now, and cost no file anything.
    /// Until it is complete, no host gets it; when one does, the volume is whole, unless the disk
    /// has refused to mend it.
    fn look_at_publication(&mut self) {
        let disk = &self.stick.disk;
        if disk.has_journal() && disk.is_lent() {
            let what = "a host can reach a medium whose journal is there";
            self.violations.push(what.into());
        }
        if disk.is_lent() && std::mem::take(&mut self.is_changed) && self.failures() == 0 {
            judge::whole(&disk.snapshot(), &mut self.violations);
        }
        if disk.has_journal() || !disk.take_written() {
            return;
        }
        self.is_changed = true;
        let image = self.stick.disk.snapshot();
        let belief = self.host.as_ref().map_or(&self.belief, Host::belief);
        let published = judge::judge_published(&image, belief, &self.published);
        self.published = published.responses;
        self.violations.extend(published.faults);
    }

    fn collect(&mut self) {
        let violations = &mut self.violations;
        violations.append(&mut self.device.violations);
        violations.append(&mut self.stick.disk.take_violations());
        if let Some(host) = &mut self.host {
            let of_host = host.take_violations();
            violations.extend(of_host.iter().map(|violation| format!("{violation:?}")));
            let shown = host
                .take_readings()
                .into_iter()
                .filter(|shown| shown.lun > 0);
            let (kind, belief) = (host.kind(), host.belief());
            // The one's writes may pause for longer than anybody can wait, the other does not say
            // that it is at work: they get another answer.
            let shown = shown.filter(|_| !matches!(kind, Kind::LinuxDefault | Kind::Camera));
            violations.extend(shown.filter_map(|shown| judge::judge_shown(&shown, belief)));
        }
    }

    fn plan_trouble(&mut self) {
        let wait_ms = [5_000, 30_000, 200_000][self.random.below(3)];
        self.trouble_ms = Some(self.now_ms() + self.random.below(wait_ms) as u64);
    }

    /// Trouble often comes alone.
    fn make_trouble(&mut self) {
        let together = TOGETHER[self.random.below(TOGETHER.len())];
        for _ in 0..together {
            let trouble = Trouble::draw(&mut self.random);
            self.log
                .note(self.now_ms(), || format!("trouble: {trouble:?}"));
            trouble.plan(&self.stick);
            match trouble {
                Trouble::Kill => {
                    self.figures.kills_between += 1;
                    self.restart();
                }
                Trouble::KillAndCut { then, .. } => self.cut_after_kill = Some(then),
                Trouble::Reload => self.device.reload(),
                _ => {}
            }
        }
        self.plan_trouble();
    }

    /// The daemon was killed; the next one comes soon.
    fn restart(&mut self) {
        if let Some(then) = self.cut_after_kill.take() {
            self.stick.disk.cut_after(then);
        }
        let (least_ms, most_ms) = RESTART_MS;
        let wait_ms = (least_ms + self.random.below(most_ms - least_ms)) as u64;
        self.log
            .note(self.now_ms(), || "the daemon was killed".into());
        self.device.kill(self.now_ms() + wait_ms);
    }

    fn lose_power(&mut self) {
        self.stick.lose_power(&mut self.random);
        let boot_ms = 1_000 + self.random.below(20_000) as u64;
        self.log.note(self.now_ms(), || "the power is gone".into());
        self.device.kill(self.now_ms() + boot_ms);
    }

    fn host(&mut self) -> &mut Host {
        self.host.as_mut().expect("a host")
    }

    fn end(mut self) -> Outcome {
        let Stick { disk, engine, .. } = &self.stick;
        let image = disk.snapshot();
        let faults = judge::judge(&image, &self.belief, engine);
        self.violations.extend(faults);
        if self.random.below(FSCK_OF) == 0 {
            self.violations.extend(judge::fsck(&image));
        }
        let files = disk.files().names().into_iter();
        let files = files.map(|name| (disk.files().bytes(&name).unwrap_or_default(), name));
        Outcome {
            violations: self.violations,
            figures: Figures {
                histories: 1,
                virtual_ms: self.stick.now_ms(),
                sessions: self.device.sessions,
                asked: engine.asked(),
                disk_faults: disk.faults() as u64,
                refusals: disk.process().refused(),
                files: self.belief.written(),
                ..self.figures
            },
            left: Left {
                files: files.map(|(bytes, name)| (name, bytes)).collect(),
                image,
            },
        }
    }
}
