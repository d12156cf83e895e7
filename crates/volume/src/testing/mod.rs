//! Fakes for tests, behind the feature `testing`: a device that counts reads, a device and a
//! journal that lose power, and the generator that makes both repeatable.

mod counting;
mod paged;
mod patched;
mod power;
mod random;

pub use counting::CountingDevice;
pub use paged::PagedImage;
pub use patched::PatchedDevice;
pub use power::{AfterCut, Fate, PowerDevice, PowerJournal, PowerLab};
pub use random::Random;
