//! What the daemon's log says, in the words by which scenarios look for it.

/// The drive is ready for a host.
pub const READY: &str = "ready for prompts";

/// A gadget is made.
pub const MADE: &str = "made the drive";

/// A gadget that an earlier daemon left is taken over.
pub const ADOPTED: &str = "took over the drive of an earlier daemon";

/// The volume was repaired after a host that vanished.
pub const REPAIRED: &str = "the volume was not whole; repaired it";

/// There is no volume that can be served.
pub const UNUSABLE: &str = "trying again until it is mended";

/// The configuration was read again, and is another one.
pub const RECONFIGURED: &str = "the configuration has changed";

/// The engine begins with a prompt.
pub const THINKING: &str = " thinking job=";

/// The process with the model has it in memory.
pub const LOADED: &str = "model loaded";

/// The prompt is another one by now, or gone; the engine was stopped.
pub const CHANGED: &str = "the prompt changed";

/// The prompt is no text, for one.
pub const REFUSED: &str = "cannot be asked";

/// The engine has finished.
pub const ANSWERED: &str = " answered job=";

/// A response is on the volume.
pub const PUBLISHED: &str = " published job=";

/// There is no room for a response.
pub const NO_ROOM: &str = "cannot be put onto the volume";

/// The disk under the image has no room for what comes before each write.
pub const NO_JOURNAL: &str = "the journal cannot be written beside the image";

/// The host has not finished a file, and keeps the medium.
pub const UNFINISHED: &str = "the computer has not finished a file";

/// Answers are in a unit of their own.
pub const SHOWN: &str = "answers are to be read on the second drive";

/// A medium was taken from a viewer.
pub const FORCED: &str = "took the answers from a viewer";

/// The drive is disconnected for a host that does not look at it.
pub const REBOUND: &str = " it anew";
