//! A gadget of ours that was there before us: left by a daemon that died, with or without a
//! computer on the other end. Pure decision, and the reading that it needs.

use std::path::{Path, PathBuf};

use super::attributes::{self, Attribute};
use super::controller::bound_to;
use super::error::GadgetError;
use super::lun::{Lun, is_held};

/// What was found in configfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leftover {
    /// The controller that it is bound to.
    pub udc: Option<String>,
    /// Whether all attributes are as they would be made now, LUNs included.
    pub as_described: bool,
    /// What LUN 0 holds.
    pub medium: Medium,
}

/// What LUN 0 of a leftover gadget holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Medium {
    Nothing,
    ThisImage,
    Other,
}

/// Whether the gadget goes on as it is. One that is not bound has no computer to be kind to.
pub(super) fn is_adoptable(leftover: &Leftover, udc: &str) -> bool {
    leftover.udc.as_deref() == Some(udc)
        && leftover.as_described
        && leftover.medium != Medium::Other
}

/// Reads the gadget in the folder `gadget`; `None` where there is none.
pub(super) fn read(
    gadget: &Path,
    wanted: &[Attribute],
    luns: usize,
    image: &Path,
) -> Result<Option<Leftover>, GadgetError> {
    if !gadget.is_dir() {
        return Ok(None);
    }
    let as_described = attributes::read_mismatch(gadget, wanted)?.is_none();
    // One LUN more than described is another drive, too.
    let as_described = as_described && !gadget.join(attributes::lun(luns)).exists();
    let lun = Lun {
        index: 0,
        folder: gadget.join(attributes::lun(0)),
    };
    Ok(Some(Leftover {
        udc: bound_to(gadget)?,
        as_described,
        // A gadget that was half made has no LUN to ask; it is not as described either.
        medium: medium(lun.inserted().ok().flatten(), image),
    }))
}

fn medium(held: Option<PathBuf>, image: &Path) -> Medium {
    match held {
        None => Medium::Nothing,
        Some(held) if is_held(&held, image, true) => Medium::ThisImage,
        Some(_) => Medium::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::gadget::description::Description;

    const UDC: &str = "dummy_udc.0";

    #[test]
    fn only_a_bound_gadget_of_ours_with_this_image_or_none_goes_on() {
        let good = Leftover {
            udc: Some(UDC.to_owned()),
            as_described: true,
            medium: Medium::ThisImage,
        };
        assert!(is_adoptable(&good, UDC));
        let with = |change: fn(&mut Leftover)| {
            let mut leftover = good.clone();
            change(&mut leftover);
            is_adoptable(&leftover, UDC)
        };
        assert!(with(|it| it.medium = Medium::Nothing));
        assert!(!with(|it| it.medium = Medium::Other));
        assert!(!with(|it| it.as_described = false));
        assert!(!with(|it| it.udc = None));
        assert!(!with(|it| it.udc = Some("another.0".to_owned())));
    }

    /// A folder with every attribute of the built-in drive, bound, and nothing in its LUNs.
    fn imitation() -> (tempfile::TempDir, Vec<Attribute>, usize) {
        let root = tempfile::tempdir().unwrap();
        let description = Description::built_in();
        let wanted = attributes::of(&description, "00000000DEADBEEF");
        for attribute in &wanted {
            write(root.path(), &attribute.path, &attribute.value);
        }
        for index in 0..description.luns.len() {
            write(root.path(), &format!("{}/file", attributes::lun(index)), "");
        }
        write(root.path(), "UDC", UDC);
        (root, wanted, description.luns.len())
    }

    fn write(gadget: &Path, path: &str, value: &str) {
        let path = gadget.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{value}\n")).unwrap();
    }

    #[test]
    fn a_gadget_is_read() {
        let (root, wanted, luns) = imitation();
        let image = root.path().join("stick.img");
        let other = root.path().join("other.img");
        let kernel = fs::File::create(&image).unwrap();
        fs::write(&other, "").unwrap();
        let look = || read(root.path(), &wanted, luns, &image).unwrap().unwrap();
        let file = format!("{}/file", attributes::lun(0));
        assert_eq!(look().medium, Medium::Nothing);
        assert!(is_adoptable(&look(), UDC));
        write(root.path(), &file, image.to_str().unwrap());
        assert_eq!(look().medium, Medium::ThisImage);
        write(root.path(), &file, "/stick.img");
        assert_eq!(look().medium, Medium::ThisImage, "its namespace is gone");
        write(root.path(), &file, other.to_str().unwrap());
        assert_eq!(look().medium, Medium::Other);
        write(
            root.path(),
            &file,
            &format!("{} (deleted)", image.display()),
        );
        assert_eq!(look().medium, Medium::Other);
        write(root.path(), &file, image.to_str().unwrap());
        drop(kernel);
        assert_eq!(look().medium, Medium::Other, "nobody has this file open");
    }

    #[test]
    fn another_drive_is_told_from_ours() {
        let look = |change: &dyn Fn(&Path)| {
            let (root, wanted, luns) = imitation();
            change(root.path());
            let image = root.path().join("stick.img");
            let leftover = read(root.path(), &wanted, luns, &image).unwrap();
            leftover.is_some_and(|leftover| is_adoptable(&leftover, UDC))
        };
        assert!(look(&|_| ()));
        assert!(!look(&|gadget| write(gadget, "idProduct", "0x0105")));
        assert!(!look(&|gadget| write(gadget, "UDC", "")));
        assert!(!look(&|gadget| write(
            gadget,
            &format!("{}/ro", attributes::lun(1)),
            "0"
        )));
        assert!(!look(&|gadget| write(
            gadget,
            &format!("{}/file", attributes::lun(3)),
            ""
        )));
        assert!(!look(&|gadget| {
            fs::remove_dir_all(gadget.join(attributes::lun(2))).unwrap();
        }));
        assert!(
            look(&|gadget| write(gadget, "bcdDevice", "0x9999")),
            "an update of ours"
        );
    }

    #[test]
    fn nothing_there_is_nothing_and_half_a_gadget_is_not_ours() {
        let root = tempfile::tempdir().unwrap();
        let wanted = attributes::of(&Description::built_in(), "00000000DEADBEEF");
        let none = read(
            &root.path().join("promptstick"),
            &wanted,
            3,
            Path::new("/x"),
        )
        .unwrap();
        assert_eq!(none, None);
        let half = read(root.path(), &wanted, 3, Path::new("/x"))
            .unwrap()
            .unwrap();
        assert!(!half.as_described && half.udc.is_none());
    }
}
