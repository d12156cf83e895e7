//! The ledger's file against cuts, flips, foreign volumes, full disks and years of use.

use volume::testing::Random;

use super::codec::{self, HEADER_BYTES};
use super::file::COMPACT_MIN_BYTES;
use super::*;
use crate::digest::Digest;
use crate::error::MailboxError;
use crate::job::{JobId, Stamp};
use crate::name::OutcomeKind;
use crate::testing::{CutDisk, DiskFault};

const SERIAL: u32 = 7;

fn added(id: u64, path: &str) -> Record {
    let (source, digest, stamp) = (
        Source::Content,
        Digest::of(path.as_bytes()),
        Stamp::default(),
    );
    Record::Added {
        id: JobId(id),
        source,
        digest,
        stamp,
        path: path.into(),
    }
}

fn answered(id: u64) -> Record {
    let answer = Answer {
        kind: OutcomeKind::Response,
        digest: Digest::of(b"x"),
        len_bytes: 1,
    };
    Record::Answered {
        id: JobId(id),
        answer,
    }
}

/// One of each record, in several appends.
fn batches() -> Vec<Vec<Record>> {
    let (one, path) = (JobId(1), "prompts/ä.response.txt".to_owned());
    let stamp = Stamp {
        first_cluster: 5,
        len_bytes: 6,
        modified: (7, 8),
        created: (9, 10),
    };
    vec![
        vec![
            added(1, "prompts/ä.txt"),
            added(2, "b.txt"),
            added(3, "SETTINGS.TOML"),
        ],
        vec![
            Record::Seen {
                id: one,
                stamp,
                path: "prompts/Ä.txt".into(),
            },
            answered(1),
        ],
        vec![answered(2), Record::Requeued { id: JobId(2) }],
        vec![Record::Intended {
            id: one,
            path: path.clone(),
        }],
        vec![
            Record::Published { id: one, path },
            Record::Dropped { id: JobId(3) },
        ],
        vec![Record::Gone { id: one }],
        vec![
            Record::Used { key: 9, ordinal: 4 },
            Record::NextId { id: JobId(99) },
        ],
    ]
}

/// A ledger with that history, its file, and the state after each append, the empty one first.
fn written() -> (Vec<u8>, Vec<State>) {
    let mut disk = CutDisk::default();
    let mut ledger = Ledger::open(&mut disk, SERIAL).unwrap();
    let mut states = vec![ledger.state().clone()];
    for batch in batches() {
        ledger.append(&mut disk, &batch).unwrap();
        states.push(ledger.state().clone());
    }
    (disk.bytes(LEDGER_NAME).unwrap(), states)
}

fn reopened(bytes: &[u8]) -> (CutDisk, Result<Ledger, MailboxError>) {
    let mut disk = CutDisk::default();
    disk.plant(LEDGER_NAME, bytes);
    let ledger = Ledger::open(&mut disk, SERIAL);
    (disk, ledger)
}

#[test]
fn the_format_is_the_one_in_the_specification() {
    // Written by hand from docs/SPEC.md; the CRCs by Python's zlib.crc32.
    let header = codec::header(0x1234_5678);
    assert_eq!(header[..16], *b"PSLEDGER\x01\0\0\0\x78\x56\x34\x12");
    assert_eq!(header[16..], HEADER_CRC.to_le_bytes());
    let (frame, crc) = codec::frames(&[Record::Dropped { id: JobId(258) }], HEADER_CRC);
    let mut expected = vec![9, 0, 0, 0];
    expected.extend(FRAME_CRC.to_le_bytes());
    expected.extend([8, 2, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!((frame, crc), (expected, FRAME_CRC));
}

/// `zlib.crc32(b"PSLEDGER" + struct.pack("<II", 1, 0x12345678))`
const HEADER_CRC: u32 = 0xda4a_34b9;
/// `zlib.crc32(struct.pack("<II", HEADER_CRC, 9) + struct.pack("<BQ", 8, 258))`
const FRAME_CRC: u32 = 0x0daa_40dd;

#[test]
fn every_record_reads_back() {
    let records: Vec<_> = batches().concat();
    let (bytes, crc) = codec::frames(&records, 5);
    let frame = codec::read_frame(&bytes, 5).unwrap();
    assert_eq!(
        (frame.records, frame.crc, frame.len_bytes),
        (records, crc, bytes.len())
    );
}

#[test]
fn a_file_cut_at_any_length_gives_a_prefix_of_its_history_and_goes_on() {
    let (bytes, states) = written();
    let mut last = 0;
    for len in 0..=bytes.len() {
        let (mut disk, ledger) = reopened(&bytes[..len]);
        let mut ledger = ledger.unwrap();
        let reached = states
            .iter()
            .position(|state| state == ledger.state())
            .unwrap();
        assert!(
            reached >= last,
            "{len}: a longer file gives a shorter history"
        );
        last = reached;
        assert_eq!(ledger.history() == History::Damaged, len < HEADER_BYTES);
        ledger.append(&mut disk, &[added(50, "new.txt")]).unwrap();
        let state = ledger.state().clone();
        let again = Ledger::open(&mut disk, SERIAL).unwrap();
        assert_eq!(again.state(), &state, "{len}");
        assert!(matches!(
            again.history(),
            History::Resumed {
                dropped_bytes: 0,
                ..
            }
        ));
    }
    assert_eq!(last, states.len() - 1);
}

#[test]
fn a_file_with_any_byte_changed_gives_a_prefix_of_its_history() {
    let (bytes, states) = written();
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            let (_, ledger) = reopened(&damaged);
            let ledger = ledger.unwrap();
            assert!(states.contains(ledger.state()), "byte {at}");
            assert_ne!(
                ledger.state(),
                states.last().unwrap(),
                "byte {at} is not covered"
            );
        }
    }
}

#[test]
fn garbage_after_the_end_is_dropped() {
    let (bytes, states) = written();
    for garbage in [
        &[0; 40][..],
        &[0xff; 40],
        &bytes[HEADER_BYTES..],
        b"\x09\0\0\0",
    ] {
        let (disk, ledger) = reopened(&[&bytes, garbage].concat());
        assert_eq!(ledger.unwrap().state(), states.last().unwrap());
        assert_eq!(disk.bytes(LEDGER_NAME).unwrap(), bytes);
    }
}

#[test]
fn a_failed_append_changes_nothing_and_can_be_repeated() {
    for operation in 0..2 {
        let mut disk = CutDisk::default();
        let mut ledger = Ledger::open(&mut disk, SERIAL).unwrap();
        ledger.append(&mut disk, &[added(1, "a.txt")]).unwrap();
        let before = ledger.state().clone();
        disk.fail_after(operation, DiskFault::Full);
        ledger
            .append(&mut disk, &[added(2, "long name.txt")])
            .unwrap_err();
        assert_eq!(ledger.state(), &before);
        ledger.append(&mut disk, &[added(3, "c")]).unwrap();
        assert_eq!(
            Ledger::open(&mut disk, SERIAL).unwrap().state(),
            ledger.state()
        );
    }
}

#[test]
fn another_volume_starts_afresh_and_old_ledgers_are_kept_aside_in_number() {
    let mut disk = CutDisk::default();
    for serial in 1..=10 {
        let mut ledger = Ledger::open(&mut disk, serial).unwrap();
        assert_eq!(ledger.state(), &State::default());
        if serial > 1 {
            assert_eq!(
                ledger.history(),
                History::OtherVolume { serial: serial - 1 }
            );
        }
        ledger
            .append(&mut disk, &[added(1, &format!("{serial}.txt"))])
            .unwrap();
    }
    let mut names = disk.names();
    names.retain(|name| name.contains("old"));
    assert_eq!(
        names,
        [
            "ledger.old-1",
            "ledger.old-2",
            "ledger.old-3",
            "ledger.old-4"
        ]
    );
    let newest = disk.bytes("ledger.old-1").unwrap();
    assert!(newest.windows(5).any(|window| window == b"9.txt"));
}

#[test]
fn a_newer_format_is_refused_and_left_as_it_is() {
    let mut bytes = codec::header(SERIAL);
    bytes[8] = 2;
    let crc = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_le_bytes());
    let (disk, ledger) = reopened(&bytes);
    assert!(matches!(
        ledger,
        Err(MailboxError::NewerFormat { found: 2, known: 1 })
    ));
    assert_eq!(disk.bytes(LEDGER_NAME).unwrap(), bytes);
}

#[test]
fn years_of_use_stay_small_and_no_name_is_forgotten() {
    let mut disk = CutDisk::default();
    let mut ledger = Ledger::open(&mut disk, SERIAL).unwrap();
    let mut longest = 0;
    for id in 1..=20_000_u64 {
        let name = match id {
            1..=9 => format!("a.response-{id}.txt"),
            _ => format!("{}.response.txt", id % 100),
        };
        let published = Record::Published {
            id: JobId(id),
            path: name,
        };
        let records = [
            added(id, "a.txt"),
            answered(id),
            published,
            Record::Dropped { id: JobId(id) },
        ];
        ledger.append(&mut disk, &records).unwrap();
        longest = longest.max(disk.bytes(LEDGER_NAME).unwrap().len());
    }
    assert!(longest < 100_000, "{longest} bytes");
    let again = Ledger::open(&mut disk, SERIAL).unwrap();
    assert_eq!(again.state(), ledger.state());
    assert!(again.state().is_used("A.response-9.txt"));
    assert!(!again.state().is_used("a.response-10.txt"));
    assert_eq!(again.state().next_id(), JobId(20_001));
}

#[test]
fn a_snapshot_adds_up_to_its_state() {
    for state in written().1 {
        let mut again = State::default();
        state
            .snapshot()
            .iter()
            .for_each(|record| again.apply(record));
        assert_eq!(again.snapshot(), state.snapshot());
        assert_eq!(again.jobs, state.jobs);
    }
}

#[test]
fn an_append_larger_than_a_frame_is_split() {
    let mut disk = CutDisk::default();
    let mut ledger = Ledger::open(&mut disk, SERIAL).unwrap();
    let path = "x".repeat(1000);
    let records: Vec<_> = (1..=2000).map(|id| added(id, &path)).collect();
    ledger.append(&mut disk, &records).unwrap();
    assert_eq!(
        Ledger::open(&mut disk, SERIAL).unwrap().state().jobs.len(),
        2000
    );
}

/// A ledger of jobs that are forgotten, one append short of being compacted.
fn nearly_compacted() -> (CutDisk, Ledger) {
    let mut disk = CutDisk::default();
    let mut ledger = Ledger::open(&mut disk, SERIAL).unwrap();
    let dead: Vec<_> = (1..100)
        .flat_map(|id| [added(id, "a.txt"), Record::Dropped { id: JobId(id) }])
        .collect();
    let batch_bytes = codec::frames(&dead, 0).0.len();
    let limit = usize::try_from(COMPACT_MIN_BYTES).unwrap();
    while disk.bytes(LEDGER_NAME).unwrap().len() + batch_bytes < limit {
        ledger.append(&mut disk, &dead).unwrap();
    }
    (disk, ledger)
}

#[test]
fn a_fault_at_any_operation_of_a_compaction_loses_no_record() {
    let long = "x".repeat(2000);
    // Jobs that are there before, so that some appends go to the compacted file.
    let ids = 1000..1016_u64;
    let (disk, mut ledger) = nearly_compacted();
    let before = disk.operations();
    for id in ids.clone() {
        ledger
            .append(&mut disk.clone(), &[added(id, &long)])
            .unwrap();
    }
    let operations = disk.operations() - before;
    assert!(
        disk.bytes(LEDGER_NAME).unwrap().len() < 60_000,
        "it was not compacted"
    );
    for case in 0..operations * 2 * 8 {
        let (mut disk, mut ledger) = nearly_compacted();
        let at = case / 16;
        if case % 2 == 0 {
            disk.cut_after(at);
        } else {
            disk.fail_after(at, DiskFault::Full);
        }
        let recorded: Vec<_> = ids
            .clone()
            .filter(|id| ledger.append(&mut disk, &[added(*id, &long)]).is_ok())
            .collect();
        disk.restart(&mut Random::new(case as u64));
        let ledger = Ledger::open(&mut disk, SERIAL).unwrap();
        for id in recorded {
            assert!(
                ledger.state().jobs.contains_key(&JobId(id)),
                "case {case}: job {id}"
            );
        }
    }
}

/// Whoever had the ledger open before may have been killed in the middle of anything: what it left
/// is read from a cache, and a power cut may still take it.
#[test]
fn what_was_read_at_the_start_is_as_durable_as_what_comes_after() {
    let long = "x".repeat(2000);
    let ids = 1000..1016_u64;
    let mut at = 0;
    loop {
        let (mut disk, mut ledger) = nearly_compacted();
        disk.fail_after(at, DiskFault::Io);
        for id in ids.clone() {
            let _ = ledger.append(&mut disk, &[added(id, &long)]);
        }
        let was_killed = disk.takes_fault();
        disk.forget_planned();
        let mut ledger = Ledger::open(&mut disk, SERIAL).unwrap();
        if at % 2 == 0 {
            ledger.append(&mut disk, &[added(2000, "new.txt")]).unwrap();
        }
        let known = ledger.state().clone();
        disk.cut();
        disk.restart(&mut Random::new(at as u64));
        let again = Ledger::open(&mut disk, SERIAL).unwrap();
        assert!(again.state() == &known, "killed at {at}");
        if !was_killed {
            break;
        }
        at += 1;
    }
    assert!(at > 30, "{at}");
}
