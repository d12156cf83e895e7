//! The real topology: the stick is one machine, its host another, and the cable between them is
//! USB/IP over a network. The harness boots the board first, and the host when the board says
//! [`READY`]. Also what `cargo xtask try --pi` shows.

use super::Lab;
use super::steps::{log, serve_watched_with};
use super::try_usb::{PROMPT, ask_and_read, keep_response, wanted_prompt};
use crate::usbip::remote::{Plug, Socket};
use crate::{Failure, Result, desktop, report, usbip};

/// What the board says when a host may come.
pub const READY: &str = "ready for a host";

/// The parameter with the port at which the host finds the board.
pub const PORT_PARAMETER: &str = "lab.port";

/// The board: the daemon, with its drive in a network.
pub fn board(_: &Lab) -> Result<()> {
    let socket = Socket::open()?;
    let mut daemon = serve_watched_with(&format!("udc = {:?}", usbip::UDC))?;
    daemon.wait_logged(log::READY, super::steps::ANSWER_LIMIT)?;
    report::step(READY);
    socket.accept()?;
    socket.wait_closed()?;
    daemon.stop()
}

/// The host, which does what a desktop does.
pub fn host(lab: &Lab) -> Result<()> {
    let port = lab
        .parameter(PORT_PARAMETER)
        .and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| Failure::Wrong(format!("there is no {PORT_PARAMETER}")))?;
    desktop::start()?;
    let plug = Plug::insert(port)?;
    let response = ask_and_read(&wanted_prompt()?)?;
    keep_response(&response)?;
    report::asked(PROMPT);
    plug.pull()
}
