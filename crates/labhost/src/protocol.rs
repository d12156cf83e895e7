//! What the guest tells the harness: lines that begin with `@lab`, over a serial line. Both ends
//! use this module, so they agree. Pure.

use std::fmt;

/// What each line of ours begins with; others are noise of the line.
const MARK: &str = "@lab ";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Something was done or seen; for people.
    Step(String),
    /// A line of the daemon's log, where a person watches both ends.
    Log(String),
    /// How long something took in the guest, for the tables of docs/LAB.md.
    Measured {
        /// What; one word.
        name: String,
        /// Milliseconds.
        ms: u64,
    },
    /// How much memory something took or left, for the tables of docs/BOARD.md.
    Memory {
        /// What; one word.
        name: String,
        /// Kibibytes.
        kib: u64,
    },
    /// The host has flushed a file to the stick: from now on it must not change.
    Flushed {
        /// SHA-256 of the content, in hexadecimal.
        sha256: String,
        /// Its path on the volume, without a slash at the start.
        path: String,
    },
    /// The host has deleted or is about to replace a file: the promise of [`Line::Flushed`] ends.
    Gone {
        /// Its path on the volume.
        path: String,
    },
    /// The host relies on exactly one answer to this prompt.
    Asked {
        /// Its path on the volume.
        path: String,
    },
    /// The files of the stick are on the export disk.
    Exported,
    /// The scenario ended as it should.
    Pass,
    /// The scenario failed, and why.
    Fail(String),
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(MARK)?;
        match self {
            Self::Step(text) => write!(out, "step {}", one_line(text)),
            Self::Log(text) => write!(out, "log {}", one_line(text)),
            Self::Measured { name, ms } => write!(out, "measured {name} {ms}"),
            Self::Memory { name, kib } => write!(out, "memory {name} {kib}"),
            Self::Flushed { sha256, path } => write!(out, "flushed {sha256} {path}"),
            Self::Gone { path } => write!(out, "gone {path}"),
            Self::Asked { path } => write!(out, "asked {path}"),
            Self::Exported => out.write_str("exported"),
            Self::Pass => out.write_str("verdict pass"),
            Self::Fail(text) => write!(out, "verdict fail {}", one_line(text)),
        }
    }
}

impl Line {
    /// Reads a line; `None` for one that is not ours.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, ours) = line.split_once(MARK)?;
        let ours = ours.trim_end();
        let (word, rest) = ours.split_once(' ').unwrap_or((ours, ""));
        match (word, rest) {
            ("step", text) => Some(Self::Step(text.to_owned())),
            ("log", text) => Some(Self::Log(text.to_owned())),
            ("measured", _) => {
                let (name, ms) = named_number(rest)?;
                Some(Self::Measured { name, ms })
            }
            ("memory", _) => {
                let (name, kib) = named_number(rest)?;
                Some(Self::Memory { name, kib })
            }
            ("flushed", _) => {
                let (sha256, path) = rest.split_once(' ')?;
                let (sha256, path) = (sha256.to_owned(), path.to_owned());
                Some(Self::Flushed { sha256, path })
            }
            ("gone", path) => Some(Self::Gone {
                path: path.to_owned(),
            }),
            ("asked", path) => Some(Self::Asked {
                path: path.to_owned(),
            }),
            ("exported", "") => Some(Self::Exported),
            ("verdict", "pass") => Some(Self::Pass),
            ("verdict", _) => rest
                .strip_prefix("fail ")
                .map(|text| Self::Fail(text.into())),
            _ => None,
        }
    }
}

fn named_number(text: &str) -> Option<(String, u64)> {
    let (name, number) = text.split_once(' ')?;
    Some((name.to_owned(), number.parse().ok()?))
}

/// A message of several lines on one, so that the next line is not lost.
fn one_line(text: &str) -> String {
    text.trim_end().replace(['\n', '\r'], " / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_read_as_it_was_written() {
        let lines = [
            Line::Step("mounted /dev/sda".into()),
            Line::Log("INFO ready".into()),
            Line::Measured {
                name: "answer".into(),
                ms: 1_234,
            },
            Line::Memory {
                name: "peak".into(),
                kib: 1_234,
            },
            Line::Flushed {
                sha256: "00ff".into(),
                path: "my file.txt".into(),
            },
            Line::Gone {
                path: "my file.txt".into(),
            },
            Line::Asked {
                path: "my file.txt".into(),
            },
            Line::Exported,
            Line::Pass,
            Line::Fail("no response".into()),
        ];
        for line in lines {
            assert_eq!(Line::parse(&line.to_string()), Some(line));
        }
    }

    #[test]
    fn noise_is_not_ours() {
        for noise in [
            "",
            "[    1.0] usb 1-1",
            "@lab",
            "@lab verdict",
            "@lab dance",
            "@lab memory much",
        ] {
            assert_eq!(Line::parse(noise), None, "{noise}");
        }
        let late = Line::parse("noise before @lab verdict pass\r");
        assert_eq!(late, Some(Line::Pass));
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let line = Line::Fail("one\ntwo".into()).to_string();
        assert_eq!(line, "@lab verdict fail one / two");
    }
}
