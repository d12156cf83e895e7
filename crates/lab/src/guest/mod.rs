//! One guest: boots it in QEMU with a scenario, listens until it tells how that ended, and reads
//! what it exported. Used by `tests/lab` and `cargo xtask try --usb`.

mod card;
mod console;
mod machine;
mod pair;
mod places;
mod powered;
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
use console::Follower;
use machine::Machine;
use places::Folder;
use qemu::Wanted;

pub use machine::Event;
pub use pair::Pair;
pub use powered::{Powered, Socket};
pub use qemu::Network;
pub use report::Report;

/// How long a scenario may take by the clock on the wall. An idle machine needs 10 to 60 s for
/// most; one that is shared needs several times as long.
pub const USUAL_LIMIT: Duration = Duration::from_secs(600);

/// The same for a guest with a Debian, which has a minute's work to do before it mounts anything.
pub const DEBIAN_LIMIT: Duration = Duration::from_secs(1800);

/// Words for a kernel whose console somebody watches. It tells all that it does not take for
/// details (the last such word counts), and leaves out a driver of the Pi's that divides by the
/// speed of a clock which QEMU does not have, and prints where it was, six times.
const TELLING: [(&str, &str); 2] = [
    ("loglevel", "6"),
    ("initcall_blacklist", "bcm2835_i2c_driver_init"),
];

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
    /// The same for lines of the kernel's console, which then tell the course of a boot, too; else
    /// only what is grave is told.
    pub console: Option<fn(Duration, &str)>,
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
            console: None,
        }
    }

    /// Runs it to its end. That the scenario failed is no error here: the report says so.
    ///
    /// # Errors
    /// The guest could not be built or started.
    pub fn run(&self, programs: &Programs) -> Result<Report> {
        // Others may run while this one fetches and builds.
        self.fetch(programs)?;
        let _turn = places::wait_for_turn(1);
        self.run_in_turn(programs, &mut |_| {})
    }

    /// As [`Boot::run`], in a turn that somebody has waited for; `tell` is called with each line of
    /// the protocol as it comes.
    fn run_in_turn(&self, programs: &Programs, tell: &mut dyn FnMut(&Line)) -> Result<Report> {
        let folder = Folder::new(&self.name())?;
        card::write(&folder.export(), self.board, &programs.model)?;
        let kernel = self.write_initrd(programs, &folder.initrd())?;
        let start = Instant::now();
        let wanted = Wanted {
            board: self.board,
            kernel: &kernel,
            command_line: &self.command_line(),
            model_bytes: fs::metadata(&programs.model).at(&programs.model)?.len(),
            network: self.network,
            disk: None,
        };
        let machine = Machine::start(&wanted, &folder)?;
        let follower = self.follower(&folder, start);
        let mut report = self.listen(&machine, start, tell);
        drop(machine);
        drop(follower);
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
        self.prepare(&Cache::open()?, programs).map(drop)
    }

    /// Writes what the guest boots from, and gives its kernel. The cache stays locked until the
    /// archives have been copied: a neighbour that builds newer ones removes these.
    fn write_initrd(&self, programs: &Programs, to: &Path) -> Result<Kernel> {
        let extra = initramfs::scenario(self.files).at(to)?;
        let cache = Cache::open()?;
        let (kernel, archives) = self.prepare(&cache, programs)?;
        initramfs::join(&archives, &extra, to)?;
        Ok(kernel)
    }

    fn prepare(&self, cache: &Cache, programs: &Programs) -> Result<Prepared> {
        initramfs::ensure_tools(self.board)?;
        let kernel = Kernel::get(cache, self.board, self.series)?;
        let mut archives = vec![initramfs::base(cache, self.board, &kernel, programs)?];
        if let Some(system) = debian_of(self.scenario) {
            archives.push(debian::archive(cache, system)?);
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
        let telling = TELLING.map(|(name, value)| (name, value.to_owned()));
        let telling = telling.iter().filter(|_| self.console.is_some());
        let words = own.iter().chain(&port).chain(telling);
        let words = words.chain(self.parameters);
        words.fold(self.board.kernel_words(), |line, (name, value)| {
            format!("{line} {name}={value}")
        })
    }

    /// Whoever shows a console that has a file of its own.
    fn follower(&self, folder: &Folder, start: Instant) -> Option<Follower> {
        let show = self.console.filter(|_| self.board == Board::Pc)?;
        Some(Follower::start(&folder.console(), start, show))
    }

    fn listen(&self, machine: &Machine, start: Instant, tell: &mut dyn FnMut(&Line)) -> Report {
        let mut report = Report::new(self.scenario, self.series, machine.folder());
        loop {
            let left = self.limit.saturating_sub(start.elapsed());
            match machine.next(left) {
                Event::Text(text) => {
                    let line = Line::parse(&text);
                    // On the Pi the console has the same line.
                    let of_kernel = self.console.filter(|_| line.is_none());
                    of_kernel.unwrap_or(self.show)(start.elapsed(), &text);
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
