//! An image in a folder of its own, written and read as a host would: with mtools. Its state is
//! judged by `fsck.fat`.

use std::path::{Path, PathBuf};

use super::tool;

/// A FAT image in a temporary folder that goes with it.
pub struct Image {
    folder: tempfile::TempDir,
    /// Byte offset of the volume, as mtools' `@@` wants it.
    offset: u64,
}

impl Image {
    /// A folder without an image.
    pub fn none() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            offset: 0,
        }
    }

    /// Made by `mkfs.fat` with these options.
    pub fn mkfs(mebibytes: u64, options: &[&str]) -> Self {
        let image = Self::none();
        let file = std::fs::File::create(image.path()).expect("an image file");
        file.set_len(mebibytes << 20).expect("room for it");
        drop(file);
        let path = image.path();
        let arguments = options.iter().map(AsRef::as_ref).chain([path.as_os_str()]);
        tool::run("mkfs.fat", arguments);
        image
    }

    /// The usual one: 64 MiB, FAT16.
    pub fn usual() -> Self {
        Self::mkfs(64, &["-F", "16", "-n", "PROMPTSTICK"])
    }

    /// A volume in the partition that starts at `offset` bytes.
    pub fn at(self, offset: u64) -> Self {
        Self { offset, ..self }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("stick.img")
    }

    /// Copies a file onto the volume.
    pub fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let source = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(source.path(), content).expect("room for it");
        self.mtool(
            "mcopy",
            &["-o", "-Q"],
            &[source.path().to_str().expect("UTF-8")],
            &[name],
        );
    }

    /// A file of the volume, or `None` where it is not there.
    pub fn get(&self, name: &str) -> Option<Vec<u8>> {
        let mut command = tool::command("mtype");
        command.args(["-i", &self.drive()]).arg(format!("::{name}"));
        let output = tool::output(&mut command, b"");
        output.status.success().then_some(output.stdout)
    }

    /// A text of the volume that must be there.
    pub fn text(&self, name: &str) -> String {
        let bytes = self
            .get(name)
            .unwrap_or_else(|| panic!("{name} is missing: {:?}", self.list()));
        String::from_utf8(bytes).expect("UTF-8")
    }

    pub fn delete(&self, name: &str) {
        self.mtool("mdel", &[], &[], &[name]);
    }

    pub fn make_dir(&self, name: &str) {
        self.mtool("mmd", &[], &[], &[name]);
    }

    pub fn rename(&self, from: &str, to: &str) {
        self.mtool("mren", &[], &[], &[from, to]);
    }

    /// Paths of all files and folders, sorted, folders with a slash at the end.
    pub fn list(&self) -> Vec<String> {
        let drive = self.drive();
        let printed = tool::run("mdir", ["-/", "-b", "-a", "-i", &drive, "::"]);
        let printed = String::from_utf8(printed).expect("UTF-8");
        let mut paths: Vec<String> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("::/"))
            .map(str::to_owned)
            .collect();
        paths.sort();
        paths
    }

    /// `fsck.fat -n` has nothing to say against the volume.
    pub fn assert_clean(&self) {
        let volume = std::fs::read(self.path()).expect("the image");
        let volume = &volume[usize::try_from(self.offset).expect("small")..];
        let copy = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(copy.path(), volume).expect("room for it");
        tool::run("fsck.fat", ["-n".as_ref(), copy.path().as_os_str()]);
    }

    fn mtool(&self, name: &str, options: &[&str], plain: &[&str], on_volume: &[&str]) {
        let drive = self.drive();
        let mut arguments: Vec<String> = vec!["-i".into(), drive];
        arguments.extend(options.iter().map(|&option| option.to_owned()));
        arguments.extend(plain.iter().map(|&path| path.to_owned()));
        arguments.extend(on_volume.iter().map(|path| format!("::{path}")));
        tool::run(name, arguments);
    }

    fn drive(&self) -> String {
        format!("{}@@{}", self.path().display(), self.offset)
    }
}
