//! Debian packages of any release and architecture, by apt with a root of its own: the machine's
//! packages stay as they are. apt checks signatures and hashes while it fetches; we keep the hash
//! and check it before each use. Used by [`kernel`](crate::kernel), [`busybox`](crate::busybox),
//! [`debian`](crate::debian) and `tests/arm`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::{self, Cache};
use crate::error::At;
use crate::{LabError, Result, tool};

/// Names a mirror where apt's own configuration has none (systems other than Debian).
pub const MIRROR_VARIABLE: &str = "PROMPTSTICK_LAB_MIRROR";

/// Debian's keys, from the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The last part of a mirror's address that has Debian's releases (and not, say, only their
/// security updates).
const ARCHIVE: &str = "debian";

/// Names the file that apt reads before its others (man `apt.conf`).
const CONFIG_VARIABLE: &str = "APT_CONFIG";

/// Our file under that name, and the one that it makes apt read after all others.
const FIRST_CONFIG: &str = "first.conf";
const LAST_CONFIG: &str = "last.conf";

/// The machine's own last file.
const MACHINE_CONFIG: &str = "/etc/apt/apt.conf";

/// Hooks of the machine are about the machine's packages. Debian's container images have one that
/// deletes downloaded packages after each update: those of an installation that runs meanwhile.
const HOOKS: [&str; 3] = [
    "APT::Update::Pre-Invoke",
    "APT::Update::Post-Invoke",
    "APT::Update::Post-Invoke-Success",
];

/// One release for one architecture.
pub struct Repository {
    folder: PathBuf,
    suite: &'static str,
    architecture: &'static str,
}

impl Repository {
    /// `suite` as `bookworm`, `architecture` as `amd64`. Nothing is fetched yet.
    ///
    /// # Errors
    /// The cache has no room.
    pub fn new(cache: &Cache, suite: &'static str, architecture: &'static str) -> Result<Self> {
        Ok(Self {
            folder: cache.folder(&format!("apt/{suite}-{architecture}"))?,
            suite,
            architecture,
        })
    }

    /// Fetches the lists of packages.
    ///
    /// # Errors
    /// There is no mirror, or it cannot be reached.
    pub fn update(&self) -> Result<()> {
        for name in ["lists/partial", "archives/partial"] {
            let folder = self.folder.join(name);
            fs::create_dir_all(&folder).at(&folder)?;
        }
        let (suite, mirror) = (self.suite, mirror()?);
        let sources = self.folder.join("sources.list");
        let line = format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        fs::write(&sources, line).at(&sources)?;
        let status = self.folder.join("status");
        fs::write(&status, "").at(&status)?;
        configure(&self.folder, std::env::var_os(CONFIG_VARIABLE).as_deref())?;
        tool::run(self.apt("apt-get").args(["-qq", "update"]))?;
        Ok(())
    }

    /// The first package on which `package` depends whose name begins with `prefix`: what a
    /// meta-package stands for now.
    ///
    /// # Errors
    /// There is none, or the lists were not fetched.
    pub fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let mut command = self.apt("apt-cache");
        let text = tool::text(command.args(["--important", "depends", package]))?;
        first_dependency(&text, prefix).ok_or_else(|| {
            let suite = self.suite;
            LabError::Unexpected(format!("{package} of {suite} depends on no {prefix}…"))
        })
    }

    /// Fetches a package and gives its file, which lies in `folder`.
    ///
    /// # Errors
    /// It cannot be fetched.
    pub fn download(&self, package: &str, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).at(folder)?;
        let mut command = self.apt("apt-get");
        command.current_dir(folder);
        tool::run(command.args(["-qq", "download", package]))?;
        let file = deb_in(folder, package).ok_or_else(|| {
            LabError::Unexpected(format!("apt-get downloaded no file for {package}"))
        })?;
        cache::keep_hash(&file)?;
        Ok(file)
    }

    /// Fetches packages and all that they depend on, into a folder that holds nothing else.
    ///
    /// # Errors
    /// One cannot be fetched.
    pub fn download_all(&self, packages: &[&str], folder: &Path) -> Result<()> {
        let partial = folder.join("partial");
        fs::create_dir_all(&partial).at(&partial)?;
        let mut command = self.apt("apt-get");
        command
            .arg("-o")
            .arg(format!("Dir::Cache::archives={}", folder.display()))
            .args(["-qq", "--yes", "--no-install-recommends", "--download-only"])
            .arg("install")
            .args(packages);
        tool::run(&mut command)?;
        debs(folder)?
            .iter()
            .try_for_each(|deb| cache::keep_hash(deb))
    }

    /// apt's configuration stays the machine's (proxies, for one) but for what is ours.
    fn apt(&self, program: &str) -> Command {
        let folder = self.folder.display();
        let mut command = tool::command(program);
        command.env(CONFIG_VARIABLE, self.folder.join(FIRST_CONFIG));
        for option in [
            format!("Dir::Etc::SourceList={folder}/sources.list"),
            "Dir::Etc::SourceParts=/dev/null".to_owned(),
            "Dir::Etc::PreferencesParts=/dev/null".to_owned(),
            format!("Dir::State={folder}"),
            format!("Dir::State::Status={folder}/status"),
            format!("Dir::Cache={folder}"),
            format!("APT::Architecture={}", self.architecture),
            format!("APT::Architectures={}", self.architecture),
            "APT::Sandbox::User=".to_owned(),
            "Acquire::Languages=none".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// Writes the configuration that drops the machine's hooks: only what is read last can.
fn configure(folder: &Path, given: Option<&OsStr>) -> Result<()> {
    let include = |path: &Path| match path.is_file() {
        true => format!("#include \"{}\";\n", path.display()),
        false => String::new(),
    };
    let last = folder.join(LAST_CONFIG);
    let clear = HOOKS.map(|hook| format!("#clear {hook};\n")).concat();
    fs::write(&last, include(Path::new(MACHINE_CONFIG)) + &clear).at(&last)?;
    let first = folder.join(FIRST_CONFIG);
    let given = given.map(Path::new).map(include).unwrap_or_default();
    let text = format!("{given}Dir::Etc::main \"{}\";\n", last.display());
    fs::write(&first, text).at(&first)
}

/// The packages in a folder, sorted.
///
/// # Errors
/// There is no such folder.
pub fn debs(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).at(folder)?.flatten();
    let paths = entries.map(|entry| entry.path());
    let mut debs: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "deb"))
        .collect();
    debs.sort();
    Ok(debs)
}

/// The file of a package in a folder that holds no other version of it.
pub fn deb_in(folder: &Path, package: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
    })
}

/// The folder with one package's files, in the cache below `kind`; fetched where it is not there.
///
/// # Errors
/// It cannot be fetched, or is not as it was when it was.
pub fn unpacked(
    cache: &Cache,
    kind: &str,
    suite: &'static str,
    architecture: &'static str,
    package: &str,
) -> Result<PathBuf> {
    let folder = cache.folder(&format!("{kind}/{suite}-{architecture}"))?;
    let tree = folder.join("tree");
    let kept = deb_in(&folder, package).filter(|deb| deb.is_file());
    let deb = match kept {
        Some(deb) if cache::is_intact(&deb)? => deb,
        _ => {
            eprintln!("lab: fetching {package} from Debian {suite} for {architecture}");
            let repository = Repository::new(cache, suite, architecture)?;
            repository.update()?;
            cache::forget(&tree)?;
            repository.download(package, &folder)?
        }
    };
    if !tree.is_dir() {
        let partial = folder.join("partial");
        cache::forget(&partial)?;
        unpack(&deb, &partial)?;
        fs::rename(&partial, &tree).at(&tree)?;
    }
    Ok(tree)
}

/// Unpacks a package's files below `folder`.
///
/// # Errors
/// The file is no package, or there is no room.
pub fn unpack(deb: &Path, folder: &Path) -> Result<()> {
    tool::run(tool::command("dpkg-deb").arg("-x").arg(deb).arg(folder))?;
    Ok(())
}

/// The mirror that this machine uses for Debian.
fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var(MIRROR_VARIABLE) {
        return Ok(mirror);
    }
    let mut command = tool::command("apt-get");
    let text = tool::text(command.args(["indextargets", "--format", "$(REPO_URI)"]))?;
    debian_mirror(&text).ok_or(LabError::NoMirror)
}

fn debian_mirror(addresses: &str) -> Option<String> {
    let mut addresses = addresses
        .lines()
        .map(|line| line.trim().trim_end_matches('/'));
    let found = addresses.find(|address| address.rsplit('/').next() == Some(ARCHIVE));
    found.map(str::to_owned)
}

/// Reads what `apt-cache depends` prints: lines such as `  Depends: NAME`.
fn first_dependency(text: &str, prefix: &str) -> Option<String> {
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    let mut names = names.filter(|name| name.starts_with(prefix));
    names.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_itself_is_the_mirror() {
        let text = "http://a/debian-security/\nhttp://b/debian/\nhttp://c/debian/\n";
        assert_eq!(debian_mirror(text).as_deref(), Some("http://b/debian"));
        assert_eq!(debian_mirror("http://a/ubuntu/\n"), None);
    }

    #[test]
    fn hooks_of_the_machine_are_not_ours() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let given = folder.path().join("given.conf");
        let hook = "APT::Update::Post-Invoke { \"rm -rf all\"; };\nAcquire::Retries \"7\";\n";
        fs::write(&given, hook).expect("room");
        configure(folder.path(), Some(given.as_os_str())).expect("room");
        let dump = |config: &Path| {
            let mut command = tool::command("apt-config");
            tool::text(command.arg("dump").env(CONFIG_VARIABLE, config)).expect("apt")
        };
        assert!(dump(&given).contains("Update::Post-Invoke:: \"rm -rf all"));
        let ours = dump(&folder.path().join(FIRST_CONFIG));
        assert!(!ours.contains("Update::Post-Invoke::"), "{ours}");
        assert!(ours.contains("Acquire::Retries \"7\""), "{ours}");
    }

    #[test]
    fn a_meta_package_stands_for_its_dependency() {
        let text = "meta\n  Depends: kmod\n  Depends: linux-image-6.1.0-1-amd64\n";
        let found = first_dependency(text, "linux-image-");
        assert_eq!(found.as_deref(), Some("linux-image-6.1.0-1-amd64"));
        assert_eq!(first_dependency(text, "nothing"), None);
    }

    #[test]
    fn a_package_is_found_by_its_whole_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("linux-image-6_1_amd64.deb"), "").expect("room");
        fs::write(folder.path().join("linux-image-6_1_amd64.deb.sha256"), "").expect("room");
        assert!(deb_in(folder.path(), "linux-image-6").is_some());
        assert!(deb_in(folder.path(), "linux-image").is_none());
    }
}
