//! What the daemon finds when it starts: gadgets that others left under its name, and kernels that
//! lack something; and what it leaves when it ends.

use std::fs;
use std::path::Path;

use fatfs::FatType;

use super::Lab;
use super::steps::{
    self, ANSWER_LIMIT, GADGET_NAME, QUESTION, ask, ensure_answered_once, inserted, log,
    response_name,
};
use crate::daemon::Daemon;
use crate::error::{Doing, ensure};
use crate::gadget::{GADGETS, PlainGadget};
use crate::init;
use crate::lun::Lun;
use crate::modules::{self, Modules};
use crate::mount::How;
use crate::{Failure, Result, desktop, report, stick, sysfs};

/// Gadgets under the daemon's name that are not its own: of another shape, half made, of another
/// image. Each is removed, and the drive works; after SIGTERM nothing is left.
pub fn stale(_: &Lab) -> Result<()> {
    desktop::start()?;
    let shaped = PlainGadget::named(GADGET_NAME)?;
    let other = stick::file("other.img");
    stick::format(&other, 16, FatType::Fat16, "OTHER", &[])?;
    shaped.insert(0, &other)?;
    shaped.bind()?;
    Lun::wait(0)?;
    replaced_by_a_drive("first.txt", "a gadget of another shape")?;

    let half = Path::new(GADGETS).join(GADGET_NAME);
    fs::create_dir(&half).doing("making half a gadget")?;
    replaced_by_a_drive("second.txt", "half a gadget")?;

    let mut daemon = steps::serve_image(&other)?;
    daemon.wait_logged(log::READY, ANSWER_LIMIT)?;
    daemon.kill()?;
    ensure(inserted(0)?.ends_with("other.img"), || {
        "the daemon that was killed took its gadget along".into()
    })?;
    replaced_by_a_drive("third.txt", "a gadget of another image")
}

/// Starts the daemon, which finds `what`; the drive that it makes answers `prompt`.
fn replaced_by_a_drive(prompt: &str, what: &str) -> Result<()> {
    report::step(format!("the daemon finds {what}"));
    let mut daemon = steps::serve()?;
    daemon.wait_logged(log::MADE, ANSWER_LIMIT)?;
    ensure(daemon.times_logged(log::ADOPTED) == 0, || {
        format!("{what} was taken over")
    })?;
    answered(&mut daemon, prompt)?;
    daemon.stop()?;
    let left = sysfs::names(GADGETS);
    ensure(left.is_empty(), || format!("the daemon leaves {left:?}"))
}

/// The host copies `prompt`, unmounts, and finds the response.
fn answered(daemon: &mut Daemon, prompt: &str) -> Result<()> {
    let mount = steps::mounted(How::Flush)?;
    ask(&mount, prompt, QUESTION)?;
    mount.unmount()?;
    daemon.wait_logged(log::ANSWERED, ANSWER_LIMIT)?;
    steps::remounted_with(&response_name(prompt))?;
    ensure_answered_once(prompt)
}

/// What is loaded or mounted one after the other, and what the daemon says before.
const LACKS: [(Need, &[&str]); 5] = [
    (
        Need::Module("configfs"),
        &["no configfs", "modprobe configfs"],
    ),
    (Need::Configfs, &["not mounted", "mount -t configfs none"]),
    (Need::Module("libcomposite"), &["modprobe libcomposite"]),
    (
        Need::Module("dummy_hcd"),
        &[
            "no USB device controller",
            "dtoverlay=dwc2",
            "modprobe dummy_hcd",
        ],
    ),
    (
        Need::Module("usb_f_mass_storage"),
        &["no mass-storage function", "modprobe usb_f_mass_storage"],
    ),
];

/// Something that a gadget needs.
#[derive(Debug)]
enum Need {
    Module(&'static str),
    Configfs,
}

/// A kernel that lacks one thing after the other: the daemon ends, and says what to do. Then one
/// whose controller is taken, and a controller that does not exist.
pub fn lacking(_: &Lab) -> Result<()> {
    let mut modules = Modules::from_list()?;
    for (need, words) in &LACKS {
        report::step(format!("without {need:?}"));
        refuses(&[], words)?;
        match need {
            Need::Module(name) => modules.load(name)?,
            Need::Configfs => init::mount_configfs()?,
        }
    }
    refuses(
        &["--udc", "20980000.usb"],
        &["no USB device controller 20980000.usb", "dummy_udc.0"],
    )?;
    let plain = PlainGadget::new()?;
    plain.bind()?;
    refuses(&[], &["in use by the gadget plain"])?;
    plain.unbind()?;
    modules.load_all(&modules::HOST)?;
    modules.load(modules::DISK)?;
    let mut daemon = steps::serve()?;
    answered(&mut daemon, "prompt.txt")?;
    let second = stick::file("second.img");
    refuses(
        &["--image", &second.to_string_lossy()],
        &["another promptstick", "stop it first"],
    )?;
    daemon.stop()?;
    ensure(sysfs::names(GADGETS) == ["plain"], || {
        "the daemon removed another's gadget, or left its own".into()
    })
}

/// Fails unless the daemon, with these flags, ends and its message holds these words.
fn refuses(flags: &[&str], words: &[&str]) -> Result<()> {
    steps::configure("")?;
    let Err(Failure::Wrong(said)) = Daemon::run(&steps::arguments(flags)) else {
        return Err(Failure::Wrong(
            "the daemon ended as if all were well".into(),
        ));
    };
    report::step(&said);
    let missing: Vec<_> = words.iter().filter(|word| !said.contains(*word)).collect();
    ensure(missing.is_empty(), || {
        format!("it does not say {missing:?}")
    })
}
