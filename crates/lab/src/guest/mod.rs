//! One guest: boots it in QEMU with a scenario, listens until it tells how that ended, and reads
//! what it exported. Used by `tests/lab` and `cargo xtask try --usb`.

mod places;
mod qemu;
mod report;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use labhost::cpio;
use labhost::protocol::Line;

use crate::cache::Cache;
use crate::error::At;
use crate::kernel::{Kernel, Series};
use crate::programs::{self, Programs};
use crate::{Result, desktop, initramfs};
use places::Folder;
use qemu::{Event, Machine};

pub use qemu::QEMU;
pub use report::Report;

/// How long a scenario may take by the clock on the wall. An idle machine needs 10 to 60 s for
/// most; one that is shared needs several times as long.
pub const USUAL_LIMIT: Duration = Duration::from_secs(600);

/// The same for a guest with a desktop, which has a minute's work to do before it mounts anything.
pub const DESKTOP_LIMIT: Duration = Duration::from_secs(1800);

/// For every guest. An emulated timer that is short of time fails the kernel's test of it at boot,
/// which then stops ("IO-APIC + timer doesn't work!").
const KERNEL_WORDS: &str = "console=ttyS0 quiet panic=-1 no_timer_check";

/// What is to be run.
#[derive(Debug)]
pub struct Boot<'a> {
    /// The scenario, as `labhost::scenario` knows it.
    pub scenario: &'a str,
    /// Words for the kernel's command line, as `("lab.seed", "7")`.
    pub parameters: &'a [(&'a str, String)],
    /// Files for this scenario alone: a path in the guest and the content.
    pub files: &'a [(String, Vec<u8>)],
    /// The guest's kernel.
    pub series: Series,
    /// When to give up.
    pub limit: Duration,
    /// Called with each line as it comes, and the time since QEMU's start.
    pub show: fn(Duration, &str),
}

impl<'a> Boot<'a> {
    /// A scenario on a kernel, and nothing unusual.
    pub fn new(scenario: &'a str, series: Series) -> Self {
        let limit = match is_desktop(scenario) {
            true => DESKTOP_LIMIT,
            false => USUAL_LIMIT,
        };
        Self {
            scenario,
            parameters: &[],
            files: &[],
            series,
            limit,
            show: |time, line| println!("{:7.1} s  {line}", time.as_secs_f64()),
        }
    }

    /// Runs it to its end. That the scenario failed is no error here: the report says so.
    ///
    /// # Errors
    /// The guest could not be built or started.
    pub fn run(&self, programs: &Programs) -> Result<Report> {
        initramfs::ensure_tools()?;
        let (kernel, archives) = self.prepare(programs)?;
        let folder = Folder::new(&self.name())?;
        let extra = initramfs::scenario(self.files).at(&folder.initrd())?;
        initramfs::join(&archives, &extra, &folder.initrd())?;
        let _turn = places::wait_for_turn();
        let start = Instant::now();
        let memory_mb = qemu::memory_mb(fs::metadata(&programs.model).at(&programs.model)?.len());
        let machine = Machine::start(&kernel.image, &self.command_line(), memory_mb, &folder)?;
        let mut report = self.listen(&machine, start);
        drop(machine);
        report.wall = start.elapsed();
        if report.lines.contains(&Line::Exported) {
            report.files = read_export(&folder.export())?;
        }
        folder.tidy_up()?;
        Ok(report)
    }

    /// Gets the kernel and builds the archive that all scenarios share, so that [`Boot::run`] finds
    /// them in the cache: for whoever wants to say what takes so long.
    ///
    /// # Errors
    /// A tool is missing, or something could not be fetched or built.
    pub fn fetch(&self, programs: &Programs) -> Result<()> {
        initramfs::ensure_tools()?;
        self.prepare(programs).map(drop)
    }

    fn prepare(&self, programs: &Programs) -> Result<(Kernel, Vec<PathBuf>)> {
        let cache = Cache::open()?;
        let kernel = Kernel::get(&cache, self.series)?;
        let mut archives = vec![initramfs::base(&cache, &kernel, programs)?];
        if is_desktop(self.scenario) {
            archives.push(desktop::archive(&cache)?);
        }
        Ok((kernel, archives))
    }

    /// The folder of this run, in cargo's output folder; a run like it replaces it.
    fn name(&self) -> String {
        let parameters: String = self
            .parameters
            .iter()
            .map(|(_, value)| format!("-{value}"))
            .collect();
        format!("{}-{}{parameters}", self.scenario, self.series.name())
    }

    fn command_line(&self) -> String {
        let own = [(labhost::scenario::NAME_PARAMETER, self.scenario.to_owned())];
        let words = own.iter().chain(self.parameters);
        words.fold(KERNEL_WORDS.to_owned(), |line, (name, value)| {
            format!("{line} {name}={value}")
        })
    }

    fn listen(&self, machine: &Machine, start: Instant) -> Report {
        let mut report = Report::new(self.scenario, self.series, machine.folder());
        loop {
            let left = self.limit.saturating_sub(start.elapsed());
            match machine.next(left) {
                Event::Text(text) => {
                    (self.show)(start.elapsed(), &text);
                    report.lines.extend(Line::parse(&text));
                }
                Event::Ended => return report,
                Event::Late => {
                    report.late = true;
                    return report;
                }
            }
        }
    }
}

/// A scenario that the guest does not know is for the guest to refuse.
fn is_desktop(scenario: &str) -> bool {
    labhost::scenario::find(scenario).is_ok_and(|scenario| scenario.host_is_desktop)
}

fn read_export(path: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut input = BufReader::new(File::open(path).at(path)?);
    cpio::read(&mut input, &mut |name, content| {
        let mut bytes = Vec::new();
        io::copy(content, &mut bytes)?;
        files.insert(name.to_owned(), bytes);
        Ok(())
    })
    .at(path)?;
    Ok(files)
}

/// The programs that belong to a test run: the agent is built, the others are given.
///
/// # Errors
/// The agent does not compile.
pub fn programs(promptstick: &Path, model: &Path) -> Result<Programs> {
    Ok(Programs {
        labhost: programs::build_labhost()?,
        promptstick: fs::canonicalize(promptstick).at(promptstick)?,
        model: fs::canonicalize(model).at(model)?,
    })
}
