//! What is in a LUN: put in, taken out, and read back, through the files of its folder.
//!
//! The library cannot do this: its way to empty a LUN writes nothing, and it has no reader. Rules
//! of the kernel (`drivers/usb/gadget/function/storage_common.c`): a path written to `file` puts a
//! medium in; an empty line takes it out, or fails with EBUSY while the host prevents removal.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::GadgetError;
use crate::lease::is_open_for_writing;

/// The answer to a polite eject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ejection {
    /// The LUN is empty.
    Granted,
    /// The host prevents it.
    Busy,
}

/// What the kernel appends to the path of a file that has been unlinked.
const DELETED: &[u8] = b" (deleted)";
/// Longest text that configfs takes in one write (`SIMPLE_ATTR_SIZE` less one), with a line end.
const PATH_BYTES: usize = 4095 - 1;

/// `ETOOSMALL` of the kernel's `include/linux/errno.h`, which has no name for programs: the image
/// is smaller than one sector (or than 300 for a CD-ROM).
const ETOOSMALL: i32 = 525;

/// A LUN's folder in configfs.
#[derive(Clone, Debug)]
pub(super) struct Lun {
    pub index: usize,
    pub folder: PathBuf,
}

impl Lun {
    /// What is in the LUN, as the kernel names it.
    pub fn inserted(&self) -> Result<Option<PathBuf>, GadgetError> {
        let path = self.file();
        let text = std::fs::read(&path).map_err(|error| GadgetError::access(&path, error))?;
        Ok(parse_file(text))
    }

    pub fn eject(&self) -> Result<Ejection, GadgetError> {
        let path = self.file();
        match write(&path, b"\n") {
            Ok(()) => self.must_be_empty(&path).map(|()| Ejection::Granted),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(Ejection::Busy),
            Err(error) => Err(GadgetError::access(&path, error)),
        }
    }

    pub fn force_eject(&self) -> Result<(), GadgetError> {
        if self.index == 0 {
            return Err(GadgetError::ForceRefused);
        }
        let path = self.folder.join("forced_eject");
        match write(&path, b"1") {
            Ok(()) => self.must_be_empty(&path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(GadgetError::ForceUnsupported(path))
            }
            Err(error) => Err(GadgetError::access(&path, error)),
        }
    }

    /// Puts `image` in. Nothing happens if it is in already.
    pub fn insert(&self, image: &Path) -> Result<(), GadgetError> {
        let refused = |source| GadgetError::MediumRefused {
            lun: self.index,
            path: image.to_owned(),
            source,
        };
        let image = image.canonicalize().map_err(refused)?;
        if let Some(held) = self.inserted()? {
            if is_held(&held, &image, self.is_writable()) {
                return Ok(());
            }
            let lun = self.index;
            return Err(GadgetError::NotEmpty { lun, held });
        }
        let text = file_text(&image).map_err(refused)?;
        write(&self.file(), &text).map_err(named).map_err(refused)?;
        self.must_be_writable(&image)?;
        match self.holds(&image)? {
            true => Ok(()),
            false => Err(self.read_back(&self.file(), &image)),
        }
    }

    /// Whether the LUN holds the file that is at `image` now.
    pub fn holds(&self, image: &Path) -> Result<bool, GadgetError> {
        let held = self.inserted()?;
        Ok(held.is_some_and(|held| is_held(&held, image, self.is_writable())))
    }

    fn must_be_empty(&self, written: &Path) -> Result<(), GadgetError> {
        match self.inserted()? {
            None => Ok(()),
            Some(_) => Err(self.read_back(written, Path::new(""))),
        }
    }

    /// The kernel makes a LUN read-only, in silence, when it cannot open the file for writing.
    fn must_be_writable(&self, image: &Path) -> Result<(), GadgetError> {
        let path = self.folder.join("ro");
        let ro = std::fs::read_to_string(&path).map_err(|e| GadgetError::access(&path, e))?;
        if !self.is_writable() || ro.trim() == "0" {
            return Ok(());
        }
        // Whether the host lets go of it again or not, this is what has to be said.
        let _ = self.eject();
        Err(GadgetError::MediumReadOnly(image.to_owned()))
    }

    fn read_back(&self, path: &Path, wanted: &Path) -> GadgetError {
        let found = self.inserted().ok().flatten().unwrap_or_default();
        GadgetError::ReadBack {
            path: path.to_owned(),
            wanted: wanted.display().to_string(),
            found: found.display().to_string(),
        }
    }

    /// LUN 0 alone is ([`super::Description`]).
    fn is_writable(&self) -> bool {
        self.index == 0
    }

    fn file(&self) -> PathBuf {
        self.folder.join("file")
    }
}

/// An error of the kernel that the system has no words for, in words.
fn named(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(ETOOSMALL) => io::Error::new(io::ErrorKind::InvalidInput, "the file is too small"),
        _ => error,
    }
}

/// The attribute's text as a path: one line end at most is the kernel's own, an empty text is an
/// empty LUN.
fn parse_file(mut text: Vec<u8>) -> Option<PathBuf> {
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    (!text.is_empty()).then(|| PathBuf::from(std::ffi::OsString::from_vec(text)))
}

/// The text that puts a file in. The kernel drops one line end, so ours keeps one that a name has.
fn file_text(image: &Path) -> io::Result<Vec<u8>> {
    let mut text = image.as_os_str().as_bytes().to_vec();
    if text.len() > PATH_BYTES {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    text.push(b'\n');
    Ok(text)
}

/// Whether a LUN that shows `held` holds the file that is at `image` now. A file that has been
/// unlinked is no file at any path.
///
/// The kernel shows the path within the mount through which the file was opened. When the
/// namespace of the process that put it in is gone (a service with a sandbox of its own that
/// ended), only the part below the mount point is left: `/stick.img` for `/var/lib/x/stick.img`.
/// That says little, so it counts only where the file is seen to be open for writing, which
/// nobody but the writable LUN does.
pub(super) fn is_held(held: &Path, image: &Path, writable: bool) -> bool {
    if held.as_os_str().as_bytes().ends_with(DELETED) && held != image {
        return false;
    }
    let open = if writable {
        is_open_for_writing(image)
    } else {
        None
    };
    match (is_same_file(held, image), open) {
        (true, Some(open)) => open,
        (true, None) => true,
        (false, open) => is_tail(held, image) && (!writable || open == Some(true)),
    }
}

fn is_same_file(held: &Path, image: &Path) -> bool {
    match (held.metadata(), image.metadata()) {
        (Ok(held), Ok(image)) => (held.dev(), held.ino()) == (image.dev(), image.ino()),
        _ => false,
    }
}

/// Whether `held`, an absolute path, is what is left of the path to `image`.
fn is_tail(held: &Path, image: &Path) -> bool {
    let (Ok(tail), Ok(image)) = (held.strip_prefix("/"), image.canonicalize()) else {
        return false;
    };
    tail.components().next().is_some() && image.ends_with(tail)
}

/// Writes an attribute in one `write`, as the kernel wants it, and never creates a file.
pub(super) fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;

    use super::*;

    #[test]
    fn the_text_of_the_attribute() {
        let parse = |text: &str| parse_file(text.into());
        assert_eq!(parse(""), None);
        assert_eq!(parse("\n"), None);
        assert_eq!(parse("/a b.img\n"), Some("/a b.img".into()));
        assert_eq!(parse("/a.img (deleted)\n"), Some("/a.img (deleted)".into()));
        assert_eq!(
            parse("/ends in a line end\n\n"),
            Some("/ends in a line end\n".into())
        );
        let latin1 = parse_file(b"/\xe9\n".to_vec()).unwrap();
        assert_eq!(latin1.as_os_str(), OsStr::from_bytes(b"/\xe9"));
    }

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        for path in ["/a", "/a b (deleted)", "/a\n"] {
            let text = file_text(Path::new(path)).unwrap();
            assert_eq!(parse_file(text), Some(path.into()));
        }
        let longest = format!("/{}", "x".repeat(PATH_BYTES - 1));
        file_text(Path::new(&longest)).unwrap();
        file_text(Path::new(&format!("{longest}x"))).unwrap_err();
    }

    #[test]
    fn one_file_by_two_paths_and_two_files_by_one() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("a"), "a").unwrap();
        fs::write(at("b"), "b").unwrap();
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        assert!(is_held(&at("a"), &at("link"), false));
        assert!(!is_held(&at("a"), &at("b"), false));
        assert!(!is_held(&at("none"), &at("none"), false));
        // What the kernel shows after `rm a`, although somebody has a file of that name.
        fs::hard_link(at("a"), at("a (deleted)")).unwrap();
        assert!(!is_held(&at("a (deleted)"), &at("a"), false));
        assert!(is_held(&at("a (deleted)"), &at("a (deleted)"), false));
    }

    #[test]
    fn what_is_left_of_a_path_counts_for_an_image_that_is_open() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        let image = root.path().join("data/stick.img");
        let writer = fs::File::create(&image).unwrap();
        for held in ["/stick.img", "/data/stick.img"] {
            assert!(is_held(Path::new(held), &image, true), "{held}");
        }
        for held in ["/", "/tick.img", "/other/stick.img", "stick.img", "/data"] {
            assert!(!is_held(Path::new(held), &image, true), "{held}");
        }
        assert!(is_held(&image, &image, true));
        drop(writer);
        assert!(!is_held(Path::new("/stick.img"), &image, true), "not open");
        assert!(
            !is_held(&image, &image, true),
            "not open: the path is another file's"
        );
        assert!(
            is_held(Path::new("/stick.img"), &image, false),
            "read-only LUNs do not open so"
        );
    }

    /// A folder that imitates a LUN's; `file` holds what it last got, as the kernel's does not.
    fn imitation(index: usize, file: &str) -> (tempfile::TempDir, Lun) {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), file).unwrap();
        fs::write(root.path().join("ro"), "0\n").unwrap();
        let folder = root.path().to_owned();
        (root, Lun { index, folder })
    }

    #[test]
    fn a_lun_is_asked_what_it_holds_before_anything_is_put_in() {
        let (root, lun) = imitation(0, "\n");
        assert_eq!(lun.inserted().unwrap(), None);
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        let _kernel = fs::File::create(&a).unwrap();
        fs::write(&b, "b").unwrap();
        fs::write(root.path().join("file"), format!("{}\n", a.display())).unwrap();
        lun.insert(&a).unwrap();
        let error = lun.insert(&b).unwrap_err();
        assert!(
            matches!(error, GadgetError::NotEmpty { lun: 0, .. }),
            "{error}"
        );
        let error = lun.insert(&root.path().join("none")).unwrap_err();
        assert!(
            matches!(error, GadgetError::MediumRefused { .. }),
            "{error}"
        );
        assert_eq!(lun.inserted().unwrap(), Some(a));
    }

    #[test]
    fn force_is_refused_where_it_could_lose_something_or_is_not_to_be_had() {
        let (_root, writable) = imitation(0, "/a\n");
        let error = writable.force_eject().unwrap_err();
        assert!(matches!(error, GadgetError::ForceRefused));
        let (_root, read_only) = imitation(1, "/a\n");
        let error = read_only.force_eject().unwrap_err();
        assert!(matches!(error, GadgetError::ForceUnsupported(_)), "{error}");
        assert!(
            !read_only.folder.join("forced_eject").exists(),
            "nothing is created"
        );
    }

    #[test]
    fn a_lun_that_still_holds_something_was_not_ejected() {
        let (root, lun) = imitation(1, "/a\n");
        fs::write(root.path().join("forced_eject"), "").unwrap();
        let error = lun.force_eject().unwrap_err();
        assert!(matches!(error, GadgetError::ReadBack { .. }), "{error}");
    }
}
