//! The waiting times of the medium, with the observation behind each. Used by [`crate::Machine`]
//! and [`crate::Settler`]; all in milliseconds of a monotonic clock.

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// No write for so long before the volume is read: a host's burst of writes is over.
    /// (CircuitPython waits 750 ms, DAPLink 500 ms.)
    pub quiet_ms: u64,
    /// Between the two identical reads that settle a file.
    pub second_read_ms: u64,
    /// A file on a volume marked as in use must have stayed the same for so long. Linux's late
    /// writes come in bursts with silent gaps of 5 s and more; desktops finish a file in 0.5 s.
    pub in_use_ms: u64,
    /// The same for an empty file: a default Linux mount shows size 0 for 30 s before the data.
    pub in_use_empty_ms: u64,
    /// A file that stayed inconsistent for so long, on a volume that is not in use, is damaged.
    pub damaged_ms: u64,
    /// After a file on a volume in use was accepted, it is read again so much later, each time:
    /// a silent gap may have hidden a late write.
    pub recheck_ms: [u64; 2],
    /// Between attempts to take a medium that is busy: after an unmount, a desktop's probes hold
    /// it for 0.5 to 1.5 s in short pairs.
    pub retry_ms: u64,
    /// Attempts at that pace, before it counts as held.
    pub retries: u32,
    /// Between attempts to take a medium that is held, while there is something to publish.
    pub held_retry_ms: u64,
    /// For so long a drive is empty before the medium that changed is put back: hosts poll, and
    /// Windows ignores a change during which it saw no "no medium". 0: nobody polls, there is no
    /// drive.
    pub absent_ms: u64,
    /// A host that lives reads a medium within 2 s of its insertion; when nobody has for so long,
    /// nobody looks at the drive (a desktop has "powered it off").
    pub unseen_ms: u64,
    /// The bus was suspended for so long while something waits: the host sleeps for long, or has
    /// powered the drive off, which many controllers see as the same.
    pub asleep_ms: u64,
    /// The bus was without a host for so long: it is gone, not merely enumerating.
    pub detached_ms: u64,
    /// An answer that a host's hold on the medium has kept back for so long is shown elsewhere.
    pub show_ms: u64,
}

impl Timing {
    /// For an image that other programs on this machine open and close.
    pub const PLAIN_FILE: Self = Self {
        quiet_ms: 500,
        second_read_ms: 500,
        in_use_ms: 3_000,
        in_use_empty_ms: 65_000,
        damaged_ms: 65_000,
        recheck_ms: [8_000, 40_000],
        retry_ms: 200,
        retries: 15,
        held_retry_ms: 2_000,
        absent_ms: 0,
        unseen_ms: 0,
        asleep_ms: u64::MAX,
        detached_ms: 0,
        show_ms: u64::MAX,
    };

    /// For the USB drive.
    pub const GADGET: Self = Self {
        absent_ms: 2_500,
        unseen_ms: 6_000,
        asleep_ms: 20_000,
        detached_ms: 3_000,
        show_ms: 3_000,
        ..Self::PLAIN_FILE
    };

    /// For a plain image that is worked off once: the user says that it is complete.
    pub const ONCE: Self = Self {
        quiet_ms: 0,
        damaged_ms: 500,
        ..Self::PLAIN_FILE
    };
}

const _: () = {
    let t = Timing::PLAIN_FILE;
    assert!(
        t.quiet_ms + t.second_read_ms <= t.in_use_ms,
        "two reads fit into the longer wait"
    );
    assert!(
        t.in_use_ms < t.recheck_ms[0],
        "a recheck comes after the acceptance it doubts"
    );
    assert!(t.recheck_ms[0] < t.recheck_ms[1]);
    assert!(
        t.recheck_ms[1] > 35_000,
        "covers a rename that Linux writes 35 s late"
    );
    assert!(
        t.in_use_empty_ms > 61_000,
        "covers the 61 s of a default Linux mount"
    );
    assert!(
        t.retry_ms * t.retries as u64 >= 3_000,
        "covers a desktop's probes after an unmount"
    );
    assert!(t.held_retry_ms > t.retry_ms);
};

const _: () = {
    let t = Timing::GADGET;
    /// The slowest host that looks at its drives regularly.
    const SLOWEST_POLL_MS: u64 = 2_000;
    assert!(
        t.absent_ms > SLOWEST_POLL_MS,
        "each host's poll falls into the absence at least once"
    );
    assert!(
        t.unseen_ms > 2 * SLOWEST_POLL_MS,
        "a host that lives has polled and read before it counts as gone"
    );
    assert!(
        t.asleep_ms > t.unseen_ms,
        "what looks like sleep is waited out for longer than what does not"
    );
    assert!(
        t.show_ms >= t.retry_ms * t.retries as u64,
        "a desktop's probes are waited out before another drive appears"
    );
    assert!(
        t.detached_ms > 1_600,
        "a host that re-enumerates is back after 1.6 s"
    );
};
