//! The models of other hosts, proved against a gadget made by hand: that they hold and drop the
//! lock, and notice or miss a medium, as the sources say those hosts do.

use std::time::Duration;

use fatfs::FatType;

use super::Lab;
use crate::error::ensure;
use crate::gadget::PlainGadget;
use crate::model::{Host, MacOs, Windows};
use crate::{Result, files, report, stick};

/// Longer than a model takes for anything.
const LIMIT: Duration = Duration::from_secs(30);

/// The device stays away longer than the host's poll of 1 s.
const ABSENCE: Duration = Duration::from_millis(2500);

/// A host that shows no change within several polls shows none.
const SEVERAL_POLLS: Duration = Duration::from_secs(4);

fn plugged_in(kind: FatType) -> Result<PlainGadget> {
    stick::make(stick::USUAL_MEBIBYTES, kind)?;
    PlainGadget::with_stick(&stick::image())
}

/// Lets the host live on for some time.
fn live(host: &mut impl Host, time: Duration) -> Result<()> {
    let end = std::time::Instant::now() + time;
    let over = |_: &mut _| Ok((std::time::Instant::now() >= end).then_some(()));
    host.until("the time to pass", time + LIMIT, over).map(drop)
}

/// Windows-like, FAT16.
pub fn windows(lab: &Lab) -> Result<()> {
    windows_on(lab, FatType::Fat16)
}

/// Windows-like, FAT32.
pub fn windows_fat32(lab: &Lab) -> Result<()> {
    windows_on(lab, FatType::Fat32)
}

fn windows_on(lab: &Lab, kind: FatType) -> Result<()> {
    let gadget = plugged_in(kind)?;
    let mut host = Windows::plug_in(LIMIT)?;
    let content = files::random(lab.seed(), 50_000);
    host.put("prompt.txt", &content)?;
    ensure(!gadget.eject(0)?, || {
        "the eject was granted while the volume is dirty".into()
    })?;
    let (_, took) = host.until("the host to let go", LIMIT, |host| {
        Ok((!host.is_dirty()).then_some(()))
    })?;
    report::measured("let_go", took);
    let on_stick = stick::read_file(&stick::image(), "prompt.txt")?.unwrap_or_default();
    files::ensure_same("prompt.txt", &on_stick, &content)?;

    ensure(gadget.eject(0)?, || {
        "the eject was refused although the volume is clean".into()
    })?;
    stick::add_file(&stick::image(), "missed.txt", b"missed")?;
    gadget.insert(0, &stick::image())?;
    live(&mut host, SEVERAL_POLLS)?;
    ensure(
        !host.names().iter().any(|name| name == "missed.txt"),
        || "the host noticed a medium that was never away for it".into(),
    )?;

    ensure(gadget.eject(0)?, || "the second eject was refused".into())?;
    stick::add_file(&stick::image(), "answer.txt", b"42")?;
    live(&mut host, ABSENCE)?;
    gadget.insert(0, &stick::image())?;
    let (answer, took) = host.until("the answer", LIMIT, |host| host.get("answer.txt"))?;
    report::measured("noticed_after_insertion", took);
    files::ensure_same("answer.txt", &answer, b"42")?;
    gadget.unbind()
}

/// macOS-like.
pub fn macos(lab: &Lab) -> Result<()> {
    let gadget = plugged_in(FatType::Fat16)?;
    let mut host = MacOs::plug_in(LIMIT)?;
    host.put("prompt.txt", &files::random(lab.seed(), 50_000))?;
    live(&mut host, SEVERAL_POLLS)?;
    ensure(!gadget.eject(0)?, || {
        "the eject was granted while the volume is mounted".into()
    })?;

    let (name, content) = stick::ANSWER;
    for lun in [1, 2] {
        gadget.insert(lun, &stick::make_answers(lun)?)?;
        let (answer, took) = host.until("the answer", LIMIT, |host| host.get(lun, name))?;
        report::measured(&format!("lun{lun}_read"), took);
        files::ensure_same(name, &answer, content)?;
        ensure(!gadget.eject(lun)?, || {
            "a unit was given up while it is mounted".into()
        })?;
    }
    host.eject(1)?;
    ensure(gadget.file(1)?.is_empty(), || {
        "the user's eject left LUN 1 in place".into()
    })?;

    host.eject(0)?;
    ensure(gadget.file(0)?.is_empty(), || {
        "the user's eject left LUN 0 in place".into()
    })?;
    stick::add_file(&stick::image(), "prompt.response.txt", b"42")?;
    live(&mut host, ABSENCE)?;
    gadget.insert(0, &stick::image())?;
    let response = |host: &mut MacOs| host.get(0, "prompt.response.txt");
    let (_, took) = host.until("the response", LIMIT, response)?;
    report::measured("noticed_after_insertion", took);
    host.eject(0)?;
    gadget.unbind()
}
