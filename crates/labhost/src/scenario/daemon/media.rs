//! Volumes that are not the usual one: in a partition, or full.

use std::fs::{self, File};
use std::io::Write;

use fatfs::FatType;

use crate::error::{Doing, ensure};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::scenario::Lab;
use crate::scenario::steps::{
    Plugged, QUESTION, SWAP_LIMIT, answers, ask, log, response_name, response_on,
};
use crate::{Result, files, report, stick};

/// Bytes of the file that is to fill the volume, which has 16 MiB: more than fit.
const FILLER_BYTES: usize = 20 << 20;

/// A volume that takes so many small files after the filler is not full.
const MOST_SMALL: u32 = 100;

/// A stick with a partition table.
pub fn partitioned(_: &Lab) -> Result<()> {
    stick::make_partitioned()?;
    let mut stick = Plugged::on_desktop("")?;
    let mount = Mount::new(&stick.lun.partition()?, How::Flush)?;
    ask(&mount, "prompt.txt", QUESTION)?;
    mount.unmount()?;
    stick.wait_swapped()?;
    let mount = Mount::new(&Lun::wait(0)?.partition()?, How::Flush)?;
    response_on(&mount, "prompt.txt")?;
    mount.unmount()?;
    stick.daemon.stop()
}

/// No room for the answer: it is shown on the second drive, waits, and is put onto the volume when
/// the host has made room.
pub fn full(lab: &Lab) -> Result<()> {
    stick::make(stick::SMALL_MEBIBYTES, FatType::Fat16)?;
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    ask(&mount, "prompt.txt", QUESTION)?;
    fill(&mount, lab.seed())?;
    let ready = stick.wait_answered(1)?;
    let second = answers(1)?;
    let shown = response_on(&second, "prompt.txt")?;
    report::measured("lun1_readable", ready.elapsed());
    second.unmount()?;
    mount.unmount()?;
    stick.daemon.wait_logged(log::NO_ROOM, SWAP_LIMIT)?;
    let mount = stick.mount(How::Flush)?;
    ensure(mount.get(&response_name("prompt.txt"))?.is_none(), || {
        "there was no room, and yet there is a response".into()
    })?;
    mount.delete("filler.bin")?;
    mount.unmount()?;
    let response = stick.response_after_swap("prompt.txt")?;
    files::ensure_same("the response on LUN 0", &response, &shown)?;
    stick.daemon.stop()
}

/// The same for a host that unmounts at once: the answer, which fits nowhere, is on the second
/// drive nevertheless, once.
pub fn full_unmounted(lab: &Lab) -> Result<()> {
    stick::make(stick::SMALL_MEBIBYTES, FatType::Fat16)?;
    let mut stick = Plugged::on_desktop("")?;
    let mount = stick.mount(How::Flush)?;
    fill(&mount, lab.seed())?;
    mount.delete("small-0.bin")?;
    ask(&mount, "prompt.txt", QUESTION)?;
    mount.unmount()?;
    let ready = stick.wait_answered(1)?;
    let second = answers(1)?;
    let shown = response_on(&second, "prompt.txt")?;
    report::measured("lun1_readable", ready.elapsed());
    second.unmount()?;
    ensure(stick.daemon.times_logged(log::NO_ROOM) == 1, || {
        "the daemon does not say why".into()
    })?;
    let mount = stick.mount(How::Flush)?;
    mount.delete("filler.bin")?;
    mount.unmount()?;
    let response = stick.response_after_swap("prompt.txt")?;
    files::ensure_same("the response on LUN 0", &response, &shown)?;
    let drives = stick.daemon.times_logged(log::SHOWN);
    ensure(drives == 1, || format!("shown {drives} times"))?;
    stick.daemon.stop()
}

/// Fills the volume to its last cluster: what is left when a large file no longer grows goes to
/// small ones.
fn fill(mount: &Mount, seed: u64) -> Result<()> {
    let path = mount.path("filler.bin");
    let mut file = File::create(&path).doing("making the filler")?;
    let full = file.write_all(&files::random(seed, FILLER_BYTES)).is_err();
    drop(file);
    ensure(full, || "the volume is larger than the filler".into())?;
    let small = (0..MOST_SMALL).find(|number| {
        let path = mount.path(&format!("small-{number}.bin"));
        fs::write(path, b"1").is_err()
    });
    mount.sync()?;
    let seen = mount.get("filler.bin")?.unwrap_or_default();
    report::step(format!(
        "the filler took {} bytes, {small:?} small files the rest",
        seen.len()
    ));
    report::flushed("filler.bin", &seen);
    ensure(small.is_some(), || "the volume is not full".into())
}
