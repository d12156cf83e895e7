//! What the daemon finds when it starts: gadgets that others left under its name, and kernels that
//! lack something; and what it leaves when it ends.

use std::fs;
use std::path::Path;

use fatfs::FatType;

use super::Lab;
use super::served::{self, ADOPTED, ANSWERED, GADGETS, QUESTIONS, response_name};
use crate::daemon::Daemon;
use crate::error::{Doing, ensure};
use crate::gadget::PlainGadget;
use crate::init;
use crate::lun::Lun;
use crate::modules::{self, Modules};
use crate::mount::How;
use crate::{Failure, Result, desktop, report, stick, sysfs};

/// What the log says when a gadget is made.
const MADE: &str = "made the drive";

/// The name of the daemon's gadget in configfs.
const NAME: &str = "promptstick";

/// Gadgets under the daemon's name that are not its own: of another shape, half made, of another
/// image. Each is removed, and the drive works; after SIGTERM nothing is left.
pub fn stale(_: &Lab) -> Result<()> {
    desktop::start()?;
    let shaped = PlainGadget::named(NAME)?;
    let other = served::image("other.img");
    stick::format(&other, 16, FatType::Fat16, "OTHER", &[])?;
    shaped.insert(0, &other)?;
    shaped.bind()?;
    Lun::wait(0)?;
    replaced_by_a_drive("first", "a gadget of another shape")?;

    let half = Path::new(GADGETS).join(NAME);
    fs::create_dir(&half).doing("making half a gadget")?;
    replaced_by_a_drive("second", "half a gadget")?;

    let daemon = served::serve_image(&other)?;
    served::wait_logged(&daemon, "ready for prompts", 1)?;
    daemon.kill()?;
    ensure(served::medium(0)?.ends_with("other.img"), || {
        "the daemon that was killed took its gadget along".into()
    })?;
    replaced_by_a_drive("third", "a gadget of another image")
}

/// Starts the daemon, which finds `what`; the drive that it makes answers the prompt STEM.txt.
fn replaced_by_a_drive(stem: &str, what: &str) -> Result<()> {
    report::step(format!("the daemon finds {what}"));
    let daemon = served::serve()?;
    served::wait_logged(&daemon, MADE, 1)?;
    ensure(served::logged(&daemon, ADOPTED) == 0, || {
        format!("{what} was taken over")
    })?;
    answered(&daemon, stem)?;
    daemon.stop()?;
    let left = sysfs::names(GADGETS);
    ensure(left.is_empty(), || format!("the daemon leaves {left:?}"))
}

/// The host copies STEM.txt, unmounts, and finds the response.
fn answered(daemon: &Daemon, stem: &str) -> Result<()> {
    let mount = served::mounted(How::Flush)?;
    let prompt = format!("{stem}.txt");
    mount.put(&prompt, QUESTIONS[0])?;
    mount.unmount()?;
    report::flushed(&prompt, QUESTIONS[0]);
    served::wait_logged(daemon, ANSWERED, 1)?;
    served::remounted_with(&response_name(stem))?;
    served::ensure_answered_once(stem)
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
    let daemon = served::serve()?;
    answered(&daemon, "prompt")?;
    let second = served::arguments(&served::image("second.img"));
    says(
        &served::as_words(&second),
        &["another promptstick", "stop it first"],
    )?;
    daemon.stop()?;
    ensure(sysfs::names(GADGETS) == ["plain"], || {
        "the daemon removed another's gadget, or left its own".into()
    })
}

/// Fails unless the daemon, with these arguments more, ends and its message holds these words.
fn refuses(more: &[&str], words: &[&str]) -> Result<()> {
    let arguments = served::arguments(&stick::image());
    let all: Vec<&str> = served::as_words(&arguments)
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    says(&all, words)
}

fn says(arguments: &[&str], words: &[&str]) -> Result<()> {
    fs::create_dir_all(stick::FOLDER).doing("making the stick's folder")?;
    let Err(Failure::Wrong(said)) = Daemon::run(arguments) else {
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
