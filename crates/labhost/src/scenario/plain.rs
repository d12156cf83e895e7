//! The lab itself, proved with a gadget made by hand: no daemon takes part.

use std::time::Duration;

use fatfs::FatType;

use super::Lab;
use crate::error::ensure;
use crate::gadget::{self, PlainGadget};
use crate::lun::Lun;
use crate::mount::{How, Mount};
use crate::{Result, files, report, stick, wait};

/// Longer than a medium takes to be noticed.
const NOTICED_LIMIT: Duration = Duration::from_secs(30);

/// Longer than probes hold a lock after an unmount.
const GRANTED_LIMIT: Duration = Duration::from_secs(10);

/// A gadget with a formatted medium in LUN 0, bound, and its unit as the host sees it.
fn plugged_in() -> Result<(PlainGadget, Lun)> {
    stick::format(&stick::image(), 64, FatType::Fat16, "PROMPTSTICK", &[])?;
    let gadget = PlainGadget::new()?;
    gadget.insert(0, &stick::image())?;
    gadget.bind()?;
    let lun = Lun::wait(0)?;
    lun.touch()?;
    lun.wait_medium(NOTICED_LIMIT)?;
    Ok((gadget, lun))
}

/// Three units; a file is written, the lock holds until the unmount, the file is still there when
/// the medium comes back.
pub fn gadget(lab: &Lab) -> Result<()> {
    let (gadget, lun) = plugged_in()?;
    for number in 0..gadget::LUNS {
        Lun::wait(number)?.block()?;
    }
    let content = files::random(lab.seed(), 100_000);
    let mount = Mount::new(&lun.block()?, How::Default)?;
    mount.put_synced("hello.bin", &content)?;
    ensure(!gadget.eject(0)?, || {
        "a polite eject was granted although the volume is mounted".into()
    })?;
    mount.unmount()?;
    let took = wait::until("the polite eject", GRANTED_LIMIT, || {
        Ok(gadget.eject(0)?.then_some(()))
    })?;
    report::measured("eject_after_unmount", took.1);
    ensure(!lun.touch()?, || "the host still sees a medium".into())?;
    gadget.insert(0, &stick::image())?;
    let again = Mount::new(&lun.block()?, How::ReadOnly)?;
    let seen = again.get("hello.bin")?.unwrap_or_default();
    files::ensure_same("hello.bin", &seen, &content)?;
    again.unmount()?;
    gadget.unbind()
}
