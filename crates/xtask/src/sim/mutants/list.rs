//! The mutations: each is one way to break the program, in one place or in several that stand in
//! for each other. A place is a text that occurs once.

/// One way to break it.
pub struct Mutant {
    pub name: &'static str,
    pub changes: &'static [Change],
}

/// One place.
pub struct Change {
    pub file: &'static str,
    pub was: &'static str,
    pub becomes: &'static str,
}

pub const MUTANTS: [Mutant; 22] = [
    Mutant {
        name: "do not sync the image after a publication",
        changes: &[Change {
            file: "crates/volume/src/journal/publish.rs",
            was: "    device.sync().map_err(PublishError::Apply)?;\n    remove(journal)\n",
            becomes: "    remove(journal)\n",
        }],
    },
    Mutant {
        name: "do not sync the journal",
        changes: &[Change {
            file: "crates/volume/src/journal/publish.rs",
            was: "        .and_then(|()| journal.sync())\n",
            becomes: "",
        }],
    },
    Mutant {
        name: "do not sync the journal's name",
        changes: &[Change {
            file: "crates/volume/src/journal/publish.rs",
            was: "commit())\n        .and_then(|()| journal.sync_folder());\n    written",
            becomes: "commit());\n    written",
        }],
    },
    Mutant {
        name: "recover from a journal whose name is in a cache",
        changes: &[Change {
            file: "crates/volume/src/journal/recover.rs",
            was: "    store.sync_folder().map_err(PublishError::Journal)?;\n    let mut sectors",
            becomes: "    let mut sectors",
        }],
    },
    Mutant {
        name: "leave the journal of a killed daemon",
        changes: &[Change {
            file: "crates/promptstick/src/daemon/session/mend.rs",
            was: "    let needs_mending = found != Found::Held && (",
            becomes: "    let needs_mending = found == Found::Alone && (",
        }],
    },
    Mutant {
        name: "give back what is half done",
        changes: &[Change {
            file: "crates/promptstick/src/daemon/session/take.rs",
            was: "!(is_harmless(error) && matches!(has_journal(&self.world), Ok(false)))",
            becomes: "!is_harmless(error) && false",
        }],
    },
    Mutant {
        name: "give the medium back beside a journal",
        changes: &[Change {
            file: "crates/promptstick/src/daemon/session/take.rs",
            was: "!(is_harmless(error) && matches!(has_journal(&self.world), Ok(false)))",
            becomes: "!is_harmless(error)",
        }],
    },
    Mutant {
        name: "take a bus that cannot be read for an absent host",
        changes: &[Change {
            file: "crates/promptstick/src/daemon/session/mod.rs",
            was: "            let bus = self.world.bus();\n",
            becomes: concat!(
                "            let bus = self.world.bus();\n",
                "            let bus = anyhow::Ok(bus.unwrap_or(medium::Bus::Detached));\n"
            ),
        }],
    },
    Mutant {
        name: "forget what was about to be published",
        changes: &[Change {
            file: "crates/promptstick/src/daemon/session/take.rs",
            was: "    mailbox.resolve_intents(&content)?;\n",
            becomes: "    let _ = (&content, mailbox.publishing(&[])?);\n",
        }],
    },
    Mutant {
        name: "skip the journal",
        changes: &[Change {
            file: "crates/volume/src/journal/publish.rs",
            was: "    write_journal(journal, changes)?;\n",
            becomes: "    let _ = write_journal::<J>;\n",
        }],
    },
    Mutant {
        // The simulated kernel's answer, which the program cannot overlook.
        name: "ignore EBUSY",
        changes: &[Change {
            file: "tests/sim/usb/mod.rs",
            was: "if self.inner().luns[lun].is_prevented {",
            becomes: "if lun > 0 && self.inner().luns[lun].is_prevented {",
        }],
    },
    Mutant {
        name: "trust the lock alone",
        changes: &[Change {
            file: "crates/volume/src/volume.rs",
            was: "        self == Self::default()\n",
            becomes: "        true\n",
        }],
    },
    Mutant {
        name: "accept on first sight",
        changes: &[Change {
            file: "crates/medium/src/settle.rs",
            was: "        self.is_confirmed(now_ms, timing) && steady && consistent\n",
            becomes: "        let _ = (steady, now_ms, timing);\n        consistent\n",
        }],
    },
    Mutant {
        // Any one of them suffices: what was read last, whether it was written since, and what is
        // read when the medium is ours.
        name: "publish without verifying",
        changes: &[
            Change {
                file: "crates/medium/src/machine/mod.rs",
                was: "        if self.written_ms.is_some() {\n",
                becomes: "        if false {\n",
            },
            Change {
                file: "crates/promptstick/src/daemon/session/take.rs",
                was: "        if is_asked(how) && self.is_modified() {\n",
                becomes: "        if false {\n",
            },
            Change {
                file: "crates/promptstick/src/daemon/session/believe.rs",
                was: "        self.report.unreadable(&scan.unreadable);\n",
                becomes: concat!(
                    "        if self.machine.is_ours() {\n",
                    "            return Ok(());\n        }\n"
                ),
            },
        ],
    },
    Mutant {
        name: "reuse a name",
        changes: &[Change {
            file: "crates/mailbox/src/mailbox/publish.rs",
            was: "            if ordinal > highest && is_free(&name) {",
            becomes: "            if is_free(&name) {",
        }],
    },
    Mutant {
        name: "trust the marks after a power cut",
        changes: &[Change {
            file: "crates/promptstick/src/stick.rs",
            was: "    // The device has no clock (see `build`).\n    let (limits, time)",
            becomes: concat!(
                "    if Volume::open(&*device)?.dirty_marks()?.is_clean() {\n",
                "        return Ok(false);\n    }\n    let (limits, time)"
            ),
        }],
    },
    Mutant {
        name: "do not sync the ledger",
        changes: &[Change {
            file: "crates/mailbox/src/ledger/file.rs",
            was: "    disk.sync(LEDGER_NAME)\n",
            becomes: "    Ok(())\n",
        }],
    },
    Mutant {
        name: "put the medium back at once",
        changes: &[Change {
            file: "crates/medium/src/machine/mod.rs",
            was: "(now_ms + self.timing.retry_ms).max(since_ms + self.timing.absent_ms)",
            becomes: "now_ms + self.timing.retry_ms + 0 * since_ms",
        }],
    },
    Mutant {
        name: "a reset ends the absence",
        changes: &[Change {
            file: "crates/medium/src/machine/mod.rs",
            was: "Some(insert_ms.max(self.bus_since_ms + self.timing.detached_ms))",
            becomes: "Some(self.bus_since_ms.min(insert_ms))",
        }],
    },
    Mutant {
        name: "do not read a volume again that is in use",
        changes: &[Change {
            file: "crates/promptstick/src/daemon/session/mod.rs",
            was: "    pub fn wrote(&mut self) {\n",
            becomes: "    pub fn wrote(&mut self) {\n        if self.in_use() {\n            return;\n        }\n",
        }],
    },
    Mutant {
        name: "recover what is not there yet, and no more",
        changes: &[Change {
            file: "crates/volume/src/journal/recover.rs",
            was: "        sectors += u32::from(state(device, &sector)? != State::New);\n",
            becomes: "        if state(device, &sector)? == State::New {\n            continue;\n        }\n        sectors += 1;\n",
        }],
    },
    Mutant {
        name: "take a ledger for durable after a sync that failed",
        changes: &[Change {
            file: "crates/mailbox/src/ledger/file.rs",
            was: "        disk.write_durably(LEDGER_NAME, sound)\n",
            becomes: "        append_durably(disk, sound.len() as u64, &[])\n            .and_then(|()| disk.sync_folder(\"\"))\n",
        }],
    },
];
