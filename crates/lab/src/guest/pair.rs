//! Two guests at a time: the board, whose gadget is at the end of a network, and a PC that is its
//! host. Used by `tests/lab` and `cargo xtask try --pi`.

use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use labhost::protocol::Line;
use labhost::scenario::two_machines::READY;

use super::places;
use super::{Boot, Network, Report};
use crate::error::At;
use crate::programs::Programs;
use crate::{Board, LabError, Result, Series};

/// The scenarios of the two.
const BOARD: &str = "two_machines_board";
const HOST: &str = "two_machines_host";

/// A board and a host, which may be told apart before they run.
#[derive(Debug)]
pub struct Pair<'a> {
    /// The stick.
    pub board: Boot<'a>,
    /// What it is plugged into.
    pub host: Boot<'a>,
}

impl Pair<'_> {
    /// A Pi Zero and a PC, each with a kernel.
    pub fn new(board: Series, host: Series) -> Self {
        let mut host = Boot::new(HOST, host);
        // An answer takes as long as the board needs.
        host.limit = Board::PiZero.patient(host.limit);
        Self {
            board: Boot::on(Board::PiZero, BOARD, board),
            host,
        }
    }

    /// Fetches and builds what both boot from.
    ///
    /// # Errors
    /// As [`Boot::fetch`].
    pub fn fetch(&self, of_board: &Programs, of_host: &Programs) -> Result<()> {
        self.board.fetch(of_board)?;
        self.host.fetch(of_host)
    }

    /// Boots the board, and the host as soon as the board is ready for one; runs both to their end.
    /// The reports are the board's and the host's. That of a host which was not started, because
    /// the board had failed, is not there.
    ///
    /// # Errors
    /// One could not be built or started.
    pub fn run(
        mut self,
        of_board: &Programs,
        of_host: &Programs,
    ) -> Result<(Report, Option<Report>)> {
        self.fetch(of_board, of_host)?;
        let port = free_port()?;
        self.board.network = Network::Server(port);
        self.host.network = Network::Client(port);
        // Both or none: two pairs that each had one would wait for ever.
        let _turn = places::wait_for_turn(2);
        let (ready, is_ready) = mpsc::channel();
        let Self { board, host } = self;
        thread::scope(|scope| {
            let stick = scope.spawn(move || {
                board.run_in_turn(of_board, &mut |line| {
                    if *line == Line::Step(READY.to_owned()) {
                        // A host that gave up listens no more.
                        let _ = ready.send(());
                    }
                })
            });
            let of_host = match is_ready.recv() {
                Ok(()) => Some(host.run_in_turn(of_host, &mut |_| {})),
                Err(_) => None,
            };
            let of_board = stick.join().unwrap_or_else(|_| {
                Err(LabError::Unexpected("listening to the board failed".into()))
            });
            Ok((of_board?, of_host.transpose()?))
        })
    }
}

/// A port of this machine that nobody listens on.
fn free_port() -> Result<u16> {
    let what = Path::new("a port of 127.0.0.1");
    let listener = TcpListener::bind(("127.0.0.1", 0)).at(what)?;
    Ok(listener.local_addr().at(what)?.port())
}
