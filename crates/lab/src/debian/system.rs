//! What each Debian of the lab consists of: packages, what of them nobody reads, and the few files
//! that packages' scripts would make. Pure. Used by [`debian`](super).

use crate::Board;

/// A Debian of the lab.
#[derive(Debug)]
pub struct System {
    /// Its folder in the cache.
    pub name: &'static str,
    /// The machine that it is for.
    pub board: Board,
    /// What it needs; apt adds what these depend on.
    pub packages: &'static [&'static str],
    /// Beginnings of paths, after merging, that are left out beside [`LEFT_OUT`].
    pub left_out: &'static [&'static str],
    /// A path and the content of files beside [`FILES`].
    pub files: &'static [(&'static str, &'static str)],
    /// A path and the target of links beside [`LINKS`].
    pub links: &'static [(&'static str, &'static str)],
    /// What its accounts have beside Debian's own: lines of `passwd` and of `group`.
    pub accounts: (&'static str, &'static str),
}

/// The desktop that takes the drive: systemd 252, udisks 2.9.4.
pub const DESKTOP: System = System {
    name: "desktop",
    board: Board::Pc,
    packages: &[
        "base-files",
        "base-passwd",
        "bash",
        "coreutils",
        "dash",
        "grep",
        "mount",
        "sed",
        "util-linux",
        "dbus",
        "systemd",
        "udev",
        "udisks2",
        "udiskie",
        // udisks runs it to eject, and does not depend on it.
        "eject",
    ],
    left_out: &["usr/lib/x86_64-linux-gnu/perl"],
    files: &[
        ("etc/hostname", "desktop\n"),
        ("etc/systemd/system/udiskie.service", UDISKIE),
    ],
    links: &[(
        "etc/systemd/system/multi-user.target.wants/udiskie.service",
        "/etc/systemd/system/udiskie.service",
    )],
    // The bus's account, which a script of its package adds.
    accounts: (
        "messagebus:x:100:100::/nonexistent:/usr/sbin/nologin\n",
        "messagebus:x:100:\n",
    ),
};

/// The board that is the stick: no more than what starts services and loads drivers. All of it is
/// in memory, twice while the kernel unpacks it.
pub const STICK: System = System {
    name: "stick",
    board: Board::PiZero,
    packages: &["base-files", "base-passwd", "kmod", "systemd", "udev"],
    left_out: &[
        // Names of devices for people, and encodings other than UTF-8.
        "usr/lib/udev/hwdb.d/",
        "usr/lib/arm-linux-gnueabi/gconv/",
        "usr/share/perl5/",
    ],
    files: &[("etc/hostname", "stick\n")],
    links: &[],
    accounts: ("", ""),
};

/// The release of all.
pub const SUITE: &str = "bookworm";

/// Folders that nothing here reads: half of the bytes.
pub const LEFT_OUT: [&str; 7] = [
    "usr/share/bash-completion/",
    "usr/share/doc/",
    "usr/share/info/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
    "usr/share/perl/",
];

/// Folders of the top that Debian has merged into `/usr`: bookworm's packages still use both names.
pub const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Files that scripts of packages make, or that say how a machine behaves.
pub const FILES: [(&str, &str); 1] = [
    // Any will do; without one systemd takes this for its first start and presets all its units.
    ("etc/machine-id", "7072d6f6d707473746963006b0000001\n"),
];

/// Links that scripts of packages make, or that switch a unit off.
pub const LINKS: [(&str, &str); 4] = [
    // Where D-Bus's clients look for its socket.
    ("var/run", "/run"),
    // The protocol's line and the kernel's console are no terminals for people.
    ("etc/systemd/system/getty.target", "/dev/null"),
    ("etc/systemd/system/serial-getty@.service", "/dev/null"),
    ("etc/systemd/system/systemd-logind.service", "/dev/null"),
];

/// Accounts as Debian gives them out: where its package has them, and where they belong.
pub const PASSWD: (&str, &str) = ("usr/share/base-passwd/passwd.master", "etc/passwd");
/// See [`PASSWD`].
pub const GROUP: (&str, &str) = ("usr/share/base-passwd/group.master", "etc/group");

/// The agent of a session, which mounts what is plugged in. There is no session here: root's.
const UDISKIE: &str = "\
[Unit]
Description=Mounts what is plugged in
[Service]
Type=simple
Environment=PYTHONUNBUFFERED=1
ExecStart=/usr/bin/udiskie --automount --no-notify --no-tray --no-file-manager
StandardError=journal+console
";

impl System {
    /// All its files.
    pub fn all_files(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        FILES.iter().chain(self.files)
    }

    /// All its links.
    pub fn all_links(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        LINKS.iter().chain(self.links)
    }

    /// Whether a path, after merging, is of no use.
    pub fn leaves_out(&self, path: &str) -> bool {
        let mut beginnings = LEFT_OUT.iter().chain(self.left_out);
        beginnings.any(|beginning| format!("{path}/").starts_with(beginning))
    }
}
