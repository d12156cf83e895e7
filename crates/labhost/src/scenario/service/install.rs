//! What a package of the program would install into a Debian of the lab, from `systemd/` as it is
//! shipped. Used by the scenarios of the service.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::debian::ROOT;
use crate::error::Doing;
use crate::{Result, daemon};

/// What a package would install, and where.
const FILES: [(&str, &str); 4] = [
    (
        "usr/lib/systemd/system/promptstick.service",
        include_str!("../../../../../systemd/promptstick.service"),
    ),
    (
        "usr/lib/sysusers.d/promptstick.conf",
        include_str!("../../../../../systemd/promptstick.sysusers"),
    ),
    (
        "usr/lib/tmpfiles.d/promptstick.conf",
        include_str!("../../../../../systemd/promptstick.tmpfiles"),
    ),
    (
        "etc/promptstick.toml",
        include_str!("../../../../../systemd/promptstick.toml"),
    ),
];

/// Where the shipped configuration looks for the model.
const MODEL: &str = "usr/share/promptstick/promptstick-demo-q8_0.gguf";
/// Where it has the image.
const IMAGE: &str = "var/lib/promptstick/stick.img";

/// The size of the image as shipped, and here, where the disk is memory.
const IMAGE_SIZES: [&str; 2] = ["image_size = \"256M\"", "image_size = \"64M\""];

/// Where the shipped unit looks for the program.
pub const PROGRAM: &str = "usr/bin/promptstick";

/// The image of the installed service, as the scenario sees it.
pub fn image() -> PathBuf {
    Path::new(ROOT).join(IMAGE)
}

/// Puts the program, the model and the files of `systemd/` where they belong. `adapt` is what an
/// operator changes in those.
///
/// # Errors
/// There is no room.
pub fn files(adapt: impl Fn(&str) -> String) -> Result<()> {
    let [shipped, here] = IMAGE_SIZES;
    for (path, content) in FILES {
        let content = adapt(&content.replace(shipped, here));
        write(path, content.as_bytes(), 0o644)?;
    }
    let read = |path: &str| fs::read(path).doing(path);
    write(PROGRAM, &read(daemon::PROGRAM)?, 0o755)?;
    write(MODEL, &read(daemon::MODEL)?, 0o644)
}

/// Writes a file of Debian's, and makes its folder.
///
/// # Errors
/// There is no room.
pub fn write(path: &str, content: &[u8], mode: u32) -> Result<()> {
    let path = Path::new(ROOT).join(path);
    let folder = path.parent().unwrap_or(Path::new(ROOT));
    fs::create_dir_all(folder).doing("making a folder")?;
    fs::write(&path, content).doing(path.to_string_lossy())?;
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).doing(path.to_string_lossy())
}
