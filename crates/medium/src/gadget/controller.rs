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
