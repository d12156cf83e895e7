//! Every limit of this crate, in one place: what a host may make the stick hold or do.
//!
//! docs/SPEC.md sections 3 and 4 list them; a change here is a change there.

/// The largest prompt file. A context of 8192 tokens holds some 32 KiB of English.
pub const PROMPT_LIMIT_BYTES: u64 = 64 * 1024;

/// The largest `SETTINGS.TOML`.
pub const SETTINGS_LIMIT_BYTES: u64 = 16 * 1024;

/// The largest response or error file that is kept and published.
pub const RESPONSE_LIMIT_BYTES: usize = 1024 * 1024;

/// The longest name that we give a file. FAT allows 255 units; Windows programs open a path of at
/// most 259, drive and folder included, so a longer name would lie there and not open.
pub const NAME_LIMIT_UNITS: usize = 240;

/// The highest N in `NAME.response-N.txt`.
pub const ORDINAL_MAX: u32 = 999_999;

/// How many names are tried for one file before giving up. A FAT folder holds at most 65,536
/// entries, so more tries cannot all be taken by files that are there.
pub const NAME_TRIES_MAX: u32 = 65_537;

/// The most prompts that are followed at a time; further ones wait until some are deleted.
pub const JOBS_MAX: usize = 10_000;

/// The most answered prompts that are remembered although they are gone from the volume.
pub const GONE_MAX: usize = 1_000;

/// The most different response names (without their numbers) in a volume's life.
pub const NAMES_MAX: usize = 1 << 20;

/// The longest path that the ledger holds: three names of 255 units in UTF-8, and separators.
pub const PATH_LIMIT_BYTES: usize = 3 * 255 * 3 + 2;

/// Published outcomes that are kept for the second drive: how many, and how many bytes of them.
pub const KEPT_OUTCOMES_MAX: usize = 64;
/// See [`KEPT_OUTCOMES_MAX`].
pub const KEPT_OUTCOMES_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// The most temporary and foreign files that one clean-up of the response store removes.
pub const SWEEP_MAX: usize = 100_000;

/// The largest ledger that is read or written. What can be live is bounded: 10,000 jobs with the
/// longest names and a million names used are 30 MiB, and compaction keeps the file below 2.5 times
/// that.
pub const LEDGER_LIMIT_BYTES: u64 = 128 * 1024 * 1024;

/// The largest frame of the ledger: what one append makes durable at once.
pub const FRAME_LIMIT_BYTES: usize = 1024 * 1024;

/// Ledgers of other volumes, or damaged ones, that are kept aside.
pub const ASIDE_MAX: u32 = 4;
