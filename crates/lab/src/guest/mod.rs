//! One guest: boots it in QEMU with a scenario, listens until it tells how that ended, and reads
//! what it exported. Used by `tests/lab` and `cargo xtask try --usb`.

mod card;
mod machine;
mod pair;
mod places;
mod qemu;
mod report;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use labhost::cpio;
use labhost::protocol::Line;
use labhost::scenario::two_machines::PORT_PARAMETER;

use crate::cache::Cache;
use crate::error::At;
use crate::kernel::{Kernel, Series};
use crate::programs::{self, Programs};
use crate::{Board, Result, debian, initramfs};
use machine::{Event, Machine};
use places::Folder;
use qemu::Wanted;

pub use pair::Pair;
pub use qemu::Network;
pub use report::Report;

/// How long a scenario may take by the clock on the wall. An idle machine needs 10 to 60 s for
/// most; one that is shared needs several times as long.
pub const USUAL_LIMIT: Duration = Duration::from_secs(600);

/// The same for a guest with a Debian, which has a minute's work to do before it mounts anything.
pub const DEBIAN_LIMIT: Duration = Duration::from_secs(1800);

/// What is to be run.
#[derive(Debug)]
pub struct Boot<'a> {
    /// The scenario, as `labhost::scenario` knows it.
    pub scenario: &'a str,
    /// Words for the kernel's command line, as `("lab.seed", "7")`.
    pub parameters: &'a [(&'a str, String)],
    /// Files for this scenario alone: a path in the guest and the content.
    pub files: &'a [(String, Vec<u8>)],
    /// The machine.
    pub board: Board,
    /// The guest's kernel.
    pub series: Series,
    /// Its network.
    pub network: Network,
    /// When to give up.
    pub limit: Duration,
    /// Called with each line as it comes, and the time since QEMU's start.
    pub show: fn(Duration, &str),
}

/// What a guest boots from: its kernel, and the archives that are joined for it.
type Prepared = (Kernel, Vec<PathBuf>);

impl<'a> Boot<'a> {
    /// A scenario on a PC with a kernel, and nothing unusual.
    pub fn new(scenario: &'a str, series: Series) -> Self {
        Self::on(Board::Pc, scenario, series)
    }

    /// The same on any machine.
    pub fn on(board: Board, scenario: &'a str, series: Series) -> Self {
        let limit = match debian_of(scenario) {
            Some(_) => DEBIAN_LIMIT,
            None => USUAL_LIMIT,
        };
        Self {
            scenario,
            parameters: &[],
            files: &[],
            board,
            series,
            network: Network::None,
            limit: board.patient(limit),
            show: |time, line| println!("{:7.1} s  {line}", time.as_secs_f64()),
        }
    }

    /// Runs it to its end. That the scenario failed is no error here: the report says so.
    ///
    /// # Errors
    /// The guest could not be built or started.
    pub fn run(&self, programs: &Programs) -> Result<Report> {
        let prepared = self.prepare(programs)?;
        let _turn = places::wait_for_turn(1);
        self.run_prepared(&prepared, programs, &mut |_| {})
    }

    /// As [`Boot::run`], in a turn that somebody has waited for; `tell` is called with each line of
    /// the protocol as it comes.
    fn run_prepared(
        &self,
        (kernel, archives): &Prepared,
        programs: &Programs,
        tell: &mut dyn FnMut(&Line),
    ) -> Result<Report> {
        let folder = Folder::new(&self.name())?;
        card::write(&folder.export(), self.board, &programs.model)?;
        let extra = initramfs::scenario(self.files).at(&folder.initrd())?;
        initramfs::join(archives, &extra, &folder.initrd())?;
        let start = Instant::now();
        let wanted = Wanted {
            board: self.board,
            kernel,
            command_line: &self.command_line(),
            model_bytes: fs::metadata(&programs.model).at(&programs.model)?.len(),
            network: self.network,
        };
        let machine = Machine::start(&wanted, &folder)?;
        let mut report = self.listen(&machine, start, tell);
        drop(machine);
        report.wall = start.elapsed();
        if report.lines.contains(&Line::Exported) {
            let start = card::export_start_bytes(self.board);
            report.files = read_export(&folder.export(), start)?;
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
        self.prepare(programs).map(drop)
    }

    fn prepare(&self, programs: &Programs) -> Result<Prepared> {
        initramfs::ensure_tools(self.board)?;
        let cache = Cache::open()?;
        let kernel = Kernel::get(&cache, self.board, self.series)?;
        let mut archives = vec![initramfs::base(&cache, self.board, &kernel, programs)?];
        if let Some(system) = debian_of(self.scenario) {
            archives.push(debian::archive(&cache, system)?);
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
        let machine = self.board.architecture();
        let series = self.series.name();
        match self.board {
            Board::Pc => format!("{}-{series}{parameters}", self.scenario),
            Board::PiZero => format!("{}-{machine}-{series}{parameters}", self.scenario),
        }
    }

    fn command_line(&self) -> String {
        let own = [(labhost::scenario::NAME_PARAMETER, self.scenario.to_owned())];
        let port = match self.network {
            Network::Client(port) => Some((PORT_PARAMETER, port.to_string())),
            _ => None,
        };
        let words = own.iter().chain(&port).chain(self.parameters);
        words.fold(self.board.kernel_words(), |line, (name, value)| {
            format!("{line} {name}={value}")
        })
    }

    fn listen(&self, machine: &Machine, start: Instant, tell: &mut dyn FnMut(&Line)) -> Report {
        let mut report = Report::new(self.scenario, self.series, machine.folder());
        loop {
            let left = self.limit.saturating_sub(start.elapsed());
            match machine.next(left) {
                Event::Text(text) => {
                    (self.show)(start.elapsed(), &text);
                    let line = Line::parse(&text);
                    line.iter().for_each(&mut *tell);
                    report.lines.extend(line);
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

/// The Debian of a scenario. One that the guest does not know is for the guest to refuse.
fn debian_of(scenario: &str) -> Option<labhost::debian::System> {
    labhost::scenario::find(scenario).ok()?.debian
}

fn read_export(path: &Path, start_bytes: u64) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut disk = File::open(path).at(path)?;
    disk.seek(SeekFrom::Start(start_bytes)).at(path)?;
    let mut input = BufReader::new(disk);
    cpio::read(&mut input, &mut |name, content| {
        let mut bytes = Vec::new();
        io::copy(content, &mut bytes)?;
        files.insert(name.to_owned(), bytes);
        Ok(())
    })
    .at(path)?;
    Ok(files)
}

/// The programs for the board, as `cargo xtask build-pi` leaves them, and a model.
///
/// # Errors
/// They were not built.
pub fn programs_for_pi(model: &Path) -> Result<Programs> {
    Ok(Programs {
        labhost: programs::built_for_pi("labhost")?,
        promptstick: programs::built_for_pi("promptstick")?,
        model: fs::canonicalize(model).at(model)?,
    })
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
