//! `cargo xtask try --pi PROMPT`: the same job on the board that it is for. QEMU emulates a Pi
//! Zero, which boots Debian's kernel for it and runs the daemon as it is shipped; a PC, also
//! emulated, is its host, and USB/IP is the cable between the two. What both say is shown as it
//! comes, and the consoles of both kernels.

use std::time::Duration;

use anyhow::{Context, bail};
use lab::guest::{self, Pair, Report};
use lab::{Board, Series};
use labhost::protocol::Line;
use labhost::scenario::TRY_PROMPT;

use super::usb::{LIMIT, keep, told, without_time};
use super::{Bench, build, in_a_folder};
use crate::args::TryOptions;
use crate::pi;
use crate::progress::{Heartbeat, Steps};
use crate::setup::{self, Needed};

/// How many headings [`run`] prints.
const STEPS: usize = 7;

/// The newest that Debian has.
const SERIES: Series = Series::V6_12;

/// Does it.
///
/// # Errors
/// The first thing that went wrong; where the guests were running, what they said has been printed.
pub fn run(options: &TryOptions) -> anyhow::Result<()> {
    let mut steps = Steps::new(STEPS);
    steps.begin("tools");
    setup::ensure(&[Needed::Build, Needed::Volume, Needed::Lab, Needed::Pi])?;
    in_a_folder(options, |bench| {
        steps.begin("building promptstick for the board");
        pi::build_for_lab()?;
        steps.begin("building the host's side");
        build("promptstick")?;
        build("labhost")?;
        once_around(bench, &options.prompt, &mut steps)
    })
}

fn once_around(bench: &Bench, prompt: &str, steps: &mut Steps) -> anyhow::Result<()> {
    let of_board = guest::programs_for_pi(&bench.model)?;
    let of_host = guest::programs(&bench.program, &bench.model)?;
    let files = [(TRY_PROMPT.to_owned(), format!("{prompt}\n").into_bytes())];
    let mut pair = Pair::new(SERIES, SERIES);
    pair.host.files = &files;
    pair.host.limit = Board::PiZero.patient(LIMIT);
    pair.board.limit = pair.host.limit;
    pair.board.show = show_board;
    pair.host.show = show_host;
    pair.board.console = Some(show_board_console);
    pair.host.console = Some(show_host_console);
    steps.begin("getting kernels from Debian, and making what the two machines boot from");
    let alive = Heartbeat::start("at work");
    pair.fetch(&of_board, &of_host)?;
    drop(alive);
    steps.begin("starting a Pi Zero, then a PC that it is plugged into (times since each's start)");
    let (stick, host) = pair.run(&of_board, &of_host)?;
    keep(bench, &stick)?;
    let host = passed(&stick, host)?;
    told(bench, &host, &stick, steps)?;
    eprintln!("      (the speed is that of the emulation on this machine, not a board's)");
    Ok(())
}

/// The host's report, where both machines came to a good end.
fn passed(stick: &Report, host: Option<Report>) -> anyhow::Result<Report> {
    let host_verdict = host.as_ref().map_or(Ok(()), Report::verdict);
    let verdict = host_verdict.and_then(|()| stick.verdict());
    if let Err(why) = verdict {
        eprintln!("---- what the Pi left behind\n{stick}----");
        if let Some(host) = &host {
            eprintln!("---- what its host left behind\n{host}----");
        }
        bail!("{why}");
    }
    host.context("the Pi took no host")
}

fn show_board(time: Duration, line: &str) {
    let text = match Line::parse(line) {
        Some(Line::Step(text)) => text,
        Some(Line::Log(text)) => without_time(&text).to_owned(),
        _ => return,
    };
    shown("Pi  ", time, &text);
}

fn show_host(time: Duration, line: &str) {
    if let Some(Line::Step(text)) = Line::parse(line) {
        shown("host", time, &text);
    }
}

fn show_board_console(time: Duration, line: &str) {
    shown("Pi  ", time, line);
}

fn show_host_console(time: Duration, line: &str) {
    shown("host", time, line);
}

fn shown(side: &str, time: Duration, text: &str) {
    if !text.is_empty() {
        eprintln!("{:7.1} s  {side} | {text}", time.as_secs_f64());
    }
}
