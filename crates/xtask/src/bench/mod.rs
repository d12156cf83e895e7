//! `cargo xtask bench`: what a token costs on the board, with llama.cpp's own kernels and with
//! ours, counted and modelled under `qemu-arm` by the plugin `crates/armcost`. docs/PERFORMANCE.md says
//! what the figures mean; a whole run writes the table and the plot there.
//!
//! [`options`] and [`plan`] say what is measured, [`machine`] builds and runs it, [`figures`] is
//! what came out, [`table`] and [`plot`] show it, [`baseline`] compares it with the last time.

mod baseline;
mod figures;
mod machine;
mod options;
mod plan;
mod plot;
mod table;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::Context;

use crate::cargo;
use figures::Measurement;
use machine::Machine;
use plan::Run;

pub use options::Bench;

/// The page that a whole run writes its table to.
const PAGE: &str = "docs/PERFORMANCE.md";
/// And its plot.
const PLOT: &str = "docs/performance.svg";

impl Bench {
    /// Builds, measures and reports.
    ///
    /// # Errors
    /// Something could not be built or run, or with `--check`, a token costs more than it did.
    pub fn run(&self) -> anyhow::Result<()> {
        let machine = Machine::prepare(self.program.as_deref())?;
        let runs = plan::runs(self, machine.backends());
        machine.make_models(&runs)?;
        let measurements = measure(&machine, &runs)?;
        print!("{}", table::text(&measurements));
        if let Some(file) = &self.json {
            let text = serde_json::to_string_pretty(&measurements)?;
            write(file, &text)?;
        }
        let top = cargo::repository()?;
        if self.is_whole() {
            let page = top.join(PAGE);
            let text = fs::read_to_string(&page)
                .with_context(|| format!("cannot read {}", page.display()))?;
            write(&page, &table::into_page(&text, &measurements)?)?;
            write(&top.join(PLOT), &plot::svg(&measurements))?;
            eprintln!("Written: {PAGE} and {PLOT}");
        }
        let baseline = top.join(baseline::FILE);
        if self.update {
            write(&baseline, &baseline::text(&measurements)?)?;
            eprintln!("Written: {}", baseline::FILE);
        }
        if self.check {
            baseline::check(&baseline, &measurements)?;
        }
        Ok(())
    }
}

/// Does all runs, as many at a time as there are processors: an emulated program uses one, and
/// counts do not depend on time.
fn measure(machine: &Machine, runs: &[Run]) -> anyhow::Result<Vec<Measurement>> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(runs.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let work = || -> anyhow::Result<()> {
        loop {
            let Some((place, run)) = lock(&next).next() else {
                return Ok(());
            };
            let measured = machine.measure(run)?;
            let mut done = lock(&done);
            done.push((place, measured));
            eprintln!("{:>4} of {}: {run}", done.len(), runs.len());
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(anyhow::anyhow!("a thread panicked")))
        })
    })?;
    let mut done = done.into_inner().unwrap_or_else(|error| error.into_inner());
    done.sort_by_key(|(place, _)| *place);
    Ok(done
        .into_iter()
        .flat_map(|(_, measured)| measured)
        .collect())
}

/// What a panicked thread left is whole: nothing is changed in more than one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|error| error.into_inner())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
