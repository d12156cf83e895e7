//! Which USB device controller (UDC) the gadget is bound to: the one that was named, else the
//! one that it is bound to already, else the first by name that nobody uses.

use std::io;
use std::path::Path;

use super::error::GadgetError;
use super::paths::{GADGET_NAME, Paths};

/// A controller and who uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Controller {
    name: String,
    user: User,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum User {
    Nobody,
    Ours,
    Other(String),
}

/// Finds the controller for our gadget; `wanted` is the name that the operator gave, if any.
///
/// # Errors
/// There is none ([`GadgetError::NoUdc`]), none of that name, it is in use by others, or sysfs
/// cannot be read.
pub fn choose_udc(paths: &Paths, wanted: Option<&str>) -> Result<String, GadgetError> {
    let controllers = list(paths)?;
    if controllers.is_empty() {
        return Err(GadgetError::NoUdc(paths.udc_class.clone()));
    }
    choose(&controllers, wanted)
}

fn choose(controllers: &[Controller], wanted: Option<&str>) -> Result<String, GadgetError> {
    let candidates: Vec<&Controller> = match wanted {
        Some(name) => controllers.iter().filter(|c| c.name == name).collect(),
        None => controllers.iter().collect(),
    };
    let used = |user: &User| candidates.iter().find(|c| c.user == *user);
    if let Some(found) = used(&User::Ours).or_else(|| used(&User::Nobody)) {
        return Ok(found.name.clone());
    }
    match candidates.first() {
        Some(Controller {
            name,
            user: User::Other(by),
        }) => Err(GadgetError::UdcBusy {
            udc: name.clone(),
            by: by.clone(),
        }),
        _ => Err(GadgetError::UdcUnknown {
            name: wanted.unwrap_or_default().to_owned(),
            known: controllers.iter().map(|c| c.name.clone()).collect(),
        }),
    }
}

fn list(paths: &Paths) -> Result<Vec<Controller>, GadgetError> {
    let mut controllers = names(&paths.udc_class)?
        .into_iter()
        .map(|name| user(paths, &name).map(|user| Controller { name, user }))
        .collect::<Result<Vec<_>, _>>()?;
    controllers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(controllers)
}

fn user(paths: &Paths, udc: &str) -> Result<User, GadgetError> {
    for gadget in names(&paths.gadgets())? {
        if bound_to(&paths.gadgets().join(&gadget))?.as_deref() == Some(udc) {
            return Ok(match gadget == GADGET_NAME {
                true => User::Ours,
                false => User::Other(format!("the gadget {gadget}")),
            });
        }
    }
    // A driver that is not of configfs (g_mass_storage, raw-gadget) is only named here.
    let driver = read_optional(&paths.udc_class.join(udc).join("function"))?;
    Ok(match driver.as_deref().map(str::trim) {
        None | Some("") => User::Nobody,
        Some(driver) => User::Other(format!("the driver {driver}")),
    })
}

/// The controller that the gadget in the folder `gadget` is bound to.
pub(super) fn bound_to(gadget: &Path) -> Result<Option<String>, GadgetError> {
    let name = read_optional(&gadget.join("UDC"))?.unwrap_or_default();
    let name = name.trim();
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// The names in a folder; none where there is no such folder.
fn names(folder: &Path) -> Result<Vec<String>, GadgetError> {
    let failed = |source| GadgetError::access(folder, source);
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let name = |entry: io::Result<std::fs::DirEntry>| {
        entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(|entry| name(entry).map_err(failed)).collect()
}

/// An attribute's text; `None` where it is not, or no longer, there.
fn read_optional(path: &Path) -> Result<Option<String>, GadgetError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(GadgetError::access(path, error)),
    }
}

/// The file, or the device behind it, went away.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder that imitates sysfs and configfs: controllers with the driver that uses them,
    /// and gadgets with the controller that they are bound to.
    fn tree(udcs: &[(&str, &str)], gadgets: &[(&str, &str)]) -> (tempfile::TempDir, Paths) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths {
            configfs: root.path().join("config"),
            udc_class: root.path().join("udc"),
            ..Paths::default()
        };
        for (name, driver) in udcs {
            let folder = paths.udc_class.join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("function"), format!("{driver}\n")).unwrap();
        }
        for (name, udc) in gadgets {
            let folder = paths.gadgets().join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("UDC"), format!("{udc}\n")).unwrap();
        }
        (root, paths)
    }

    #[test]
    fn none_at_all_says_what_to_load() {
        let (_root, paths) = tree(&[], &[]);
        let error = choose_udc(&paths, None).unwrap_err();
        assert!(matches!(error, GadgetError::NoUdc(_)));
        let text = error.to_string();
        assert!(
            text.contains("dtoverlay=dwc2") && text.contains("dummy_hcd"),
            "{text}"
        );
    }

    #[test]
    fn the_first_free_one_is_found_and_a_named_one_is_taken() {
        let udcs = [("b.0", ""), ("a.0", "g_mass_storage"), ("c.0", "")];
        let (_root, paths) = tree(&udcs, &[("other", "b.0")]);
        assert_eq!(choose_udc(&paths, None).unwrap(), "c.0");
        assert_eq!(choose_udc(&paths, Some("c.0")).unwrap(), "c.0");
        let error = choose_udc(&paths, Some("b.0")).unwrap_err().to_string();
        assert!(error.contains("the gadget other"), "{error}");
        let error = choose_udc(&paths, Some("a.0")).unwrap_err().to_string();
        assert!(error.contains("the driver g_mass_storage"), "{error}");
        let error = choose_udc(&paths, Some("x.0")).unwrap_err().to_string();
        assert!(error.contains("a.0, b.0, c.0"), "{error}");
    }

    #[test]
    fn the_one_that_our_gadget_has_comes_first() {
        let udcs = [("a.0", ""), ("b.0", "promptstick"), ("c.0", "")];
        let (_root, paths) = tree(&udcs, &[(GADGET_NAME, "b.0")]);
        assert_eq!(choose_udc(&paths, None).unwrap(), "b.0");
        assert_eq!(choose_udc(&paths, Some("c.0")).unwrap(), "c.0");
    }

    #[test]
    fn all_in_use_is_busy() {
        let (_root, paths) = tree(&[("a.0", "x")], &[("other", "a.0")]);
        let error = choose_udc(&paths, None).unwrap_err();
        assert!(matches!(error, GadgetError::UdcBusy { .. }), "{error}");
    }

    #[test]
    fn a_gadget_that_is_not_bound_has_no_controller() {
        let (_root, paths) = tree(&[], &[(GADGET_NAME, "")]);
        assert_eq!(bound_to(&paths.gadget()).unwrap(), None);
        assert_eq!(bound_to(Path::new("/nonexistent")).unwrap(), None);
    }
}
