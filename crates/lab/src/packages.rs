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

/// The same for a mirror of the security updates, whose releases are called after those.
const SECURITY: &str = "debian-security";

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
        let mut lines = format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        if let Some(mirror) = machine_mirror(SECURITY)? {
            lines += &format!("deb [signed-by={KEYRING}] {mirror} {suite}-security main\n");
        }
        fs::write(&sources, lines).at(&sources)?;
        let status = self.folder.join("status");
        fs::write(&status, "").at(&status)?;
        configure(&self.folder, std::env::var_os(CONFIG_VARIABLE).as_deref())?;
        tool::run(self.apt("apt-get").args(["-qq", "update"]))?;
        Ok(())
    }

    /// The packages whose names begin with `prefix` on which `package` depends: what a meta-package
    /// stands for now, and what it stood for in older versions that a mirror still lists.
    ///
    /// # Errors
    /// There is none, or the lists were not fetched.
    pub fn dependencies(&self, package: &str, prefix: &str) -> Result<Vec<String>> {
        let mut command = self.apt("apt-cache");
        let text = tool::text(command.args(["show", package]))?;
        let found = dependencies_in(&text, prefix);
        if found.is_empty() {
            let suite = self.suite;
            let why = format!("{package} of {suite} depends on no {prefix}…");
            return Err(LabError::Unexpected(why));
        }
        Ok(found)
    }

    /// Fetches the first of some packages that the mirror has, and gives its file: while a mirror
    /// is brought up to date, it lists what is not there yet.
    ///
    /// # Errors
    /// None can be fetched: why the first could not.
    pub fn download_first(&self, packages: &[String], folder: &Path) -> Result<PathBuf> {
        let mut first_error = None;
        for package in packages {
            match self.download(package, folder) {
                Ok(file) => return Ok(file),
                Err(error) => {
                    eprintln!("lab: {package} cannot be fetched");
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| LabError::Unexpected("no package to fetch".into())))
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
    machine_mirror(ARCHIVE)?.ok_or(LabError::NoMirror)
}

/// The first mirror in this machine's configuration whose address ends so.
fn machine_mirror(end: &str) -> Result<Option<String>> {
    let mut command = tool::command("apt-get");
    let text = tool::text(command.args(["indextargets", "--format", "$(REPO_URI)"]))?;
    Ok(mirror_in(&text, end))
}

fn mirror_in(addresses: &str, end: &str) -> Option<String> {
    let mut addresses = addresses
        .lines()
        .map(|line| line.trim().trim_end_matches('/'));
    let found = addresses.find(|address| address.rsplit('/').next() == Some(end));
    found.map(str::to_owned)
}

/// Reads what `apt-cache show` prints of all versions, the newest first: lines such as
/// `Depends: NAME (= VERSION), OTHER`.
fn dependencies_in(text: &str, prefix: &str) -> Vec<String> {
    let lists = text
        .lines()
        .filter_map(|line| line.strip_prefix("Depends: "));
    let names = lists.flat_map(|list| list.split(", "));
    let names = names.filter_map(|name| name.split_whitespace().next());
    let mut found: Vec<String> = Vec::new();
    for name in names.filter(|name| name.starts_with(prefix)) {
        if found.iter().all(|known| known != name) {
            found.push(name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_itself_is_the_mirror() {
        let text = "http://a/debian-security/\nhttp://b/debian/\nhttp://c/debian/\n";
        assert_eq!(mirror_in(text, ARCHIVE).as_deref(), Some("http://b/debian"));
        let security = Some("http://a/debian-security");
        assert_eq!(mirror_in(text, SECURITY).as_deref(), security);
        assert_eq!(mirror_in("http://a/ubuntu/\n", ARCHIVE), None);
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
    fn a_meta_package_stands_for_its_dependencies() {
        let text = "Package: meta\nDepends: kmod, linux-image-6.1.0-2 (= 6.1.2-1)\n\n\
                    Package: meta\nDepends: linux-image-6.1.0-1 (= 6.1.1-1), linux-base\n\n\
                    Package: meta\nDepends: linux-image-6.1.0-1 (= 6.1.1-1)\n";
        let found = dependencies_in(text, "linux-image-");
        assert_eq!(found, ["linux-image-6.1.0-2", "linux-image-6.1.0-1"]);
        assert!(dependencies_in(text, "nothing").is_empty());
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
