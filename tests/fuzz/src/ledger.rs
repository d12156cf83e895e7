//! Target of the ledger: any bytes open as a history, or as one that was kept aside; what is
//! appended is there when it is opened again, and the shortest history adds up to the same state.

use mailbox::ledger::{Answer, History, LEDGER_NAME, Ledger, Record, Source, State};
use mailbox::{Digest, JobId, Mailbox, MailboxError, OutcomeKind, Sighting, Stamp};

use crate::input::Input;
use crate::state_disk::MemoryDisk;

const SERIAL: u32 = 0x1234_ABCD;
const HEADER_BYTES: usize = 20;
/// Most frames of a ledger that is made.
const MAX_FRAMES: usize = 64;

/// The first byte says whether the rest is the file as it is, or records (each frame a length byte
/// and its bytes) to which headers and checksums are made that hold.
pub fn ledger(data: &[u8]) {
    let mut input = Input(data);
    let Some(kind) = input.u8() else { return };
    let bytes = if kind & 1 == 0 {
        input.0.to_vec()
    } else {
        framed(kind, &mut input)
    };
    let mut disk = MemoryDisk::default();
    disk.files.insert(LEDGER_NAME.to_owned(), bytes.clone());
    let mut ledger = match Ledger::open(&mut disk, SERIAL) {
        Ok(ledger) => ledger,
        Err(MailboxError::NewerFormat { .. }) => {
            assert_eq!(disk.files[LEDGER_NAME], bytes, "it is left as it is");
            return;
        }
        Err(error) => panic!("a disk that does not fail: {error}"),
    };
    kept(&ledger, &disk, &bytes);
    adds_up(ledger.state());
    let next = ledger.state().next_id();
    // Nothing that happens later is lost for what was in the file before.
    for records in later(next).chunks(2) {
        ledger
            .append(&mut disk, records)
            .expect("there is room, and the disk does not fail");
    }
    let state = ledger.state().clone();
    let again = Ledger::open(&mut disk, SERIAL).expect("it was written by us");
    assert!(matches!(
        again.history(),
        History::Resumed {
            dropped_bytes: 0,
            ..
        }
    ));
    assert_eq!(*again.state(), state);
    mailbox(disk);
}

/// A file with a header and frames, as `docs/SPEC.md` section 4 has them.
fn framed(kind: u8, input: &mut Input<'_>) -> Vec<u8> {
    let version = if kind & 2 == 0 { 1_u32 } else { 2 };
    let serial = if kind & 4 == 0 { SERIAL } else { 7 };
    let mut bytes = [
        &b"PSLEDGER"[..],
        &version.to_le_bytes(),
        &serial.to_le_bytes(),
    ]
    .concat();
    let mut crc = crc32fast::hash(&bytes);
    bytes.extend(crc.to_le_bytes());
    for _ in 0..MAX_FRAMES {
        let Some(payload) = input.short_bytes() else {
            break;
        };
        let len = u32::try_from(payload.len()).unwrap_or(0).to_le_bytes();
        let covered = [&crc.to_le_bytes()[..], &len, payload].concat();
        crc = crc32fast::hash(&covered);
        bytes.extend(len);
        bytes.extend(crc.to_le_bytes());
        bytes.extend(payload);
    }
    bytes
}

/// What the file was is on the disk still, but for an end that is no frame.
fn kept(ledger: &Ledger, disk: &MemoryDisk, bytes: &[u8]) {
    let now = &disk.files[LEDGER_NAME];
    match ledger.history() {
        History::Resumed { dropped_bytes, .. } => {
            assert!(bytes.starts_with(now));
            assert_eq!(dropped_bytes, (bytes.len() - now.len()) as u64);
        }
        History::Fresh => panic!("there was a file"),
        History::OtherVolume { .. } | History::Damaged => {
            assert_eq!(disk.files[&format!("{LEDGER_NAME}.old-1")], bytes);
            assert_eq!(now.len(), HEADER_BYTES);
            assert_eq!(*ledger.state(), State::default());
        }
    }
}

fn adds_up(state: &State) {
    let mut again = State::default();
    let history = state.snapshot();
    history.iter().for_each(|record| again.apply(record));
    assert_eq!(again, *state, "{history:?}");
}

fn later(next: JobId) -> [Record; 4] {
    let answer = Answer {
        kind: OutcomeKind::Response,
        digest: Digest::of(b"x"),
        len_bytes: 1,
    };
    let added = Record::Added {
        id: next,
        source: Source::Content,
        digest: Digest::of(b"y"),
        stamp: Stamp::default(),
        path: "a.txt".to_owned(),
    };
    let path = "a.response.txt".to_owned();
    [
        added,
        Record::Answered { id: next, answer },
        Record::Intended {
            id: next,
            path: path.clone(),
        },
        Record::Published { id: next, path },
    ]
}

/// The mailbox goes on with such a ledger: a prompt is answered under a name that is not used.
fn mailbox(disk: MemoryDisk) {
    let mut mailbox = match Mailbox::open_on(disk, SERIAL) {
        Ok(mailbox) => mailbox,
        Err(error) => panic!("it was written by us: {error}"),
    };
    assert!(mailbox.used("a.response.txt"));
    let sighting = Sighting {
        path: "b.txt".to_owned(),
        stamp: Stamp::default(),
        digest: Digest::of(b"another"),
        named: false,
    };
    mailbox
        .reconcile(&[sighting], &|_| false)
        .expect("the disk does not fail");
    let ids: Vec<JobId> = mailbox.queued().map(|job| job.id).collect();
    for (id, path) in mailbox.names_for(&ids, &|_| false) {
        assert!(!mailbox.used(&path), "{id}: {path:?} is used");
    }
    let (counts, queued) = (mailbox.counts(), mailbox.queued().collect::<Vec<_>>());
    assert!(queued.iter().any(|job| job.path == "b.txt"));
    assert_eq!(counts.queued, queued.len());
}
